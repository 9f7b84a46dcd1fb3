"""What a decision on several domains shows beside the choice: losses, other mixtures, the region, repetition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.planning.domains.answer import NEAR, Answer
from speciate.planning.domains.decision import Mixture, SetLoss
from speciate.planning.domains.law import SetLaw
from speciate.planning.domains.search import rays, safest
from speciate.planning.domains.simplex import simplex_grid
from speciate.planning.mixture.repetition import Lasting, Repeated, repeated

Array = NDArray[np.float64]
SHOWN = 300  # points of the feasible region
COMPOSITIONS = 21  # of domain text in the boundary of two domains
LINE = 1001  # shares tried of a domain alone


def losses(answer: Answer) -> tuple[SetLoss, ...]:
    """Every set's loss at the choice; the intervals of losses are of what one run will measure."""
    runs, asked, found = answer.runs, answer.asked, []
    rng = np.random.default_rng(asked.seed + 1)
    for name in runs.sets:
        law = _laws(answer)[name]
        expected = answer.search.loss(law, answer.choice[None])[:, 0]
        luck = law.run_sd * rng.standard_normal(len(expected))
        luck[0] = 0.0
        low, high = answer.ends(expected + luck)
        start = runs.starts[name] or None
        change = None if start is None else expected - start
        below, above = (None, None) if change is None else answer.ends(change)
        found.append(SetLoss(name, asked.weights[name], start, float(expected[0]), low, high,
                             None if change is None else float(change[0]), below, above))  # fmt: skip
    return tuple(found)


def _laws(answer: Answer) -> dict[str, SetLaw]:
    """The laws by set, with draws only where all have them."""
    laws = answer.fitted.laws
    return {name: law if answer.sure else law.some(slice(0, 1)) for name, law in laws.items()}


def cautious(answer: Answer) -> Mixture | None:
    """The best mixture that keeps the tolerances in a share ``level`` of the draws."""
    found = safest(answer.search, answer.asked.level, answer.grid)
    return None if found is None else _mixture("cautious", answer, found)


def _mixture(name: str, answer: Answer, shares: Array) -> Mixture:
    value = answer.search.objective(shares[None])[:, 0]
    low, high = answer.ends(value - answer.at_choice)
    change = float(answer.search.general.loss(shares[None])[0, 0]) - answer.runs.starts[answer.runs.general]
    kept = answer.search.feasible(shares[None])[1:, 0]
    return Mixture(name, answer.named(shares), float(value[0]), float(value[0] - answer.at_choice[0]), low, high,
                   change, float(kept.mean()) if len(kept) else None)  # fmt: skip


def alternatives(answer: Answer) -> tuple[Mixture, ...]:
    """The best mixture of each single domain with general text, and the best feasible one that was tried."""
    runs, found = answer.runs, []
    estimate = answer.search.some(slice(0, 1))
    lines = {"best tried": runs.shares}
    if len(runs.domains) > 1:
        parts = np.linspace(0, 1, LINE)[:, None]
        lines = {f"{name} alone": parts * np.eye(len(runs.domains))[k] for k, name in enumerate(runs.domains)} | lines
    for name, tried in lines.items():
        value = np.where(estimate.feasible(tried)[0], estimate.objective(tried)[0], np.inf)
        if np.isfinite(value).any():
            found.append(_mixture(name, answer, tried[int(np.argmin(value))]))
    return tuple(found)


def region(answer: Answer) -> tuple[dict[str, Any], ...]:
    """Points of an even grid with what is expected there."""
    runs, search = answer.runs, answer.search
    grid = simplex_grid(len(runs.domains), SHOWN)
    change = search.general.loss(grid)[0] - runs.starts[runs.general]
    objective = search.some(slice(0, 1)).objective(grid)[0]
    kept = search.feasible(grid)
    beyond = answer.hull.beyond(grid)
    return tuple(
        {
            "shares": answer.named(point),
            "general_change": float(change[i]),
            "objective": float(objective[i]),
            "feasible": bool(kept[0, i]),
            "probability": float(kept[1:, i].mean()) if len(kept) > 1 else None,
            "extrapolated": bool(beyond[i] > NEAR),
        }
        for i, point in enumerate(grid)
    )


def boundary(answer: Answer) -> tuple[dict[str, Any], ...]:
    """Most domain text that the general tolerance allows, by its composition: single domains, and between two."""
    domains = len(answer.runs.domains)
    compositions = np.eye(domains)
    if domains == 2:
        first = np.linspace(0, 1, COMPOSITIONS)
        compositions = np.column_stack([first, 1 - first])
    most = rays(answer.search, compositions)
    found = []
    for i, composition in enumerate(compositions):
        low, high = answer.ends(most[:, i])
        found.append(
            {
                "composition": answer.named(composition),
                "shares": answer.named(composition * most[0, i]),
                "total": float(most[0, i]),
                "low": low,
                "high": high,
            }
        )
    return tuple(found)


def repetition(answer: Answer) -> tuple[Repeated, ...]:
    """Every domain whose unique tokens are given, at its share."""
    asked, runs, search, found = answer.asked, answer.runs, answer.search, []
    worth = search.seen(np.broadcast_to(answer.choice, (len(search.lasting), 1, len(answer.choice))))
    known = answer.fitted.lasting
    lasting = Lasting(known.value, search.lasting[1:], known.source, known.fitted)
    for k, name in enumerate(runs.domains):
        if name not in asked.unique:
            continue
        law = _laws(answer).get(name)

        def loss(at: Array, k: int = k, law: SetLaw | None = law) -> Array:
            assert law is not None
            each = np.repeat(worth, at.shape[1], axis=1)
            each[..., k] = at
            return law.loss(each)

        share, seen = float(answer.choice[k]), float(answer.fitted.repeats.epochs[k])
        found.append(repeated(name, asked.unique[name], share, asked.horizon, lasting, None if law is None else loss,
                              asked.level, seen))  # fmt: skip
    return tuple(found)


def law_json(law: SetLaw) -> dict[str, Any]:
    """The paper's c, k and t by domain, the residuals' RMS, and a new run's luck (nats/token)."""
    form = law.law.published(law.theta) if law.law.published is not None else {}
    return {
        **{name: float(value) for name, value in form.items()},
        "power": float(law.power[0]),
        "rmse": law.rmse,
        "spare_runs": law.freedom,
        "run_sd": float(law.run_sd[0]) if law.known else None,
        "replicates": law.replicated,
    }


def method(answer: Answer) -> dict[str, Any]:
    """How the answer was reached."""
    at = answer.fitted.at
    return {
        "law": "mixing",
        "curves": {name: one.curve for name, one in at.items()},
        "backtest_rmse_per_doubling": {name: one.rmse for name, one in at.items()},
        "common_error_per_doubling": {name: one.common_sd for name, one in at.items()},
        "runs": len(answer.runs.runs),
        "draws": answer.asked.draws,
        "seed": answer.asked.seed,
    }


def notes(answer: Answer) -> tuple[str, ...]:
    """What a reader should know about the rows."""
    runs, repeats = answer.runs, answer.fitted.repeats
    found = [*runs.notes, *repeats.notes]
    if len(set(runs.trunks)) == 1:
        found.append("all runs share one trunk: the answer is about that starting model")
    if repeats.any and not answer.asked.unique:
        found.append(
            "pilots repeat domain text, but the planned run is taken to have enough of it; say how much with --unique"
        )
    return tuple(found)
