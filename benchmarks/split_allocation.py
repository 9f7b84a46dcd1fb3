"""How well ``plan split`` finds the preset's allocation, over noise seeds, and how its time grows with rows.

    python benchmarks/split_allocation.py [--seeds 11] [--noise 0.005] [--draws 1000] [--rows 10000,100000]

Losses follow the preset of the split law (``speciate.laws.split.PRESET``: synthetic truth, nobody's measurements) with
normal noise in nats. Two studies, both of sizes .1, .35, .76 and 1.3B only, so that 2.7B is extrapolated:
  grid    612 losses, the ranges of Seto et al. 2603.19149: seeds of 0 to 200B tokens, 0 to 30B tokens of one domain
  pilot    76 losses: seeds of 5, 20, 60 and 120B tokens and none, 0, 2, 8 and 30B tokens of one domain
For every question: the best seed D* and how far the estimate is off (median, worst), what the planned allocation loses
against the best (in the preset's own loss; how many studies stay under .0005 nats), the splitting point, how many 90 %
intervals of D*, of the plan's gain and of the splitting point hold the truth, and what was chosen. The law that is
fitted is the law that made the data: this measures fitting, search and intervals, not whether the law is true.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from itertools import product

import numpy as np
import pandas as pd

from speciate.laws.law import Array
from speciate.laws.split import PRESET, SPLIT, best_seed, splitting_point
from speciate.planning.split.decision import SplitDecision
from speciate.planning.split.plan import plan_split

B, DOMAINS = 1e9, 16
SIZES = (0.1, 0.35, 0.76, 1.3)
STUDIES = {
    "grid": ((0, 5, *range(10, 201, 10)), tuple(range(0, 31, 5))),
    "pilot": ((0, 5, 20, 60, 120), (0, 2, 8, 30)),
}
QUESTIONS = ((1.3, 721), (2.7, 347), (1.3, 120), (1.3, 60), (1.3, 20), (2.7, 20))
ENOUGH = 5e-4  # nats/token of regret


def study(name: str, noise: float, seed: int) -> pd.DataFrame:
    """One table; every loss its own run, as its noise is its own."""
    seeds, tokens = STUDIES[name]
    runs = [(n * B, d * B, t * B) for n, d, t in product(SIZES, seeds, tokens) if d + t > 0]
    table = pd.DataFrame(runs, columns=["params", "seed_tokens", "tokens"])
    table["run"] = [f"run{i}" for i in range(len(table))]
    table["loss"] = truth(table) + np.random.default_rng(seed).normal(0, noise, len(table))
    return table


def truth(rows: pd.DataFrame) -> Array:
    return SPLIT.predict(PRESET, {name: rows[name].to_numpy() for name in ("params", "seed_tokens", "tokens")})


def loss(size: float, total: float, seed: float) -> float:
    """The preset's loss of an allocation; size and total in 1e9, seed in tokens."""
    x = {"params": [size * B], "seed_tokens": [seed], "tokens": [max(total * B - seed, 0.0) / DOMAINS]}
    return float(SPLIT.predict(PRESET, x)[0])


def holds(plan: SplitDecision, name: str, value: float) -> bool:
    low, high = plan.intervals[name]
    return low is not None and low <= value * (1 + 1e-6) and (high is None or value * (1 - 1e-6) <= high)


def line(name: str, size: float, total: float, plans: list[SplitDecision]) -> str:
    best, point = best_seed(PRESET, size * B, total * B, DOMAINS), splitting_point(PRESET, size * B, DOMAINS)
    off = np.array([abs(plan.seed_tokens / best - 1) for plan in plans])
    late = np.array([abs((plan.splitting_point or np.inf) / point - 1) for plan in plans])
    regret = np.array([loss(size, total, plan.seed_tokens) - loss(size, total, best) for plan in plans])
    gains = [loss(size, total, total * B) - loss(size, total, plan.seed_tokens) for plan in plans]
    inside = [
        sum(holds(plan, "seed_tokens", best) for plan in plans),
        sum(holds(plan, "gain", gain) for plan, gain in zip(plans, gains, strict=True)),
        sum(holds(plan, "splitting_point", point) for plan in plans),
    ]
    chosen = ", ".join(f"{what or 'cannot tell'} {count}" for what, count in Counter(p.choice for p in plans).items())
    parts = (
        f"{name:<6} {size:>4}B {total:>4}B",
        f"{best / B:>6.1f}B {np.median(off):>6.1%} {off.max():>6.1%}",
        f"{np.median(regret):.5f} {regret.max():.5f} {int(np.sum(regret < ENOUGH)):>3}/{len(plans)}",
        f"{point / B:>5.1f}B {np.median(late):>6.1%} {late.max():>6.1%}",
        "  ".join(f"{n:>3}" for n in inside),
        chosen,
    )
    return "   ".join(parts)


def growth(rows: int) -> str:
    """Seconds of one plan on a table of so many rows."""
    table = pd.concat([study("grid", 0.005, seed) for seed in range(-(-rows // 612))], ignore_index=True)[:rows]
    table["run"] = [f"run{i}" for i in range(rows)]
    began = time.perf_counter()
    plan_split(table, total_tokens=721 * B, domains=DOMAINS, params=1.3 * B)
    return f"{rows:>9,} rows: {time.perf_counter() - began:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=11)
    parser.add_argument("--noise", type=float, default=0.005)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rows", default="10000,100000")
    given = parser.parse_args()
    print(f"{given.seeds} noise seeds, noise {given.noise} nats, {given.draws} draws, {DOMAINS} domains")
    groups = ("", "best seed D*", "regret (nats)", "splitting point", "intervals hold", "")
    heads = ("study   size total", "   true    off  worst", " median   worst  <.0005", "  true    off  worst",
             " D* gain point", "chosen")  # fmt: skip
    print("   ".join(group.ljust(len(head)) for group, head in zip(groups, heads, strict=True)))
    print("   ".join(heads))
    for name in STUDIES:
        tables = [study(name, given.noise, seed) for seed in range(given.seeds)]
        for size, total in QUESTIONS:
            plans = [
                plan_split(table, total_tokens=total * B, domains=DOMAINS, params=size * B, draws=given.draws)
                for table in tables
            ]
            print(line(name, size, total, plans), flush=True)
    for rows in filter(None, given.rows.split(",")):
        print(growth(int(rows)), flush=True)


if __name__ == "__main__":
    main()
