"""Unequal domains: weights w_k, a fit for every domain, and experts that need not see the same number of tokens.

minimise  sum_k w_k L_k(N, D, D'_k)  subject to  D + sum_k D'_k = total.

For every seed on a grid the rest goes to the experts step by step, each step to the one whose weighted loss falls most
per token: exact where losses are convex in D', which the law is for s <= 1. The best point is then polished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speciate.laws.law import Array
from speciate.laws.split import SPLIT
from speciate.planning.split.budget import Budget, first_crossing, lowest, near, rates
from speciate.planning.split.fit import Fitted

DRAWS = 200  # a thousand would take ten seconds
STEPS = 48  # token counts of an expert that are tried, 1e-4 of the total to all of it
CELLS = 4_000_000  # numbers sorted at a time


@dataclass(frozen=True, eq=False)
class Unequal:
    """The whole budget, and of every expert (K,): tokens, loss, loss without splitting; draws of these (B, K)."""

    budget: Budget
    tokens: Array
    loss: Array
    unsplit: Array
    token_draws: Array | None
    loss_draws: Array | None
    unsplit_draws: Array | None
    options: list[dict[str, float | None]]


def unequal(fits: Sequence[Fitted], weights: Array, params: float, total: float, level: float) -> Unequal:
    """The best seed and experts for K fits and weights (K,) that sum to 1."""
    shares = np.unique(np.concatenate([np.linspace(0.0, 1.0, 61), [0.002, 0.005, 0.01, 0.99, 0.995]]))
    tokens = np.append(0.0, np.geomspace(1e-4, 1.0, STEPS)) * total
    wide = [narrowed(one, widest(one, params, total, level)) for one in fits]
    surfaces = [surface(one, params, shares * total, tokens) * w for one, w in zip(wide, weights, strict=True)]
    loss, amounts = filled(np.stack(surfaces, axis=2), tokens, (1 - shares) * total)
    best = int(np.argmin(loss[0]))
    start = np.append(shares[best], amounts[0, best] / total)
    point = polished(fits, weights, params, total, start) * total
    own = [one.losses(params, np.array([point[0], total]), np.array([point[k + 1], 0.0])) for k, one in enumerate(wide)]
    value = np.array([losses for losses, _ in own])  # (K, 2)
    options = [
        {"seed_tokens": float(s * total), "expert_tokens": float((1 - s) * total / len(fits)), "loss": float(least),
         "low": None, "high": None}
        for s, least in zip(shares, loss[0], strict=True)
    ]  # fmt: skip
    seed_draws = loss_draws = unsplit_draws = gains = token_draws = own_draws = None
    if all(one.moves is not None for one in wide):
        where, least = lowest(shares, loss[1:])
        own_draws = np.stack([one.drawn(*own[k]) for k, one in enumerate(wide)], axis=1)  # (B, K, 2)
        loss_draws, unsplit_draws = np.moveaxis(weights @ own_draws, -1, 0)
        seed_draws, gains = where * total, np.where(where == 1.0, 0.0, np.maximum(loss[1:, -1] - least, 0.0))
        token_draws = amounts[1:][np.arange(len(where)), np.argmin(loss[1:], axis=1)]
    splitting, splitting_draws = crossing(wide, weights, params, total)
    budget = Budget(
        params=params,
        total=total,
        domains=len(fits),
        seed=float(point[0]),
        loss=float(weights @ value[:, 0]),
        unsplit=float(weights @ value[:, 1]),
        splitting_point=splitting,
        seed_draws=seed_draws,
        loss_draws=loss_draws,
        unsplit_draws=unsplit_draws,
        best_gain_draws=gains,
        splitting_draws=splitting_draws,
        directions=np.zeros((0, 0)),
    )
    split, alone = (None, None) if own_draws is None else (own_draws[..., 0], own_draws[..., 1])
    return Unequal(budget, point[1:], value[:, 0], value[:, 1], token_draws, split, alone, options)


def widest(fitted: Fitted, params: float, total: float, level: float) -> Fitted:
    """Draws as wide as the units behind the losses of never splitting and of splitting half-way ask."""
    half = np.array([total / 2, total])
    slopes = fitted.losses(params, half, np.array([total / 2, 0.0]))[1]
    return fitted.widened(np.stack([slopes[0], slopes[1], slopes[1] - slopes[0]]), level)


def narrowed(fitted: Fitted, wide: Fitted) -> Fitted:
    """At most DRAWS of the draws."""
    return fitted if wide.moves is None else replace(wide, moves=wide.moves[:DRAWS])


def surface(fitted: Fitted, params: float, seeds: Array, tokens: Array) -> Array:
    """Losses (1 + B, G, M) at every pair of seed (G,) and expert tokens (M,), the estimate first."""
    pairs = np.meshgrid(seeds, np.maximum(tokens, 1e-9 * tokens[-1]), indexing="ij")  # 0 and 0 has no loss
    value, slopes = fitted.losses(params, *(column.ravel() for column in pairs))
    moved = value[None] if fitted.moves is None else np.concatenate([value[None], fitted.drawn(value, slopes)])
    return moved.reshape(-1, len(seeds), len(tokens))


def filled(curves: Array, tokens: Array, left: Array) -> tuple[Array, Array]:
    """The least sum of K losses when ``left`` (G,) tokens are shared among them: losses (B, G), tokens (B, G, K).

    ``curves`` (B, G, K, M) are losses at ``tokens`` (M,), from 0 on, straight in between. A curve that bends the
    wrong way is filled in its own order.

    >>> curves = np.array([[[[4.0, 2.0, 1.0], [4.0, 1.0, 0.9]]]])
    >>> loss, amounts = filled(curves, np.array([0.0, 1.0, 2.0]), np.array([2.5]))
    >>> loss.round(3).tolist(), amounts.tolist()
    ([[2.5]], [[[1.5, 1.0]]])
    """
    size = max(1, CELLS // curves[0].size)
    if len(curves) > size:
        parts = [filled(curves[i : i + size], tokens, left) for i in range(0, len(curves), size)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    widths = np.diff(tokens)
    drop = curves[..., :-1] - curves[..., 1:]
    rate = np.minimum.accumulate(drop / widths, axis=-1)
    flat = (*rate.shape[:2], -1)
    order = np.argsort(-rate.reshape(flat), axis=-1, kind="stable")
    wide = np.take_along_axis(np.broadcast_to(widths, rate.shape).reshape(flat), order, axis=-1)
    before = np.cumsum(wide, axis=-1) - wide
    taken = np.clip(left[None, :, None] - before, 0.0, wide)
    fall = np.take_along_axis(drop.reshape(flat), order, axis=-1)
    loss = curves[..., 0].sum(axis=-1) - (taken / wide * fall).sum(axis=-1)
    amounts = np.zeros_like(taken)
    np.put_along_axis(amounts, order, taken, axis=-1)
    return loss, amounts.reshape(rate.shape).sum(axis=-1)


def polished(fits: Sequence[Fitted], weights: Array, params: float, total: float, start: Array) -> Array:
    """Shares (1 + K,) of the budget for seed and experts from ``start``, by sequential quadratic programming."""

    def loss(shares: Array) -> float:
        kept = np.clip(shares, 0.0, 1.0) * total
        each = [SPLIT.predict(one.full, {"params": [params], "seed_tokens": [kept[0] / one.unit],
                                         "tokens": [max(kept[k + 1], 1e-9 * total) / one.unit]})[0]
                for k, one in enumerate(fits)]  # fmt: skip
        return float(weights @ np.array(each))

    if start[0] == 1.0:
        return start
    from scipy.optimize import minimize  # a third of a second, that equal domains need not wait for

    whole = {"type": "eq", "fun": lambda shares: shares.sum() - 1.0}
    found = minimize(loss, start, bounds=[(0.0, 1.0)] * len(start), constraints=whole, options={"ftol": 1e-10})
    better = np.clip(found.x, 0.0, 1.0)
    better /= better.sum()
    return better if loss(better) < loss(start) else start


def crossing(fits: Sequence[Fitted], weights: Array, params: float, total: float) -> tuple[float, Array | None]:
    """The splitting point and its draws: from where the best expert's first token does more than the seed's next."""
    log_seeds = near(0.0, total)
    pairs = [rates(one, params, np.exp(log_seeds)) for one in fits]
    count = min(len(expert) for expert, _ in pairs)
    best = np.min([w * expert[:count] for w, (expert, _) in zip(weights, pairs, strict=True)], axis=0)
    trunk = np.sum([w * seed[:count] for w, (_, seed) in zip(weights, pairs, strict=True)], axis=0)
    found = first_crossing(log_seeds, best - trunk)
    return float(found[0]), found[1:] if count > 1 else None
