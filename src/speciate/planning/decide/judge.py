"""Which option is best, how likely that is, and what being wrong is expected to cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.planning.decide.options import Option
from speciate.planning.decide.question import Question

Array = NDArray[np.float64]
FARTHEST = 100.0  # times the final run: a loss that takes more FLOPs is called out of reach


@dataclass(frozen=True)
class Verdict:
    """``best``: index of the choice, None where no option keeps the limit; ``second``: of the next best that does.

    ``p_best`` of every option, of the draws. ``regret``: expected nats/token by which the choice is worse than the best
    option of each draw; ``regret_flops``: what the choice would take beyond its own to make that good, None where that
    is out of reach. These are None without draws.
    """

    best: int | None
    second: int | None
    p_best: tuple[float, ...] | None
    regret: float | None
    regret_flops: float | None


def judge(options: Sequence[Option], question: Question) -> Verdict:
    """Least expected loss among options that keep the limit on forgetting with probability SAFE.

    An option is best in a draw if it keeps the limit there and no other that does has a lower loss.
    """
    feasible = [i for i, option in enumerate(options) if option.feasible(question)]
    best, second = [*sorted(feasible, key=lambda i: options[i].loss), None, None][:2]
    drawn = [option.draws for option in options if option.draws is not None]
    if not options or len(drawn) < len(options):
        return Verdict(best, second, None, None, None)
    losses = np.stack(drawn, axis=1)  # (B, options)
    allowed = np.stack([kept(option, question, len(losses)) for option in options], axis=1)
    among = np.where(allowed, losses, np.inf)
    some = allowed.any(axis=1)
    wins = np.bincount(np.argmin(among, axis=1)[some], minlength=len(options)) / len(losses)
    p_best = tuple(float(p) for p in wins)
    if best is None:
        return Verdict(None, None, p_best, None, None)
    short_of = losses[:, best] - among.min(axis=1)
    regret = float(np.mean(np.where(some, np.maximum(short_of, 0.0), 0.0)))
    return Verdict(best, second, p_best, regret, flops_for(options[best], regret))


def kept(option: Option, question: Question, draws: int) -> NDArray[np.bool_]:
    """In which draws (B,) an option keeps the limit."""
    if question.tolerance is None:
        return np.ones(draws, dtype=bool)
    if option.forgetting_draws is None:
        return np.full(draws, option.feasible(question))
    return np.asarray(option.forgetting_draws <= question.tolerance)


def flops_for(option: Option, nats: float) -> float | None:
    """FLOPs beyond its own that would lower an option's loss by ``nats``, on the line of its slope against ln FLOPs.

    C (exp(nats / |slope|) - 1); None where the loss does not fall, or that is more than FARTHEST times C.
    """
    if nats <= 0:
        return 0.0
    if option.slope >= 0 or nats / -option.slope > np.log1p(FARTHEST):
        return None
    return float(option.flops * np.expm1(nats / -option.slope))
