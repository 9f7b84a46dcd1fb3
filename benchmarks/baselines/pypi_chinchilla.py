"""Runs inside a venv with `pip install chinchilla`: its BFGS from starts of the usual grid, as JSON on stdout.

    python pypi_chinchilla.py POINTS.csv STARTS

Its objective is a mean; delta is set to 1e-3 (its default is 1). Plots are switched off. A part of the grid is fitted
and the seconds of one start are reported, as is what the best start found.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from chinchilla import Chinchilla
from chinchilla._metrics import log_huber

AXES = {"e": 5, "a": 6, "b": 6, "alpha": 5, "beta": 5}
LOW = {"e": -1.0, "a": 0.0, "b": 0.0, "alpha": 0.0, "beta": 0.0}
HIGH = {"e": 1.0, "a": 25.0, "b": 25.0, "alpha": 2.0, "beta": 2.0}


def main() -> None:
    points, starts = pd.read_csv(sys.argv[1]), int(sys.argv[2])
    side = max(1, round(starts ** (1 / len(AXES))))
    grid = {name: np.linspace(LOW[name], HIGH[name], side + 2)[1:-1].tolist() for name in AXES}
    if starts >= 4500:
        grid = {name: np.linspace(LOW[name], HIGH[name], count).tolist() for name, count in AXES.items()}
    with tempfile.TemporaryDirectory() as folder:
        search = Chinchilla(folder, grid, loss_fn=functools.partial(log_huber, delta=1e-3), log_level=50)
        for row in points.itertuples():
            search.append(N=row.params, D=row.tokens, loss=row.loss)
        search.visualizer.optim = lambda *_, **__: None
        wall, cpu = time.perf_counter(), time.process_time()
        search.fit(parallel=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tried = int(np.prod([len(values) for values in grid.values()]))
    theta = [float(getattr(search, name)) for name in ("E", "A", "B", "alpha", "beta")]
    print(json.dumps({"starts": tried, "wall": wall / tried, "cpu": cpu / tried, "theta": theta}))


main()
