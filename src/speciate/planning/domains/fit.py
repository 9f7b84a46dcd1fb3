"""Fitting the mixing law of every evaluation set (``domains_law``) at the horizon, and drawing how wrong it may be.

The power p of the shares that a domain's law sees: p = 1, the published law, is believed as much beforehand as all
others together; rows decide, and draws differ in p. Draws refit the law to  law + noise + error of the extrapolation:
the noise has the residuals' variance with its degrees of freedom. Part of that variance is a new run's luck, part is
what the law misses; replicates of one mixture tell them apart, and without any the division is drawn evenly. What the
law misses is added to it, one value per draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speciate.errors import NotDecidable
from speciate.fitting.solve import solve, solve_batch
from speciate.laws.law import Law
from speciate.laws.mixing import mixing
from speciate.planning.domains.horizon import AtHorizon
from speciate.planning.domains.law import SetLaw
from speciate.planning.domains.rows import DomainRuns

Array = NDArray[np.float64]
SAME = 1e-4  # shares closer than this are one mixture
POWERS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2)  # of the shares that a domain's law sees
SPARE = 3  # rows more than parameters from which powers are told apart
EXACT = 1e-6  # nats/token below which a residual is rounding
TAME = 2.0  # degrees of freedom added to a variance read off few of them


@dataclass(frozen=True, eq=False)
class Powers:
    """Fits by power (G,): theta (G, P), residuals (G, n), and how much each is believed (G,)."""

    power: Array
    theta: Array
    left: Array
    weight: Array


@dataclass(frozen=True, eq=False)
class SetFit:
    """The law fitted to one set's losses y (n,) of the runs ``use`` (N,), through shares x (n, K)."""

    name: str
    law: Law
    use: NDArray[np.bool_]
    x: Array
    y: Array
    powers: Powers
    freedom: int

    @property
    def best(self) -> int:
        """The power that is believed most."""
        return int(np.argmax(self.powers.weight))

    @property
    def left(self) -> Array:
        """Residuals (n,)."""
        return np.asarray(self.powers.left[self.best], dtype=float)


def fit_set(runs: DomainRuns, name: str, at: AtHorizon, shares: Array) -> SetFit:
    """The law of one set through its runs' losses at the horizon; ``shares`` (N, K) as the law is to see them."""
    use = np.isfinite(at.change)
    x, y = shares[use], runs.starts[name] + at.change[use]
    law = mixing([*runs.domains, runs.general])
    width = len(law.parameters)
    if len(np.unique(distinct(x))) < width:
        reason = f"{len(np.unique(distinct(x)))} mixtures can be compared on {name}, {width} are needed"
        raise NotDecidable(reason, f"measure more mixtures on {name} at the horizon")
    powers = (1.0,) if name == runs.general or len(y) - width < SPARE else POWERS
    return SetFit(name, law, use, x, y, _by_power(law, runs, x, y, powers), len(y) - width - int(len(powers) > 1))


def pooled_variance(fits: Sequence[SetFit]) -> float:
    """Variance of all sets' residuals together, (nats/token)^2: what one set with few spare runs is judged with."""
    freedom = sum(max(fit.freedom, 0) for fit in fits)
    return sum(float(fit.left @ fit.left) for fit in fits if fit.freedom > 0) / freedom if freedom else 0.0


def with_draws(
    runs: DomainRuns, fit: SetFit, at: AtHorizon, drawn: Array | None, pooled: float, rng: np.random.Generator,
    draws: int,
) -> SetLaw:  # fmt: skip
    """A fitted law with its draws. ``drawn`` (B, N, K): the shares as it sees them in every draw, where they differ."""
    powers, left, freedom = fit.powers, fit.left, fit.freedom
    theta, rmse = powers.theta[fit.best], float(np.sqrt(np.mean(left**2)))
    if freedom < 1:
        found = _law(fit, theta[None], np.ones(1), np.zeros(1), np.zeros(1))
        return replace(found, rmse=rmse, freedom=freedom)
    total = (float(left @ left) + TAME * pooled) / rng.chisquare(freedom + TAME, draws)
    run, missed, replicated = divided(total, fit.y, fit.x, rng)
    shift, mean = _trunk_part(left, np.array(runs.trunks)[fit.use], rng, draws)
    noise = np.sqrt(total)[:, None] * rng.standard_normal((draws, len(left))) + shift
    noise += at.common_draws(runs.shares, rng, draws)[:, fit.use]
    which = rng.choice(len(powers.weight), size=draws, p=powers.weight)
    again = np.empty((draws, len(theta)))
    for i, power in enumerate(powers.power):
        some = which == i
        if some.any():
            told = fit.y - powers.left[i] + noise[some]
            inputs = columns(runs, (fit.x if drawn is None else drawn[some][:, fit.use]) ** power)
            again[some], _ = solve_batch(fit.law, inputs, told, np.ones_like(told), powers.theta[i], "squared")
    offset = mean + np.sqrt(missed) * rng.standard_normal(draws)
    used = np.append(powers.power[fit.best], powers.power[which])
    luck = np.append(np.sqrt(np.median(run)), np.sqrt(run))
    found = _law(fit, np.concatenate([theta[None], again]), used, np.append(0.0, offset), luck)
    return replace(found, rmse=rmse, freedom=freedom, replicated=replicated)


def _by_power(law: Law, runs: DomainRuns, x: Array, y: Array, powers: tuple[float, ...]) -> Powers:
    """The law fitted at every power of the shares. Believed is the likelihood times a prior, half of it on power 1."""
    seen = np.stack([x**power for power in powers])
    theta, lefts = fit_many(law, runs, seen, y)
    squares = np.square(lefts).sum(axis=1) + len(y) * EXACT**2
    freedom = max(len(y) - len(law.parameters) - 1, 1)
    log = -0.5 * freedom * np.log(squares / squares.min())
    weight = np.exp(log) * np.where(np.array(powers) == 1.0, max(len(powers) - 1, 1), 1.0)
    return Powers(np.array(powers), theta, lefts, weight / weight.sum())


def fit_many(law: Law, runs: DomainRuns, x: Array, y: Array) -> tuple[Array, Array]:
    """Theta (G, P) and residuals (G, n) of the law fitted to y (n,) through shares, or powers of them, x (G, n, K).

    Two of them are searched for all over; the others descend from both of these optima.
    """
    many = np.broadcast_to(y, (len(x), len(y)))
    found = []
    for begin in dict.fromkeys((0, len(x) // 2)):
        first = solve(law, columns(runs, x[begin]), y, None, "squared").theta
        if len(x) == 1:
            theta = first[None]
        else:
            theta, _ = solve_batch(law, columns(runs, x), many, np.ones(many.shape), first, "squared")
        found.append((theta, many - law.predict(theta, columns(runs, x))))
    best = np.argmin([np.square(left).sum(axis=1) for _, left in found], axis=0)
    every = np.arange(len(x))
    return np.stack([one for one, _ in found])[best, every], np.stack([one for _, one in found])[best, every]


def _law(fit: SetFit, theta: Array, power: Array, offset: Array, run_sd: Array) -> SetLaw:
    base, floor, slopes = theta[:, 0], theta[:, 1], theta[:, 2:]
    scale = np.maximum(base * (1.0 - floor), 1e-9)
    return SetLaw(fit.name, fit.law, theta[0], slopes, base + offset, scale, power, run_sd, 0.0, 0, False,
                  len(theta) > 1)  # fmt: skip


def columns(runs: DomainRuns, shares: Array) -> dict[str, Array]:
    """The law's inputs for shares (..., n, K), or powers of them."""
    inputs = {f"share_{name}": shares[..., k] for k, name in enumerate(runs.domains)}
    return inputs | {f"share_{runs.general}": np.maximum(1.0 - shares.sum(axis=-1), 0.0)}  # the law reads it at w = 0


def divided(total: Array, y: Array, shares: Array, rng: np.random.Generator) -> tuple[Array, Array, bool]:
    """A variance (B,) as a run's luck and what the law misses, each (B,); whether replicates told."""
    which = distinct(shares)
    count = np.bincount(which)
    spare = int((count - 1).sum())
    if spare < 1:
        part = rng.uniform(0, 1, len(total))
        return total * part, total * (1 - part), False
    means = np.bincount(which, y) / count
    pure = float(np.square(y - means[which]).sum()) / spare
    run = np.minimum(pure * (spare + TAME) / rng.chisquare(spare + TAME, len(total)), total)
    return run, total - run, True


def _trunk_part(left: Array, trunks: NDArray[np.str_], rng: np.random.Generator, draws: int) -> tuple[Array, Array]:
    """Draws of trunks' effects: on every row (B, n) less their mean, and on the mean over trunks (B,).

    With one trunk the answer is about that starting model. The variance between is read off the residuals' means
    (ANOVA).
    """
    names, which = np.unique(trunks, return_inverse=True)
    count = np.bincount(which).astype(float)
    if len(names) < 2 or len(left) <= len(names):
        return np.zeros((draws, len(left))), np.zeros(draws)
    means = np.bincount(which, left) / count
    within = float(np.square(left - means[which]).sum()) / (len(left) - len(names))
    freedom = len(names) - 1
    typical = (count.sum() - float(count @ count) / count.sum()) / freedom
    between = max((float(count @ means**2) / freedom - within) / typical, 0.0)
    sd = np.sqrt(between * (freedom + TAME) / rng.chisquare(freedom + TAME, draws))
    effect = sd[:, None] * rng.standard_normal((draws, len(names)))
    middle = effect.mean(axis=1)
    return np.asarray((effect - middle[:, None])[:, which], dtype=float), np.asarray(middle, dtype=float)


def distinct(shares: Array) -> NDArray[np.int_]:
    """Number (n,) of the mixture that each run has.

    >>> distinct(np.array([[0.1, 0.2], [0.3, 0.0], [0.1, 0.2]]))
    array([0, 1, 0])
    """
    _, which = np.unique(np.round(shares / SAME), axis=0, return_inverse=True)
    return np.asarray(which.reshape(-1), dtype=int)
