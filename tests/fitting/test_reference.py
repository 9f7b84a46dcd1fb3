"""Best known objectives of published data sets (reference_fits.csv, each from a 4,500-start search)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from speciate.fitting.solve import solve
from speciate.laws import LAWS

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")

CASES = [
    ("gemstones_hot", 1e-3),
    ("gemstones_cool_end", 1e-4),
    ("gemstones_slim_chinchilla", 1e-4),
    ("gemstones_hot_sampled_like_chinchilla", 1e-3),
    ("porian_refinedweb|rw|base|long|kaplan|kaplan|train", 1e-3),
    ("porian_refinedweb|rw|base|short|chinchilla|standard|val", 1e-3),
    ("olmo_mmlu_avg_test_5shot", 1e-3),
    ("olmo_csqa_val_5shot", 1e-3),  # its best E is 0
    ("olmo_hellaswag_val_5shot", 1e-3),
]


def read(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def points(dataset: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    source, _, subset = dataset.partition("_")
    if source == "gemstones":
        rows = [row for row in read("gemstones_N_D_loss.csv") if row["subset"] == subset]
        names = ("N", "D", "loss")
    elif source == "porian":
        rows = [row for row in read("porian_isoflop_points.csv") if row["config"] == subset]
        names = ("n", "t", "loss")
    else:
        rows = [row for row in read("olmo_ladder_final_points.csv") if row["mode"] == "train" and row["task"] == subset]
        names = ("N", "D", "task_bpb")
    size, tokens, loss = (np.array([float(row[name]) for row in rows]) for name in names)
    return {"params": size, "tokens": tokens}, loss


@pytest.mark.parametrize(("dataset", "delta"), CASES)
def test_best_known_objective_is_reached(dataset: str, delta: float) -> None:
    wanted = {(row["dataset"], float(row["delta"])): row for row in read("reference_fits.csv")}[dataset, delta]
    x, y = points(dataset)
    assert len(y) == int(wanted["n"])
    found = solve(LAWS["chinchilla"], x, y, delta=delta)
    assert found.objective == pytest.approx(float(wanted["obj_4500"]), rel=1e-9)
    assert ("E = 0" in found.status) == (dataset == "olmo_csqa_val_5shot")
