"""Loss along a budget D + K D' = total: the best seed, its draws, and the splitting point (Seto et al. 5.1, 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speciate.laws.law import Array
from speciate.laws.split import best_seed, splitting_point
from speciate.planning.split.fit import Fitted

SEEN = 61  # points of the curve that is handed on


@dataclass(frozen=True, eq=False)
class Budget:
    """What a total of tokens buys at one size with K domains. Draws are (B,), None where there are none.

    ``gain``: loss when never splitting less that of the best seed; ``gain_draws`` of this very plan, so they may be
    negative; ``best_gain_draws`` of each draw's own best seed, 0 or more. ``splitting_point`` may be inf.
    ``directions`` (3, P): how the losses and the gain hang on the fit's free coordinates. ``beyond``: standard
    deviation of what the law has wrong of ln loss so far from the rows; the draws hold it.
    """

    params: float
    total: float
    domains: int
    seed: float
    loss: float
    unsplit: float
    splitting_point: float
    seed_draws: Array | None
    loss_draws: Array | None
    unsplit_draws: Array | None
    best_gain_draws: Array | None
    splitting_draws: Array | None
    directions: Array
    beyond: float = 0.0

    @property
    def expert(self) -> float:
        """Tokens of each expert."""
        return max(self.total - self.seed, 0.0) / self.domains

    @property
    def gain(self) -> float:
        return self.unsplit - self.loss

    @property
    def gain_draws(self) -> Array | None:
        return None if self.loss_draws is None or self.unsplit_draws is None else self.unsplit_draws - self.loss_draws

    @property
    def never(self) -> bool:
        """Whether the best is not to split."""
        return self.seed >= self.total * (1 - 1e-9)


def budget_of(
    fitted: Fitted, params: float, total: float, domains: int, level: float, beyond: float = 0.0, rng_seed: int = 0
) -> Budget:
    """The best allocation, and its draws, as wide as the units behind them ask at this ``level``.

    Grids of the seed's share hold both ends and are dense near them; each draw's best point is set by a parabola.
    ``beyond``: standard deviation of what the law has wrong of ln loss so far from the rows.
    """
    unit = fitted.unit
    seed = min(best_seed(fitted.full, params, total / unit, domains) * unit, total)
    value, slopes = fitted.losses(params, np.array([seed, total]), np.array([total - seed, 0.0]).clip(0) / domains)
    directions = np.stack([slopes[0], slopes[1], slopes[1] - slopes[0]])
    point = splitting_point(fitted.full, params, domains) * unit
    plain = Budget(params, total, domains, seed, float(value[0]), float(value[1]), point,
                   None, None, None, None, None, directions, beyond)  # fmt: skip
    wide = fitted.widened(directions, level)
    if wide.moves is None:
        return plain
    here = wide.drawn(value, slopes)
    shares = grid()
    curve = wide.drawn(*wide.losses(params, shares * total, (1 - shares) * total / domains))
    if beyond:
        split, unsplit = wrong_beyond(beyond, len(here), rng_seed)
        here = here * np.stack([unsplit if plain.never else split, unsplit], axis=1)
        curve = np.concatenate([curve[:, :-1] * split[:, None], curve[:, -1:] * unsplit[:, None]], axis=1)
    best, least = lowest(shares, curve)
    never = best == 1.0
    return Budget(
        params=params,
        total=total,
        domains=domains,
        seed=seed,
        loss=plain.loss,
        unsplit=plain.unsplit,
        splitting_point=plain.splitting_point,
        seed_draws=best * total,
        loss_draws=here[:, 0],
        unsplit_draws=here[:, 1],
        best_gain_draws=np.where(never, 0.0, np.maximum(here[:, 1] - least, 0.0)),
        splitting_draws=splitting_draws(wide, params, domains, plain.splitting_point, total),
        directions=directions,
        beyond=beyond,
    )


def wrong_beyond(beyond: float, draws: int, rng_seed: int) -> Array:
    """Factors (2, draws) by which losses of splits, and that of not splitting, are off beyond the rows.

    Each by its own: were the law off by the same for both, no gain would be in doubt, and nothing says that it is.
    """
    return np.exp(beyond * np.random.default_rng(rng_seed).standard_normal((2, draws)))


def grid() -> Array:
    """Shares of the budget for the seed: 0 (split at once), 1 (never split), even in between, dense near both ends."""
    edge = np.geomspace(1e-4, 0.05, 30)
    return np.unique(np.concatenate([np.linspace(0.0, 1.0, 201), edge, 1.0 - edge]))


def lowest(at: Array, curves: Array) -> tuple[Array, Array]:
    """Where (B, G) curves over ``at`` (G,) are least, and how low: the vertex of the parabola about the lowest point.

    >>> where, value = lowest(np.array([0.0, 1.0, 3.0]), np.array([[4.0, 1.0, 1.0], [0.0, 1.0, 9.0]]))
    >>> where.tolist(), value.tolist()
    ([2.0, 0.0], [0.0, 0.0])
    """
    best = np.argmin(curves, axis=1)
    row = np.arange(len(curves))
    inner = np.clip(best, 1, len(at) - 2)
    left, right = at[inner - 1] - at[inner], at[inner + 1] - at[inner]
    middle = curves[row, inner]
    rise, climb = (curves[row, inner - 1] - middle) / left, (curves[row, inner + 1] - middle) / right
    bend = (climb - rise) / (right - left)
    slope = rise - bend * left
    safe = np.where(bend > 0, bend, 1.0)
    step = np.where((bend > 0) & (best == inner), np.clip(-slope / (2 * safe), left, right), 0.0)
    end = best != inner
    where = np.where(end, at[best], at[inner] + step)
    value = np.where(end, curves[row, best], middle + slope * step + bend * step**2)
    return where, value


def splitting_draws(fitted: Fitted, params: float, domains: int, about: float, total: float) -> Array:
    """The splitting point of every draw, (B,): 0 below and inf above the range that is looked at."""
    log_seeds = near(about, total)
    expert, trunk = rates(fitted, params, np.exp(log_seeds))
    return first_crossing(log_seeds, (expert / domains - trunk)[1:])


def near(about: float, total: float) -> Array:
    """ln of seeds from a hundredth to a hundred times the best estimate of the splitting point, else of the total."""
    centre = about if 0 < about < np.inf else total
    return np.linspace(np.log(centre / 100), np.log(centre * 100), 241)


def rates(fitted: Fitted, params: float, seeds: Array) -> tuple[Array, Array]:
    """D dL/dD' and D dL/dD at (D, D' = 0) for seeds D (n,), by differences: each (1 + B, n), the estimate first."""
    nothing, step = np.zeros_like(seeds), 1e-4

    def summed(points: list[tuple[Array, Array, float]]) -> Array:
        """A weighted sum of losses at (seed, tokens, weight), of the estimate and of the draws."""
        parts = [(weight, *fitted.losses(params, seed, more)) for seed, more, weight in points]
        value = sum((weight * loss for weight, loss, _ in parts), start=np.zeros_like(seeds))[None]
        if fitted.moves is None:
            return value
        slopes = np.sum([weight * loss[:, None] * bent for weight, loss, bent in parts], axis=0)
        return np.concatenate([value, value + fitted.moves @ slopes.T])

    tokens = seeds * step
    expert = summed([(seeds, tokens, 4.0), (seeds, 2 * tokens, -1.0), (seeds, nothing, -3.0)]) / (2 * step)
    trunk = summed([(seeds * (1 + step), nothing, 1.0), (seeds * (1 - step), nothing, -1.0)]) / (2 * step)
    return expert, trunk


def first_crossing(log_seeds: Array, condition: Array) -> Array:
    """The seed at which each row of ``condition`` (B, n) first is at most 0: 0 if from the first on, inf if never."""
    waits = condition > 0
    after = np.argmin(waits, axis=1)
    row, before = np.arange(len(condition)), np.maximum(after - 1, 0)
    high, low = condition[row, after], condition[row, before]
    share = np.divide(low, low - high, out=np.ones_like(low), where=low > high)
    found = np.exp(log_seeds[before] + share * (log_seeds[after] - log_seeds[before]))
    return np.where(waits.all(axis=1), np.inf, np.where(after == 0, 0.0, found))


def curve(fitted: Fitted, budget: Budget, level: float) -> list[dict[str, float | None]]:
    """Loss along the budget for a figure: rows {seed_tokens, expert_tokens, loss, low, high}, both ends included."""
    seeds = np.unique(np.append(np.linspace(0.0, 1.0, SEEN) * budget.total, budget.seed))
    tokens = (budget.total - seeds).clip(0) / budget.domains
    value, slopes = fitted.losses(budget.params, seeds, tokens)
    low = high = None
    if fitted.moves is not None:
        moved = fitted.widened(budget.directions, level).drawn(value, slopes)
        low, high = np.quantile(moved, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [
        {
            "seed_tokens": float(seeds[i]),
            "expert_tokens": float(tokens[i]),
            "loss": float(value[i]),
            "low": None if low is None else float(min(low[i], value[i])),
            "high": None if high is None else float(max(high[i], value[i])),
        }
        for i in range(len(seeds))
    ]
