"""The final runs that the three continued kinds offer at one size: general text, filtered text, the best mixture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speciate.planning.decide.continued import LEAST, Continued
from speciate.planning.decide.options import Kind, Missing, Option
from speciate.planning.decide.question import Question
from speciate.planning.words import short

Array = NDArray[np.float64]
STEP = 0.05  # between ratios of mixtures that are considered, and in ln tokens for slopes
CONTINUED: tuple[Kind, ...] = ("general", "filtered", "mixture")


def continued_options(
    found: Continued, params: float, tokens: float, question: Question
) -> tuple[list[Option], list[Missing]]:
    """At most one option of each kind at one size, for a final run of ``tokens``."""
    ratios = found.ratios(params)
    first = found.first.get(params, max(found.first.values()))
    if tokens < first:
        reason = f"the budget buys {short(tokens)} tokens, fewer than the first measurement ({short(first)})"
        return [], [Missing(kind, params, reason, "a larger budget, or earlier checkpoints") for kind in CONTINUED]
    times, longest = found.reach(params, tokens), tokens / found.reach(params, tokens)
    if times > question.reach:
        reason = f"{short(tokens)} tokens are {times:.3g} times the longest pilot, more than {question.reach:g}"
        need = f"pilots of {short(tokens / question.reach)} tokens"
        return [], [Missing(kind, params, reason, need) for kind in CONTINUED]
    plans, missing = [], []
    for kind, ratio in ((CONTINUED[0], 0.0), (CONTINUED[1], 1.0)):
        if (np.abs(ratios - ratio) < 1e-9).any():
            plans.append((kind, ratio))
        else:
            what = f"no run on {kind} text only (domain_ratio {ratio:g}) was tried"
            missing.append(Missing(kind, params, what, pilot(found, params, ratio, longest)))
    inner = mixtures(ratios)
    if not len(inner):
        what = "no mixture (domain_ratio between 0 and 1) was tried"
        missing.append(Missing("mixture", params, what, pilot(found, params, 0.5, longest)))
    options = _options(found, [*plans, *((CONTINUED[2], float(ratio)) for ratio in inner)], params, tokens, question)
    mixed = options[len(plans) :]
    return [*options[: len(plans)], *([best_mixture(mixed, question)] if mixed else [])], missing


def pilot(found: Continued, params: float, ratio: float, tokens: float) -> str:
    """The run that would let a kind be considered, at a size that was tried."""
    size = params if params in found.domain else min(found.domain)
    flops = 6 * size * tokens
    return f"a run of {short(size)} params, domain_ratio {ratio:g}, {short(tokens)} tokens ({flops:.2g} FLOPs)"


def mixtures(tried: Array) -> Array:
    """Ratios to consider: those tried, and between them steps of STEP where a law across ratios can be fitted."""
    inner = tried[(tried > 0) & (tried < 1)]
    if len(tried) < LEAST:
        return inner
    steps = np.arange(STEP, 1.0 - 1e-9, STEP).round(6)
    steps = steps[(steps > tried[0]) & (steps < tried[-1])]
    return np.unique(np.concatenate([inner, steps]))


def best_mixture(choices: Sequence[Option], question: Question) -> Option:
    """The least loss among ratios that keep the limit, else the ratio most likely to keep it."""
    safe = [one for one in choices if one.feasible(question)]
    if safe:
        return min(safe, key=lambda one: one.loss)
    return max(choices, key=lambda one: (one.within(question), -(one.forgetting or 0.0)))


def _options(
    found: Continued, plans: Sequence[tuple[Kind, float]], params: float, tokens: float, question: Question
) -> list[Option]:
    """One for each kind and ratio; slopes are central differences in ln tokens."""
    ratios = np.array([ratio for _, ratio in plans])
    many = np.concatenate([np.full(len(ratios), tokens * np.exp(step)) for step in (-STEP, 0.0, STEP)])
    domain, forgetting = found.at(params, np.tile(ratios, 3), many, question)
    before, here, after = (slice(i * len(ratios), (i + 1) * len(ratios)) for i in range(3))
    slopes = (domain.value[after] - domain.value[before]) / (2 * STEP)
    noise, general_noise = found.noise(params, tokens)
    unique = question.unique_tokens
    return [
        Option(
            kind=kind,
            params=params,
            tokens=tokens,
            flops=6 * params * tokens,
            loss=float(domain.expected[here][i]),
            draws=None if domain.draws is None else domain.draws[:, here][:, i],
            forgetting=float(forgetting.expected[here][i]),
            forgetting_draws=None if forgetting.draws is None else forgetting.draws[:, here][:, i],
            slope=float(slopes[i]),
            beyond=found.reach(params, tokens),
            noise=noise,
            forgetting_noise=general_noise,
            domain_ratio=ratio,
            epochs=None if unique is None else tokens * ratio / unique,
            untried=params not in found.domain,
        )
        for i, (kind, ratio) in enumerate(plans)
    ]
