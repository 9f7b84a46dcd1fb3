"""A seed on the whole mixture, copied into K experts: the best split that a budget allows at each size.

Where a size has a starting model whose loss was measured, the law gives the *change* from it (a ratio of losses), so
that this kind and the continued ones start from one measured number, and what the law has wrong at the start, its
trunk's luck too, cancels in every draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.errors import NotDecidable, UserError
from speciate.planning.decide.continued import Continued, fresh
from speciate.planning.decide.ledger import Ledger
from speciate.planning.decide.options import Missing, Option
from speciate.planning.decide.question import Question
from speciate.planning.split.budget import grid
from speciate.planning.split.fit import SIZES, Fitted, fit_split
from speciate.planning.words import short

Array = NDArray[np.float64]
STEP = 0.05  # in ln tokens, for slopes
WHOLE = 0.999  # of the budget on the seed: beyond it, nothing is split


@dataclass(frozen=True, eq=False)
class Splits:
    """The split law on the table's seeds and experts; ``sizes`` it was fitted on, the tokens of the longest."""

    fitted: Fitted
    sizes: Array
    longest: float
    longest_seed: float

    def speaks_of(self, params: float) -> bool:
        """Whether the size was tried, or enough sizes were."""
        return bool(np.isclose(self.sizes, params, rtol=1e-6).any()) or len(self.sizes) >= SIZES


def splits_from(ledger: Ledger, question: Question) -> Splits:
    """Fit the seeds and experts. Raises NotDecidable where the rows cannot tell what splitting does."""
    if question.domains is None:
        raise NotDecidable("the number of domains is not given", "give it, as in --domains 16")
    rows = ledger.split
    if not (rows["tokens"] > 0).any() or rows["seed_tokens"].nunique() < 2:
        raise NotDecidable(
            "no experts from two seeds or more (rows with seed_tokens, then tokens of one domain)",
            "copy a kept checkpoint of the general run, and continue each copy on one domain",
        )
    try:
        fitted, _ = fit_split(rows, None, None, None, question.draws, question.seed)
    except UserError as error:  # the user asked for a choice, not for this law
        raise NotDecidable(error.problems[0].what, error.problems[0].fix) from error
    used = fitted.rows
    return Splits(
        fitted, np.unique(used["params"].to_numpy(float)), float(used["tokens"].max()), float(used["seed_tokens"].max())
    )


def split_option(
    found: Splits, continued: Continued | None, base: Mapping[float, float | None], params: float, tokens: float,
    question: Question,
) -> Option | Missing:  # fmt: skip
    """The best split of ``tokens`` = (D - D0) + K D' at one size; D0 the starting model's, 0 where there is none."""
    assert question.domains is not None
    if not found.speaks_of(params):
        have = ", ".join(f"{size:,.0f}" for size in found.sizes)
        return Missing("split", params, f"seeds and experts are of {have} params", f"the same at {SIZES} sizes")
    seen = base.get(params, 0.0)
    if seen is None:
        reason = "the table does not say what the starting model has seen"
        return Missing("split", params, reason, "fill seed_tokens of its rows")
    start = None
    if continued is not None and params in continued.domain and seen > 0:
        start = continued.domain[params].level
    shares = grid()
    shares = shares[shares <= WHOLE]
    value, _ = _losses(found, params, seen, tokens, shares, question, start)
    share = shares[[int(np.argmin(value))]]
    expert, seed = float((1 - share[0]) * tokens / question.domains), seen + float(share[0]) * tokens
    parts = (
        ("each expert", "experts", expert, found.longest),
        ("the seed", "seeds", seed, max(found.longest_seed, seen)),
    )
    for part, several, planned, longest in parts:
        if planned > question.reach * longest:
            times, need = planned / longest, f"{several} of {short(planned / question.reach)} tokens"
            reason = (
                f"{short(planned)} tokens of {part} are {times:.3g} times the longest, more than {question.reach:g}"
            )
            return Missing("split", params, reason, need)
    around = [_losses(found, params, seen, tokens * np.exp(step), share, question, start)[0] for step in (-STEP, STEP)]
    loss, drawn = _losses(found, params, seen, tokens, share, question, start)
    more = float(share[0]) * tokens
    forgetting, lost = forgotten(continued, params, more, 0.0 if question.keep_seed else expert, question.reach)
    unique = question.unique_tokens
    return Option(
        kind="split",
        params=params,
        tokens=tokens,
        flops=6 * params * tokens,
        loss=float(loss[0] if drawn is None else drawn.mean()),
        draws=drawn,
        forgetting=forgetting,
        forgetting_draws=lost,
        slope=float(around[1][0] - around[0][0]) / (2 * STEP),
        beyond=max(planned / longest for _, _, planned, longest in parts),
        noise=None if drawn is None else np.full(len(drawn), found.fitted.noise * float(loss[0])),
        seed_tokens=seed,
        expert_tokens=expert,
        experts=question.domains,
        epochs=None if unique is None else expert * question.domains / unique,
        untried=not np.isclose(found.sizes, params, rtol=1e-6).any(),
    )


def _losses(
    found: Splits, params: float, seen: float, tokens: float, shares: Array, question: Question, start: float | None
) -> tuple[Array, Array | None]:
    """Losses (n,) with a share of ``tokens`` on the seed (n,), and draws (B,) of the first.

    Each of K domains has a K-th of the unique domain text.
    """
    domains = question.domains or 1
    unique = None if question.unique_tokens is None else question.unique_tokens / domains
    expert = (1 - shares) * tokens / domains
    counted, _ = fresh(expert, np.ones_like(expert), unique)
    at = [np.append(seen + shares * tokens, seen), np.append(counted, 0.0)]
    if start is None:
        at = [at[0][:-1], at[1][:-1]]
    value, slopes = found.fitted.losses(params, *at)
    level = np.ones_like(value) if start is None else np.full_like(value, start / value[-1])
    bent = slopes if start is None else slopes - slopes[-1]
    wide = found.fitted.widened(bent[:1], question.level)
    drawn = None if wide.moves is None else wide.drawn((value * level)[:1], bent[:1])[:, 0]
    return (value * level)[: len(shares)], drawn


def forgotten(
    continued: Continued | None, params: float, general: float, expert: float, reach: float
) -> tuple[float | None, Array | None]:
    """General loss less the starting model's, after general text and then filtered text (0: that of the seed).

    The sum of what each does to the starting model. None where the text was not tried at this size, or only for less
    than 1/``reach`` of these tokens.
    """
    if continued is None or params not in continued.general:
        return None, None
    if max(general, expert) > reach * continued.longest[params]:
        return None, None
    surface = continued.general[params]
    tried = surface.levels.ratios
    parts = [(ratio, tokens) for ratio, tokens in ((0.0, general), (1.0, expert)) if tokens > 0]
    if any((np.abs(tried - ratio) > 1e-9).all() for ratio, _ in parts):
        return None, None
    if not parts:
        return 0.0, None
    ratios, tokens = np.array(parts).T
    found = surface.at(ratios, np.maximum(tokens, surface.levels.first))
    return float(found.expected.sum()), None if found.draws is None else found.draws.sum(axis=1)
