"""What a run is worth before it is run: the expected value of sample information, from draws.

    value(run) = E_y [ E(regret of the action that is best now | y) - min_a E(regret of a | y) ]

over what the run may measure, y (Raiffa and Schlaifer 1961, chapter 4, "preposterior analysis"). Draw b of the
posterior says what every action would cost, regret[b, a], and what the run would measure, y ~ N(expected[b], noise[b]).
Given an outcome y the draws weigh w_b(y) = N(y; expected[b], noise[b]): no refit, and no rule of thumb of what a run
may be good for. Two ways in which that errs upwards are closed:

- An outcome known better than the draws lie dense leaves a handful of them, and the least mean of a handful is too
  low. The noise is then widened until ``FEWEST`` draws count. A run that measures less well is worth no more
  (Blackwell 1953), so the value is then a lower bound; ``Value.widened`` says by how much.
- An action chosen by draws looks good to the same draws. What a run that has nothing to do with the question would seem
  to be worth for that reason (the draws of the regret in another order) is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OUTCOMES = 256  # outcomes of a run that are looked at
GLANCE = 32  # of one that may not be worth looking at
FEWEST = 60.0  # effective draws behind a typical outcome
STEP, STEPS = 1.4, 24  # by which noise is widened, and how often
LEAST_SHARE = 10.0  # draws within a standard deviation, by which noise is widened at once: a sixth of FEWEST
MOST_ACTIONS = 64
TINY = 1e-12  # nats/token: below any measured loss's rounding


@dataclass(frozen=True)
class Outcome:
    """What a run would measure: in draw b, measurement m ~ N(expected[b, m], noise[b, m]); both (B, M), nats/token.

    Measurements are independent given the draw. Repeating a run repeats its columns.
    """

    expected: Array
    noise: Array

    def times(self, repeats: int) -> Outcome:
        """The same run with other seeds."""
        return Outcome(np.tile(self.expected, (1, repeats)), np.tile(self.noise, (1, repeats)))


@dataclass(frozen=True)
class Value:
    """``drop``: expected fall of the regret (nats/token), 0 or more; ``error``: its standard error over outcomes.

    ``draws``: effective draws behind the median outcome; ``widened``: times the noise was widened (1: as it is).
    """

    drop: float
    error: float
    draws: float
    widened: float


def best_action(regret: Array) -> int:
    """The action of least expected regret: (B, A) -> index."""
    return int(np.argmin(regret.mean(axis=0)))


def expected_regret(regret: Array) -> float:
    """What the best action now is expected to cost (nats/token): what knowing everything would be worth."""
    return float(regret.mean(axis=0).min())


def few_actions(regret: Array) -> Array:
    """At most MOST_ACTIONS of the actions (B, A) -> (B, a): over those that are best in some draw, and the best now.

    To choose among fewer actions after an outcome can only make a run look worth less. Actions are in order.
    """
    now, best = best_action(regret), np.unique(regret.argmin(axis=1))
    low, high = min(int(best[0]), now), max(int(best[-1]), now)
    kept = np.linspace(low, high, min(high - low + 1, MOST_ACTIONS)).round().astype(int)
    return np.asarray(regret[:, np.unique(np.append(kept, now))])


def value_of(regret: Array, outcome: Outcome, *, outcomes: int = OUTCOMES, seed: int = 0) -> Value:
    """The expected drop of regret (B, A) when the action is chosen after ``outcome`` was seen.

    One number to be guessed, prior N(0, 1), squared error, measured once with noise of sd 1: half of the variance goes.

    >>> theta = np.random.default_rng(0).standard_normal((2000, 1))
    >>> regret = (np.linspace(-3, 3, 61) - theta) ** 2
    >>> round(value_of(regret, Outcome(theta, np.ones_like(theta))).drop, 1)
    0.5
    """
    count = len(regret)
    rng = np.random.default_rng(seed)
    chosen = _spread_out(regret, min(outcomes, count))
    even = [NormalDist().inv_cdf((i + 0.5) / len(chosen)) for i in range(len(chosen))]
    normal = np.stack([rng.permutation(even) for _ in range(outcome.expected.shape[1])], axis=1)
    weights, draws, widened = _weights(outcome, chosen, normal)
    weights[np.arange(len(chosen)), chosen] = 0.0  # the draw an outcome came from knows the answer
    now = best_action(regret)
    gains = _gains(weights, regret, now)
    luck = float(_gains(weights, regret[rng.permutation(count)], now).mean())
    error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return Value(max(float(gains.mean()) - luck, 0.0), error, draws, widened)


def _spread_out(regret: Array, count: int) -> NDArray[np.int_]:
    """``count`` draws, even over what is best in them: the same for every candidate, so that luck favours none."""
    order = np.argsort(regret.argmin(axis=1), kind="stable")
    return np.asarray(order[((np.arange(count) + 0.5) * len(order) / count).astype(int)])


def _gains(weights: Array, regret: Array, now: int) -> Array:
    """What the best action after each outcome (S,) is expected to cost less than the action ``now``."""
    cost = _means(weights, regret)
    return np.asarray(cost[:, now] - cost.min(axis=1))


def _means(weights: Array, regret: Array) -> Array:
    """Expected regrets (S, A) under weights (S, b); of all draws alike where an outcome leaves none."""
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, weights, 1.0) @ regret / np.where(total > 0, total, len(regret)))


def _weights(outcome: Outcome, chosen: NDArray[np.int_], normal: Array) -> tuple[Array, float, float]:
    """Weights (S, B) of the draws given outcomes made from the draws ``chosen``; effective draws; widening."""
    base = np.maximum(outcome.noise, TINY)
    sharpness = outcome.expected.std(axis=0) / np.median(base, axis=0)
    widened = max(1.0, LEAST_SHARE / len(base) * float(sharpness.min()))  # too few draws count below this, surely
    for _ in range(STEPS):
        noise = base * widened
        made = outcome.expected[chosen] + noise[chosen] * normal
        log = np.zeros((len(chosen), len(noise)))
        for m in range(noise.shape[1]):
            log -= 0.5 * ((made[:, m, None] - outcome.expected[None, :, m]) / noise[None, :, m]) ** 2
        log -= np.log(noise).sum(axis=1)
        weights = np.exp(log - log.max(axis=1, keepdims=True))
        effective = weights.sum(axis=1) ** 2 / np.square(weights).sum(axis=1)
        draws = float(np.median(effective))
        if draws >= min(FEWEST, 0.5 * len(noise)):
            break
        widened *= STEP
    return weights, draws, widened
