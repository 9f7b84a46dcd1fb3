"""How many FLOPs it takes to know the mixture: runs bought as ``plan next`` says, at random, or as a full grid.

    python benchmarks/plan_next.py [--studies 20] [--draws 400] [--only quiet]

Every study is a world of its own (``planning.next.simulate``: one size, one starting model, a known truth), and all
ways decide alike: the ratio of least expected regret at a horizon of twice the pilots (``planning.next.mixture``).
  next    starts from pilots (4 ratios, a second seed at one), then buys the run that ``plan next`` ranks first
  random  starts from the same pilots, then buys from the same candidates by lot
  grid    9 ratios as long as the horizon, 1, 2, 3, ... seeds of each; and a grid of 5 ratios
``cost``: FLOPs, in runs as long as the horizon, pilots included. After every purchase the true regret of deciding there
and then is noted. Two readings:
  typical   the least cost from which on the median regret over studies stays below .002 nats/token
  lasting   of each study, the least cost from which on its own regret stays below .002; the median over studies
"-" is more than was spent (--most runs). ``stop``: where ``plan next`` said to stop (median cost, and regret there).
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace

import numpy as np

from speciate.errors import NotDecidable
from speciate.planning.mixture.simulate import Setup
from speciate.planning.next.decision import NextDecision
from speciate.planning.next.plan import GOOD_ENOUGH, LEAST_DROP, plan_next
from speciate.planning.next.simulate import Laboratory

ENOUGH = 0.002  # nats/token
PILOTS, REPLICATED = (0.25, 0.5, 0.75, 0.9), 0.5
GRIDS = {"grid": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "grid of 5": (0.1, 0.3, 0.5, 0.7, 0.9)}
QUIET = Setup(sizes=(35_552,), jitter=0.002, run_sd=0.003)
SETUPS = {
    "quiet (runs .003), jump": QUIET,
    "quiet (runs .003), law": replace(QUIET, world="law"),
    "noisy (runs .012), jump": Setup(sizes=(35_552,)),
    "noisy (runs .012), law": Setup(sizes=(35_552,), world="law"),
}
Path = list[tuple[float, float]]  # cost, regret


def decide(lab: Laboratory, draws: int, *, stops: bool = True) -> NextDecision | None:
    """What ``plan next`` says of the laboratory's rows; None where they can be fitted by nothing."""
    good_enough, least_drop = (GOOD_ENOUGH, LEAST_DROP) if stops else (0.0, 0.0)
    try:
        return plan_next(lab.table, horizon_tokens=lab.setup.horizon, tolerance=lab.setup.tolerance, draws=draws,
                         seed=lab.seed, good_enough=good_enough, least_drop=least_drop)  # fmt: skip
    except NotDecidable:
        return None


def regret(lab: Laboratory, decision: NextDecision | None) -> float:
    """The true regret of deciding now; as of the middle ratio where nothing is known."""
    known = {} if decision is None else decision.decision_now
    return lab.regret(known.get("domain_ratio") or known.get("critical_ratio") or 0.5)


def bought(setup: Setup, seed: int, draws: int, most: float, by_lot: bool) -> tuple[Path, tuple[float, float] | None]:
    """Cost and regret after every purchase, and where it was said to stop."""
    lab = Laboratory(setup, seed)
    unit = 6.0 * lab.params * setup.horizon
    lot = np.random.default_rng(seed)
    for ratio in (*PILOTS, REPLICATED):
        lab.run(ratio, setup.pilot)
    path: Path = []
    stop = None
    while True:
        decision = decide(lab, draws, stops=not by_lot and stop is None)
        path.append((lab.flops / unit, regret(lab, decision)))
        if decision is not None and decision.stop and not by_lot and stop is None:
            stop = path[-1]
        runs = () if decision is None else decision.runs
        if lab.flops >= most * unit or not runs:
            return path, stop
        lab.buy(runs[int(lot.integers(len(runs))) if by_lot else 0].spec)


def grid(setup: Setup, ratios: tuple[float, ...], seed: int, draws: int, most: float) -> Path:
    """Cost and regret of a grid with ever more seeds."""
    lab = Laboratory(setup, seed)
    unit = 6.0 * lab.params * setup.horizon
    path: Path = []
    while lab.flops < most * unit:
        for ratio in ratios:
            lab.run(ratio, setup.horizon)
        path.append((lab.flops / unit, regret(lab, decide(lab, draws))))
    return path


def lasting(path: Path) -> float:
    """The cost from which on the regret stays below ENOUGH; inf if never."""
    cost = np.inf
    for spent, lost in reversed(path):
        if lost >= ENOUGH:
            break
        cost = spent
    return cost


def typical(paths: list[Path]) -> float:
    """The cost from which on the median regret over studies stays below ENOUGH."""
    costs = sorted({spent for path in paths for spent, _ in path})
    medians = [float(np.median([at(path, cost) for path in paths])) for cost in costs]
    return lasting(list(zip(costs, medians, strict=True)))


def at(path: Path, cost: float) -> float:
    """The regret of deciding once this much was spent; infinite before anything was."""
    known = [lost for spent, lost in path if spent <= cost * (1 + 1e-9)]
    return known[-1] if known else np.inf


def told(name: str, paths: list[Path], stops: list[tuple[float, float]]) -> str:
    """A line: both readings, the share of studies that got there, and the stop."""
    each = np.array([lasting(path) for path in paths])
    middle = float(np.median(each))
    text = f"  {name:9s} typical {number(typical(paths))}  lasting {number(middle)}"
    text += f"  got there {np.isfinite(each).mean():.0%}"
    text += f"  regret at the end {np.median([path[-1][1] for path in paths]):.5f}"
    if stops:
        cost, lost = np.median(np.array(stops), axis=0)
        text += f"  stop: {len(stops)} of {len(paths)}, cost {cost:.1f}, regret {lost:.5f}"
    return text


def number(value: float) -> str:
    return f"{value:5.1f}" if np.isfinite(value) else "    -"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--most", type=float, default=12.0, help="spent at most, in runs as long as the horizon")
    parser.add_argument("--most-grid", type=float, default=45.0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("error")
    for name, setup in SETUPS.items():
        if given.only not in name:
            continue
        began = time.process_time()
        seeds = range(given.studies)
        print(f"{name}, {given.studies} studies", flush=True)
        found = [bought(setup, seed, given.draws, given.most, by_lot=False) for seed in seeds]
        print(told("next", [path for path, _ in found], [stop for _, stop in found if stop]), flush=True)
        lots = [bought(setup, seed, given.draws, given.most, by_lot=True)[0] for seed in seeds]
        print(told("random", lots, []), flush=True)
        for kind, ratios in GRIDS.items():
            paths = [grid(setup, ratios, seed, given.draws, given.most_grid) for seed in seeds]
            print(told(kind, paths, []), flush=True)
        print(f"  {(time.process_time() - began) / given.studies:.1f} s CPU per study", flush=True)


if __name__ == "__main__":
    main()
