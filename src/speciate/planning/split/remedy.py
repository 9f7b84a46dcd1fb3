"""Which run would tell splitting from not splitting, and how much narrower it would make the gain's interval."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.special import ndtri

from speciate.laws.law import Array
from speciate.planning.split.budget import Budget
from speciate.planning.split.fit import Fitted
from speciate.planning.words import short

FEW = 8  # values of each input that are tried
NEARLY = 0.8  # of the variance that one run can take away
MOST = 10  # repeats of one run that are still called telling


@dataclass(frozen=True)
class SplitRun:
    """Runs to buy: ``repeats`` of one, each with its own seed, of ``tokens`` of one domain after ``seed_tokens``.

    ``flops`` of all repeats (6 params tokens) leave out the seed where the rows have one of that size and length: its
    checkpoint is taken to be kept. ``before`` and ``after``: half the width of the gain's interval, nats/token.
    """

    params: float
    seed_tokens: float
    tokens: float
    repeats: int
    flops: float
    before: float
    after: float
    settles: bool

    def run(self) -> str:
        """What is to be run, for a person."""
        times = "" if self.repeats == 1 else f"{self.repeats} runs of "
        start = f"a seed of {short(self.seed_tokens)} tokens, then " if self.seed_tokens else "from scratch, "
        what = f"{times}{short(self.params)} params, {start}{short(self.tokens)} of one domain"
        return f"{what} ({self.flops:.2g} FLOPs)"

    def to_json(self) -> dict[str, Any]:
        """{text, spec {params, seed_tokens, tokens, repeats, flops}, half_width_before, half_width_after, settles}."""
        does = "this would tell" if self.settles else "no run tells by itself; this one narrows it most for its price"
        return {
            "text": f"{self.run()}: the gain's interval shrinks from +-{self.before:.2g} to +-{self.after:.2g} nats "
            f"({does})",
            "spec": {"params": self.params, "seed_tokens": self.seed_tokens, "tokens": self.tokens,
                     "repeats": self.repeats, "flops": self.flops},
            "half_width_before": self.before,
            "half_width_after": self.after,
            "settles": self.settles,
        }  # fmt: skip


def telling_run(fitted: Fitted, budget: Budget, level: float) -> SplitRun | None:
    """The cheapest run, repeated at most MOST times, that would take 0 out of the gain's interval.

    If there is none, the cheapest that narrows it nearly as much as any run can. Candidates are sizes, seeds and tokens
    of the rows, those of the plan and of not splitting, and twice the longest expert run. With S the covariance of the
    draws, c the gain's gradient, g that of the candidate's ln loss and v its noise, n measurements lower the gain's
    variance c'Sc by (c'Sg)^2 / (g'Sg + v/n). What the law has wrong beyond the rows no such run takes away. None
    without draws.
    """
    wide = fitted.widened(budget.directions, level)
    if wide.moves is None:
        return None
    runs, flops = candidates(fitted, budget)
    slopes = fitted.losses(*runs.T)[1]
    around = np.cov(wide.moves, rowvar=False)
    gain, gradient = contrast(fitted, budget)
    shared = slopes @ around @ gradient
    seen = np.einsum("np,pq,nq->n", slopes, around, slopes)
    noise = fitted.noise**2
    variance = float(gradient @ around @ gradient) + budget.beyond**2 * (budget.loss**2 + budget.unsplit**2)
    half = float(ndtri((1 + level) / 2))
    excess = max(variance - (0.98 * gain / half) ** 2, 1e-300)
    room = shared**2 / excess - seen
    with np.errstate(divide="ignore", over="ignore"):
        times = np.where(room > 0, np.maximum(np.ceil(noise / room), 1.0), np.inf)
    settles = times <= MOST
    one = shared**2 / (seen + noise)
    if not settles.any():  # the cheapest of those that do nearly as much as any that costs no more than the plan
        affordable = flops <= 6.01 * budget.params * budget.total
        times = np.where(affordable & (one >= NEARLY * one[affordable].max()), 1.0, np.inf)
    best = int(np.argmin(np.where(settles | ~settles.any(), times * flops, np.inf)))
    repeats = int(times[best])
    left = max(variance - float(shared[best] ** 2 / (seen[best] + noise / repeats)), 0.0)
    params, seed_tokens, tokens = (float(value) for value in runs[best])
    return SplitRun(params, seed_tokens, tokens, repeats, float(flops[best]) * repeats, half * variance**0.5,
                    half * left**0.5, bool(settles[best]))  # fmt: skip


def contrast(fitted: Fitted, budget: Budget) -> tuple[float, Array]:
    """The gain that is in doubt and its slopes (P,) in the free coordinates.

    It is the plan's own, or, where the plan is not to split, that of the split which most often wins in the draws.
    """
    unsplit = budget.unsplit * budget.directions[1]
    if not budget.never:
        return budget.gain, np.asarray(unsplit - budget.loss * budget.directions[0])
    assert budget.seed_draws is not None
    wins = budget.seed_draws[budget.seed_draws < budget.total]
    seed = float(np.median(wins)) if len(wins) else 0.9 * budget.total
    loss, slopes = fitted.losses(budget.params, np.array([seed]), np.array([(budget.total - seed) / budget.domains]))
    return budget.unsplit - float(loss[0]), np.asarray(unsplit - loss[0] * slopes[0])


def candidates(fitted: Fitted, budget: Budget) -> tuple[Array, Array]:
    """Runs (n, 3) of params, seed_tokens, tokens, and the FLOPs of each (n,)."""
    x = fitted.weighted.x
    sizes = some(np.append(x["params"], budget.params)) if "params" in x else np.array([budget.params])
    seeds = some(np.append(x["seed_tokens"], min(budget.seed, x["seed_tokens"].max())))
    tokens = some(np.append(x["tokens"], [2 * x["tokens"].max(), budget.expert]))
    kept = {(float(n), float(d)) for n, d in zip(x.get("params", np.full(len(fitted.rows), budget.params)),
                                                 x["seed_tokens"], strict=True)}  # fmt: skip
    plan = [(budget.params, budget.seed, budget.expert), (budget.params, budget.total, 0.0)]
    runs = np.array([*(run for run in product(sizes, seeds, tokens) if run[1] + run[2] > 0), *plan])
    paid = [6 * n * (t + (0.0 if t > 0 and (float(n), float(d)) in kept else d)) for n, d, t in runs]
    return runs, np.array(paid)


def some(values: Array) -> Array:
    """At most FEW of the different values, the ends among them."""
    different = np.unique(values)
    return np.asarray(different[np.linspace(0, len(different) - 1, min(FEW, len(different))).round().astype(int)])
