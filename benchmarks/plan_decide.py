"""How often plan decide is right, and how often it says it is, over simulated ledgers whose truth is known.

    python benchmarks/plan_decide.py [--studies 12] [--draws 400] [--time]

Four worlds, each of which has another kind of plan as its best, and a fifth, ``close``, where sharing, limit and budget
are drawn so that kinds and sizes lie close and truth differs; constants and budgets differ from study to study. A
choice is right if it keeps the limit on forgetting in truth and none of the options considered that do has a lower
true loss. ``regret`` is the true loss of the choice less that of the best such option; ``oracle`` less that of the best
plan there is, of any ratio. ``--time`` measures CPU seconds on growing tables.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from speciate.planning.decide.decision import DecideDecision
from speciate.planning.decide.options import Option
from speciate.planning.decide.plan import plan_decide
from speciate.planning.decide.simulate import World, drawn_world, simulate
from speciate.runs.table import read_table

WORLDS: dict[str, tuple[World, dict[str, Any]]] = {
    "general": (World(jump=0.3, steep=0.3, recovery=0.03), {"tolerance": 0.05}),
    "filtered": (World(), {"tolerance": 0.3}),
    "mixture": (World(), {"tolerance": 0.05}),
    "split": (World(sharing=0.15, removal=0.6), {"tolerance": 0.05, "keep_seed": True}),
}
CLOSE = "close"
BINS = (0.0, 0.5, 0.7, 0.9, 1.01)


@dataclass(frozen=True)
class Study:
    """What one study showed."""

    kind: str | None
    best_kind: str
    p_best: float
    regret_said: float
    right: bool
    kept: bool
    regret: float
    oracle: float
    inside: list[bool]
    inside_forgetting: list[bool]
    decided: bool


def one(name: str, seed: int, draws: int) -> Study:
    """A ledger drawn from the world, planned with, and held against the truth."""
    rng = np.random.default_rng([seed, 7])
    world, options = WORLDS.get(name, (World(), {}))
    world = drawn_world(world, rng)
    flops = 2.5e19 * float(np.exp(rng.uniform(-0.5, 0.5)))
    if name == CLOSE:
        world = replace(world, sharing=float(np.exp(rng.uniform(np.log(0.1), np.log(0.6)))))
        flops *= float(np.exp(rng.uniform(-1, 0.5)))
        options = {"tolerance": float(rng.choice([0.02, 0.05, 0.1, 0.2])), "keep_seed": bool(rng.integers(2))}
    table = read_table(simulate(world, seed))
    found = plan_decide(
        table, flops=flops, pilots_sunk=True, domains=world.domains, reach=10, draws=draws, seed=seed, **options
    )
    return judged(world, found)


def judged(world: World, found: DecideDecision) -> Study:
    asked = found.question
    limit = np.inf if asked.tolerance is None else asked.tolerance
    loss = np.array([world.true_loss(option) for option in found.options])
    lost = np.array([world.true_forgetting(option, asked.keep_seed) for option in found.options])
    among = np.where(lost <= limit, loss, np.inf)
    best = int(np.argmin(among))
    pick = found.verdict.best
    inside, inside_forgetting = [], []
    for option, true, forgotten in zip(found.options, loss, lost, strict=True):
        low, high = found.interval(option)
        assert low is not None and high is not None
        inside.append(low <= true <= high)
        if option.forgetting_draws is not None:
            ends = np.quantile(option.forgetting_draws, [0.05, 0.95])
            inside_forgetting.append(bool(ends[0] <= forgotten <= ends[1]))
    return Study(
        kind=None if pick is None else found.options[pick].kind,
        best_kind=found.options[best].kind,
        p_best=found.p_best or 0.0,
        regret_said=found.verdict.regret or 0.0,
        right=pick == best,
        kept=pick is not None and bool(lost[pick] <= limit),
        regret=float("nan") if pick is None else float(loss[pick] - among[best]),
        oracle=float("nan") if pick is None else float(loss[pick] - oracle(world, found, limit, among[best])),
        inside=inside,
        inside_forgetting=inside_forgetting,
        decided=found.decided,
    )


def oracle(world: World, found: DecideDecision, limit: float, known: float) -> float:
    """The lowest true loss within the limit, of any ratio at any size; ``known`` of the options considered."""
    best = known
    for size, tokens in {option.params: option.tokens for option in found.options}.items():
        for ratio in np.linspace(0, 1, 101):
            plan = Option("mixture", size, tokens, 0.0, 0.0, None, None, None, 0.0, 1.0, domain_ratio=float(ratio))
            if world.true_forgetting(plan) <= limit:
                best = min(best, world.true_loss(plan))
    return best


def shown(name: str, found: Sequence[Study]) -> None:
    kinds = pd.Series([str(one.kind) for one in found]).value_counts().to_dict()
    truth = pd.Series([one.best_kind for one in found]).value_counts().to_dict()
    regret = np.array([one.regret for one in found])
    kept = np.mean([one.kept for one in found if one.kind is not None])
    inside = np.concatenate([one.inside for one in found])
    forgetting = np.concatenate([one.inside_forgetting for one in found])
    print(
        f"{name}: chosen {kinds}, truly best {truth}; right {np.mean([one.right for one in found]):.0%}, said "
        f"{np.mean([one.p_best for one in found]):.0%}; those chosen kept the limit in {kept:.0%}; "
        f"regret median {np.nanmedian(regret):.4f} worst {np.nanmax(regret):.4f} mean {np.nanmean(regret):.4f}, said "
        f"{np.mean([one.regret_said for one in found]):.4f}; against the best plan of any ratio "
        f"{np.nanmedian([one.oracle for one in found]):.4f}; intervals hold {inside.mean():.0%} of losses, "
        f"{forgetting.mean():.0%} of forgetting; decided {np.mean([one.decided for one in found]):.0%}",
        flush=True,
    )


def timed(draws: int) -> None:
    """CPU seconds for growing tables: more checkpoints of 78 runs, then more runs of 20 checkpoints."""
    ratios = World().ratios
    for copies, points in ((1, 10), (1, 60), (1, 165), (3, 55), (6, 27)):
        world = replace(World(), replicated=ratios, points=points)
        parts = [simulate(world, seed) for seed in range(copies)]
        for i, part in enumerate(parts):
            part["run"] = part["run"] + f"-{i}"
        table = read_table(pd.concat(parts, ignore_index=True))
        began = time.process_time()
        plan_decide(table, flops=3e19, pilots_sunk=True, domains=4, reach=10, draws=draws)
        spent = time.process_time() - began
        print(f"{len(table)} rows, {table['run'].nunique()} runs, {draws} draws: {spent:.2f} CPU s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("error")
    if given.time:
        timed(1000)
        return
    every: list[Study] = []
    for name in (*WORLDS, CLOSE):
        if given.only in name:
            studies = given.studies * (3 if name == CLOSE else 1)
            found = [one(name, seed, given.draws) for seed in range(studies)]
            shown(name, found)
            every += found
    for low, high in zip(BINS, BINS[1:], strict=False):
        those = [study for study in every if low <= study.p_best < high]
        if those:
            said, right = np.mean([s.p_best for s in those]), np.mean([s.right for s in those])
            print(f"P(best) {low:.1f} to {min(high, 1):.1f}: {len(those)} studies, said {said:.2f}, right {right:.2f}")


if __name__ == "__main__":
    main()
