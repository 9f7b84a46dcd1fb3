"""Runs inside a venv (Python 3.12) with `pip install simple-scaling-laws`: its separable power law, as JSON on stdout.

    python pypi_simple_scaling_laws.py POINTS.csv DRAWS

It minimises squared residuals and has no Huber. One fit is timed with the fewest draws it allows, one with DRAWS.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import polars as pl
from simple_scaling_laws import fit


def timed(frame: pl.DataFrame, draws: int) -> tuple[float, float, list[float]]:
    """Wall and CPU seconds, and E, A, B, alpha, beta: its A and B are at the mean predictors, ours at 1."""
    wall, cpu = time.perf_counter(), time.process_time()
    model = fit(frame, law="separable-power", n_draws=draws, seed=0)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found, domain = model.params("test_loss__ce"), model.observed_domain
    size = found["A"] * domain["model_size__n_params"]["reference"] ** found["alpha"]
    data = found["B"] * domain["dataset_size__tokens"]["reference"] ** found["beta"]
    return wall, cpu, [float(value) for value in (found["E"], size, data, found["alpha"], found["beta"])]


def main() -> None:
    warnings.simplefilter("ignore")
    points = pl.read_csv(sys.argv[1])
    frame = pl.DataFrame(
        {
            "training_run_id": [f"run{i}" for i in range(len(points))],
            "model_size__n_params": points["params"].cast(pl.Float64),
            "dataset_size__tokens": points["tokens"].cast(pl.Float64),
            "test_loss__ce": points["loss"],
        }
    )
    timed(frame, 1)
    wall, cpu, found = timed(frame, 1)
    wall_draws, cpu_draws, _ = timed(frame, int(sys.argv[2]))
    print(json.dumps({"wall": wall, "cpu": cpu, "wall_draws": wall_draws, "cpu_draws": cpu_draws, "theta": found}))


main()
