"""How often the mixture decision's intervals hold the truth, over simulated studies.

    python benchmarks/mixture_coverage.py [--studies 200] [--draws 400]

Per world and design: coverage of the 90 % interval of the critical ratio where one is given, and
counting the intervals too wide to decide as well (``undecided_too``), its median width, the share
decided, and coverage of losses measured by new seeds at the horizon.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from speciate.planning.mixture.decision import predictions
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, simulate

WIDE = (0.1, 0.25, 0.5, 0.75, 0.9)
SETUPS = {
    "jump, 1 extra seed at .5": Setup(),
    "jump, 2 extra at .5 and .75": Setup(replicated=(0.5, 0.75), replicates=2),
    "jump, 5 ratios, 2 trunks": Setup(ratios=WIDE, replicated=(0.5,), replicates=2, trunks=2),
    "law, 1 extra seed at .5": Setup(world="law"),
    "law, noisy": Setup(world="law", jitter=0.015, run_sd=0.02),
    "late, 5 ratios, 1 extra": Setup(world="late", ratios=WIDE, tolerance=0.4),
    "jump, within the pilots": Setup(horizon=1e6),
}


def coverage(setup: Setup, seeds: Sequence[int], draws: int) -> dict[str, float]:
    """Shares over simulated studies; ``losses`` are new seeds at the horizon at two tried and one new ratio."""
    inside, everywhere, widths, decided, losses, errors = [], [], [], [], {"general": [], "code": []}, []
    for seed in seeds:
        study = simulate(setup, seed)
        decision = plan_mixture(
            study.table, horizon_tokens=setup.horizon, tolerance=setup.tolerance, draws=draws, seed=seed
        )
        for model in decision.models:
            decided.append(model.decided)
            assert model.basis is not None and model.basis.draws is not None
            ends = np.quantile(model.basis.draws, [0.05, 0.95])
            everywhere.append(ends[0] <= study.critical[model.params] <= ends[1])
            if model.critical_ratio is not None and model.low is not None and model.high is not None:
                truth = study.critical[model.params]
                inside.append(model.low <= truth <= model.high)
                widths.append(model.high - model.low)
                errors.append(model.critical_ratio - truth)
            for ratio in (setup.ratios[1], 0.6):
                general, code = study.measure(model.params, ratio)
                measured = {"general": general, "code": code}
                for row in predictions(
                    decision, [ratio], [setup.horizon], params=model.params, trunk=f"A{model.params}"
                ):
                    losses[row["eval_on"]].append(row["low"] <= measured[row["eval_on"]] <= row["high"])
    return {
        "critical_ratio": float(np.mean(inside)) if inside else float("nan"),
        "undecided_too": float(np.mean(everywhere)),
        "width": float(np.median(widths)) if widths else float("nan"),
        "error": float(np.sqrt(np.mean(np.square(errors)))) if errors else float("nan"),
        "bias": float(np.mean(errors)) if errors else float("nan"),
        "decided": float(np.mean(decided)),
        **{name: float(np.mean(values)) for name, values in losses.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("error")
    for name, setup in SETUPS.items():
        if given.only in name:
            result = coverage(replace(setup), range(given.studies), given.draws)
            print(f"{name:30s} " + "  ".join(f"{key} {value:.3f}" for key, value in result.items()), flush=True)


if __name__ == "__main__":
    main()
