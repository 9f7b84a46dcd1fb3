"""How near the chosen shares of several domains come to the true best ones, and how often intervals hold.

    python benchmarks/mixture_domains.py [--studies 40] [--quick] [--json]

Every study is drawn at random (``speciate.planning.domains.simulate``), planned with the usual options, and
compared with its truth, in nats. *regret*: true weighted loss of the chosen shares less that of the true best ones;
below 0 where the choice exceeds the tolerance. *over*: by how much its true general loss does. *mix_regret*: its loss
less that of the best shares that harm the general loss no more than it does: what choosing the wrong mix costs.
*cautious*: share of studies in which the cautious mixture truly keeps it (promised: 90 %), and its regret. *shares*:
how often the 90 % interval holds a true best share. *runs*: how often that of a loss holds what a new run measures.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")), "1"))

import argparse
import json
from dataclasses import replace

import numpy as np

from speciate.planning.domains.decision import SetLoss
from speciate.planning.domains.plan import plan_domains
from speciate.planning.domains.simulate import DomainSetup, simulate_domains

SETUPS = {
    "law, 2 domains": DomainSetup(),
    "law, 3 domains": DomainSetup(domains=3),
    "law, 4 domains": DomainSetup(domains=4),
    "law, 3 trunks": DomainSetup(trunks=3, trunk_sd=0.006),
    "law, 2x beyond": DomainSetup(horizon=2e6, points=16),
    "repeats, R* 15": DomainSetup(unique=(3e4, 3e4)),
    "repeats, R* 5": DomainSetup(unique=(3e4, 3e4), lasting=5.0),
    "power": DomainSetup(world="power"),
}


def _holds(one: SetLoss, value: float) -> bool:
    return one.low is not None and one.high is not None and one.low <= value <= one.high


def measured(setup: DomainSetup, studies: int, first: int, draws: int) -> dict[str, float]:
    """Figures of one setup over studies with seeds ``first`` .. ``first + studies - 1``."""
    found: list[dict[str, float]] = []
    for seed in range(first, first + studies):
        study = simulate_domains(setup, seed)
        unique = dict(zip(study.names, setup.unique, strict=True)) if setup.unique else None
        plan = plan_domains(study.table, horizon_tokens=setup.horizon, unique=unique, draws=draws, seed=seed)
        shares = np.array(list(plan.shares.values()))
        best = study.objective(study.best)
        ends = np.array([plan.intervals[name] for name in study.names], dtype=float)
        seen = study.measure(shares)
        safe = None if plan.safe is None else np.array(list(plan.safe.shares.values()))
        found.append(
            {
                "decided": plan.decided,
                "regret": study.objective(shares) - best,
                "mix_regret": study.objective(shares) - study.objective(study.best_within(study.change(shares))),
                "over": study.change(shares) - setup.tolerance,
                "cautious_kept": np.nan if safe is None else study.change(safe) <= setup.tolerance,
                "cautious_regret": np.nan if safe is None else study.objective(safe) - best,
                "shares": float(np.mean((ends[:, 0] <= study.best) & (study.best <= ends[:, 1]))),
                "runs": float(np.mean([_holds(one, seen[one.eval_on]) for one in plan.losses])),
                "width": float(np.mean(ends[:, 1] - ends[:, 0])),
                "off": float(np.abs(shares - study.best).max()),
            }
        )
    rows = {name: np.array([one[name] for one in found], dtype=float) for name in found[0]}
    return {
        "studies": studies,
        "decided": float(rows["decided"].mean()),
        "regret_median": float(np.median(np.abs(rows["regret"]))),
        "regret_worst": float(rows["regret"].max()),
        "mix_regret_median": float(np.median(rows["mix_regret"])),
        "mix_regret_worst": float(rows["mix_regret"].max()),
        "over_median": float(np.median(rows["over"])),
        "over_worst": float(rows["over"].max()),
        "cautious_kept": float(np.nanmean(rows["cautious_kept"])),
        "cautious_regret_median": float(np.nanmedian(rows["cautious_regret"])),
        "shares_covered": float(rows["shares"].mean()),
        "runs_covered": float(rows["runs"].mean()),
        "share_width": float(rows["width"].mean()),
        "share_off_median": float(np.median(rows["off"])),
    }


def main() -> None:
    """Print one line per setup."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="two studies of one setup, few draws")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    setups = dict(list(SETUPS.items())[:1]) if given.quick else SETUPS
    studies, draws = (2, 200) if given.quick else (given.studies, 1000)
    found = {name: measured(replace(one), studies, given.first, draws) for name, one in setups.items()}
    if given.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        print(f"{name:16s}" + "  ".join(f"{key} {value:.4g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
