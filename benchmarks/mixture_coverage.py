"""How often the mixture decision's intervals hold the truth, and what its choices lose, over simulated studies.

    python benchmarks/mixture_coverage.py [--studies 100] [--draws 300] [--first 0] [--only NAME]

Worlds named "mixed" draw sizes, ratios, replicates, trunks, noise and truth anew for every study. The
method was worked on with the other worlds (seeds from 5000), never with these: their figures are the ones to quote.

Per world: ``given``, coverage (and its binomial standard error) of the 90 % intervals that are given;
``all``, of those too wide to decide as well; ``decided``, their share; ``width`` (median), ``error`` (RMS)
and ``bias`` of the ratio; ``untried``, coverage for a size that was left out of the table (--params);
regret in nats (medians): ``regret``, choosing among the tried ratios the largest that is feasible, against
the truly best of them; ``regret_any``, the critical ratio itself against the true one. A choice's loss is its
domain loss plus what its general loss exceeds the tolerance by. ``general`` and ``code``: coverage of single
measurements by new seeds at the horizon.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from speciate.errors import NotDecidable
from speciate.planning.mixture.decision import MixtureDecision, SizeDecision, predictions
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, Study, drawn, simulate

WIDE = (0.1, 0.25, 0.5, 0.75, 0.9)
WORLDS: dict[str, Callable[[int], Setup]] = {
    "mixed, horizon 1, 2 or 4x": drawn,
    "mixed, within the pilots": lambda seed: drawn(seed, 1.0),
    "mixed, horizon 2x": lambda seed: drawn(seed, 2.0),
    "mixed, horizon 4x": lambda seed: drawn(seed, 4.0),
    "jump, 1 extra seed at .5": lambda _: Setup(),
    "jump, 2 extra at .5 and .75": lambda _: Setup(replicated=(0.5, 0.75), replicates=2),
    "jump, 5 ratios, 2 trunks": lambda _: Setup(ratios=WIDE, replicated=(0.5,), replicates=2, trunks=2),
    "jump, within the pilots": lambda _: Setup(horizon=1e6),
    "jump, horizon 4x": lambda _: Setup(horizon=4e6),
    "law, 1 extra seed at .5": lambda _: Setup(world="law"),
    "law, noisy": lambda _: Setup(world="law", jitter=0.015, run_sd=0.02),
    "late, 5 ratios, 1 extra": lambda _: Setup(world="late", ratios=WIDE, tolerance=0.4),
    "late, horizon 4x": lambda _: Setup(world="late", ratios=WIDE, tolerance=0.4, horizon=4e6),
}


def coverage(world: Callable[[int], Setup], seeds: Sequence[int], draws: int) -> dict[str, list[float]]:
    """What is averaged over studies: lists of hits (0 or 1), widths, errors and regrets."""
    found: dict[str, list[float]] = {name: [] for name in (
        "given", "all", "decided", "width", "error", "untried", "regret", "regret_any", "general", "code")}  # fmt: skip
    for seed in seeds:
        setup = world(seed)
        study = simulate(setup, seed)
        asked: dict[str, object] = {
            "horizon_tokens": setup.horizon,
            "tolerance": setup.tolerance,
            "draws": draws,
            "seed": seed,
        }
        decision = plan_mixture(study.table, **asked)  # type: ignore[arg-type]
        for model in decision.models:
            truth = study.critical[model.params]
            assert model.basis is not None and model.basis.draws is not None
            low, high = np.quantile(model.basis.draws, [0.05, 0.95])
            found["all"].append(low <= truth <= high)
            found["decided"].append(model.decided)
            if model.critical_ratio is not None and model.low is not None and model.high is not None:
                found["given"].append(model.low <= truth <= model.high)
                found["width"].append(model.high - model.low)
                found["error"].append(model.critical_ratio - truth)
                _regrets(found, study, model, truth, setup)
            if setup.trunks == 1:
                _measured(found, study, decision, model, setup)
        if len(setup.sizes) > 2:
            _left_out(found, study, setup, asked)
    return found


def _regrets(found: dict[str, list[float]], study: Study, model: SizeDecision, truth: float, setup: Setup) -> None:
    def loses(ratio: float) -> float:
        general, domain = study.expected(model.params, ratio)
        return domain + max(general - setup.tolerance, 0.0)

    feasible = [ratio for ratio in setup.ratios if ratio <= truth]
    chosen = [verdict.domain_ratio for verdict in model.ratios if verdict.feasible]
    if feasible and chosen:
        found["regret"].append(max(loses(max(chosen)) - loses(max(feasible)), 0.0))
    assert model.critical_ratio is not None
    found["regret_any"].append(max(loses(model.critical_ratio) - loses(truth), 0.0))


def _measured(
    found: dict[str, list[float]], study: Study, decision: MixtureDecision, model: SizeDecision, setup: Setup
) -> None:
    for ratio in (setup.ratios[1], 0.6):
        general, code = study.measure(model.params, ratio)
        for row in predictions(decision, [ratio], [setup.horizon], params=model.params, trunk=f"A{model.params}"):
            role = "general" if row["eval_on"] == "general" else "code"
            found[role].append(row["low"] <= (general if role == "general" else code) <= row["high"])


def _left_out(found: dict[str, list[float]], study: Study, setup: Setup, asked: dict[str, object]) -> None:
    """The middle size is left out and asked for: the worlds' sizes differ at random, which no line in ln N foresees."""
    params = setup.sizes[1]
    try:
        decision = plan_mixture(study.table[study.table["params"] != params], params=params, **asked)  # type: ignore[arg-type]
    except NotDecidable:
        return
    (model,) = decision.models
    if model.low is not None and model.high is not None:
        found["untried"].append(model.low <= study.critical[params] <= model.high)


def line(found: dict[str, list[float]]) -> str:
    """One world's figures."""
    parts = []
    for name in ("given", "all", "untried", "general", "code"):
        if found[name]:
            share, count = float(np.mean(found[name])), len(found[name])
            parts.append(f"{name} {share:.3f} +- {np.sqrt(share * (1 - share) / count):.3f} ({count})")
    if found["decided"]:
        parts.append(f"decided {np.mean(found['decided']):.2f}")
    for name in ("width", "regret", "regret_any"):
        if found[name]:
            parts.append(f"{name} {np.median(found[name]):.4f}")
    if found["error"]:
        parts.append(f"error {np.sqrt(np.mean(np.square(found['error']))):.3f} bias {np.mean(found['error']):+.3f}")
    return "  ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="seed of the first study")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("error")
    for name, world in WORLDS.items():
        if given.only in name:
            found = coverage(world, range(given.first, given.first + given.studies), given.draws)
            print(f"{name:28s} {line(found)}", flush=True)


if __name__ == "__main__":
    main()
