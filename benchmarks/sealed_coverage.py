"""How often a sealed interval holds what a new run measures, by kind, on tables whose truth is known.

Plans, seals, measures the predicted runs anew with the same noise, compares. Prints a line per kind and option:
measurements inside, all, and the root mean square error. `mixture` and `decide` have benchmarks of their own.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/sealed_coverage.py split 60
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from speciate.laws.split import PRESET, SPLIT
from speciate.planning.accuracy.plan import plan_accuracy
from speciate.planning.compare import compare
from speciate.planning.predictions import Decision, sealed_plan
from speciate.planning.specialize.plan import plan_specialize
from speciate.planning.split.plan import plan_split
from speciate.runs.table import read_table

Sealed = dict[str, Any]
Outcome = tuple[Sealed, pd.DataFrame]
GRID = product((1e8, 3.5e8, 7.6e8, 1.3e9), (0, 5e9, 2e10, 6e10, 1.2e11), (0, 2e9, 8e9, 3e10))
SPLIT_RUNS = [(f"pilot{i}", *point) for i, point in enumerate(GRID) if sum(point[1:])]


def sealed(decision: Decision, rows: pd.DataFrame) -> Sealed:
    return dict(json.loads(json.dumps(sealed_plan(decision, rows, {}))))


def split(seed: int) -> Outcome:
    """76 runs, .003 nats of noise; 300B tokens at 1.3B params, a seed 1.5 times the longest."""
    rng = np.random.default_rng(seed)

    def measured(runs: list[tuple[Any, ...]]) -> pd.DataFrame:
        table = pd.DataFrame(runs, columns=["run", "params", "seed_tokens", "tokens"])
        law = SPLIT.predict(PRESET, table[["params", "seed_tokens", "tokens"]])
        return read_table(table.assign(loss=law + rng.normal(0, 0.003, len(table))))

    decision = plan_split(measured(SPLIT_RUNS), total_tokens=3e11, domains=16, params=1.3e9, draws=200, seed=seed)
    plan = sealed(decision, decision.rows)
    names = ("option", "params", "seed_tokens", "tokens")
    return plan, measured([tuple(one[name] for name in names) for one in plan["predictions"]])


def specialize(seed: int) -> Outcome:
    """Three runs a regime; runs differ by .01 in ln perplexity, checkpoints by .003; a fourth run is measured."""
    rng = np.random.default_rng(seed)
    tokens = np.arange(1, 15) * 4e9

    def measured(seeds: tuple[int, ...]) -> pd.DataFrame:
        parts = []
        for run, (regime, minimum, floor) in product(seeds, (("general", 40e9, 2.4), ("law", 20e9, 2.0))):
            curve = 0.05 * np.log(tokens / minimum) ** 2
            values = floor * np.exp(curve + rng.normal(0, 0.01) + rng.normal(0, 0.003, len(tokens)))
            parts.append(pd.DataFrame({"run": f"{regime}{run}", "seed": run, "params": 7e9, "train_on": regime,
                                       "tokens": tokens, "eval_on": "exam", "perplexity": values}))  # fmt: skip
        return read_table(pd.concat(parts))

    decision = plan_specialize(measured((0, 1, 2)), draws=200, seed=seed)
    return sealed(decision, decision.rows), measured((3,))


def accuracy(seed: int) -> Outcome:
    """20 runs, .008 of noise; a run 4 times beyond them in params."""
    rng = np.random.default_rng(seed)

    def measured(params: Any, tokens: Any) -> pd.DataFrame:
        share = np.exp(-0.35 / (params / 1e9) ** 0.35 - 0.5 / (tokens / 1e9) ** 0.3)
        value = np.clip(0.25 + 0.75 * share + rng.normal(0, 0.008, len(params)), 0, 1)
        return read_table(pd.DataFrame({"params": params, "tokens": tokens, "accuracy": value, "chance": 0.25}))

    params, ratio = (one.ravel() for one in np.meshgrid([6e7, 1.2e8, 2.5e8, 5e8, 1e9], [10.0, 20, 40, 160]))
    decision = plan_accuracy(measured(params, params * ratio), params=4e9, tokens=8e10, draws=200, seed=seed)
    return sealed(decision, decision.rows), measured(np.array([4e9]), np.array([8e10]))


KINDS: dict[str, Callable[[int], Outcome]] = {"split": split, "specialize": specialize, "accuracy": accuracy}


def main(kind: str, repetitions: int) -> None:
    rows = [row for seed in range(repetitions) for row in compare(*KINDS[kind](seed))["rows"]]
    found = pd.DataFrame(rows)
    for option, group in found.groupby("train_on" if kind == "specialize" else "option"):
        error = float(np.sqrt(np.mean(group["error"] ** 2)))
        print(f"{kind} {option}: {int(group['inside'].sum())} of {len(group)} inside, rms error {error:.4g}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
