"""The split law on a table's rows, and how its losses move from one draw of the runs to the next.

A refit of 1,000 resampled tables takes minutes on 10,000 rows. Draws here are one Newton step from the optimum, and
what they move is the predicted loss, not the parameters: the law has ridges (E against b_max; B, kappa, gamma against
beta) along which parameters wander far while no loss changes. ``benchmarks/split_allocation.py`` measures that the
intervals of the allocation cover as often as they say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable, Problem, UserError
from speciate.fitting.descend import Rows
from speciate.fitting.fit import Fit, fit
from speciate.fitting.objective import Loss
from speciate.fitting.replicates import Weighted, doubts, linearised
from speciate.fitting.resample import Units, units
from speciate.fitting.select import matching
from speciate.fitting.solve import solve, solve_batch
from speciate.fitting.space import from_free, to_free
from speciate.fitting.spread import Spread, degrees, spread_of, t_over_normal
from speciate.laws.law import Array, Inputs, Law
from speciate.laws.split import AT_ONE_SIZE, SPLIT, UNIT, at_size, with_size

FEWER = 500  # rows on which the optimum is sought
FEW_TOKENS = 1e7  # expert tokens below which the law's unit of 1e9 is out of reach: its bias could not fall any more
NO_TOKENS = 1e3  # nobody trains an expert on fewer: such numbers are billions of tokens, and must not pass for tokens
SIZES = 3  # to tell E from A / N^alpha, and so to speak of another size


@dataclass(frozen=True, eq=False)
class Fitted:
    """The law on some rows. ``theta`` (P,) of ``law``; ``moves`` (B, P) of its free coordinates, None without draws.

    ``weighted``: the rows as they were fitted, ``rows`` as the user gave them; ``noise``: standard deviation of a
    measured loss, in ln; ``notes``: what to beware of.
    """

    law: Law
    theta: Array
    moves: Array | None
    spread: Spread
    weighted: Weighted
    rows: pd.DataFrame
    noise: float
    notes: tuple[str, ...]

    @property
    def unit(self) -> float:
        """Tokens that the law takes for one: its parameters speak of tokens divided by this."""
        return next(given.scale for given in self.law.inputs if given.name == "tokens")

    @property
    def full(self) -> Array:
        """The parameters as those of SPLIT, (11,), for tokens divided by ``unit``."""
        return self.theta if self.law.name == SPLIT.name else with_size(self.theta)

    def losses(self, params: float | Array, seed_tokens: Array, tokens: Array) -> tuple[Array, Array]:
        """Losses (n,) at these runs, and their slopes d ln loss / d free coordinate (n, P)."""
        x = {"params": np.broadcast_to(params, seed_tokens.shape), "seed_tokens": seed_tokens, "tokens": tokens}
        value, slopes = self.law.jacobian(self.theta, x)
        return value, slopes * from_free(self.law, to_free(self.law, self.theta))[1] / value[:, None]

    def drawn(self, value: Array, slopes: Array) -> Array:
        """The same losses in every draw, (B, n); the law is fitted to ln loss, so that is what moves in proportion.

        Raises NotDecidable where a draw has no finite loss, so far from the rows.
        """
        assert self.moves is not None
        with np.errstate(over="ignore"):
            found = np.asarray(value * np.exp(self.moves @ slopes.T))
        if not np.isfinite(found).all():
            reason = "what is asked lies so far from the rows that some draws have no finite loss there"
            raise NotDecidable(reason, "check the units of params and tokens, or ask nearer to what was measured")
        return found

    def widened(self, directions: Array, level: float) -> Fitted:
        """The same with draws as wide as the few units behind any of these directions (m, P) ask (a t quantile)."""
        if self.moves is None or self.spread.shares is None:
            return self
        freedom = degrees(self.spread.shares, directions @ self.spread.inward)
        return replace(self, moves=self.moves * float(t_over_normal(freedom, level).max()))


def fit_split(
    table: pd.DataFrame, params: float | None, eval_on: str | None, where: str | None, draws: int, seed: int
) -> tuple[Fitted, float]:
    """The law on the table's rows, and the size that is asked for (the largest, where ``params`` is None).

    Fewer than SIZES sizes in the table: the law of one size, on the rows of the one that is asked for. Raises UserError
    and NotDecidable as ``fit`` does, and NotDecidable where the sizes cannot speak of the one asked.
    """
    rows, notes = from_scratch(table.reset_index(drop=True))
    sizes = known_sizes(rows, where)
    asked = float(sizes.max()) if params is None else float(params)
    beside = not np.isclose(sizes, asked, rtol=1e-6).any()
    if beside and len(sizes) < SIZES:
        have = " and ".join(f"{size:,.0f}" for size in sizes)
        reason = f"the rows have {len(sizes)} of the {SIZES} sizes that tell what {asked:,.0f} params do ({have})"
        new = sizes.min() / 4
        remedy = f"run seeds and experts at another size, cheapest at params = {new:.3g}, or ask for params = {have}"
        raise NotDecidable(reason, remedy)
    if 1 < len(sizes) < SIZES:
        own = np.isclose(rows["params"].to_numpy(dtype=float, na_value=np.nan), asked, rtol=1e-6)
        table, rows = table[own], rows[own].reset_index(drop=True)
        notes = (
            *notes,
            f"{len(sizes)} sizes do not tell what size does: only the rows of {asked:,.0f} params were used",
        )
    law = in_unit(AT_ONE_SIZE if len(sizes) < SIZES else SPLIT, unit_of(rows))
    if len(rows) > FEWER:
        law = sought_on_a_sample(law)
    found = fit(law, rows, eval_on=eval_on, where=where, bootstrap=0)
    assert found.used is not None
    own = table.iloc[found.used.places]
    return with_draws(found, own, units(own), draws, seed, notes), asked


def sought_on_a_sample(law: Law) -> Law:
    """The same law, whose descents start from the optimum of FEWER rows: a fifth of the time where rows are many."""

    plain = in_unit(law, 1.0)  # candidates get scaled inputs

    def candidates(x: Inputs, y: Array) -> Array:
        chosen = np.random.default_rng(0).permutation(len(y))[:FEWER]
        few = {name: np.asarray(values)[chosen] for name, values in x.items()}
        return solve(plain, few, y[chosen]).theta[None, list(law.nonlinear)]

    return replace(law, candidates=candidates)


def unit_of(rows: pd.DataFrame) -> float:
    """Tokens to take for one, so that the law's 1e9 is the power of ten nearest to the rows' own expert tokens.

    1 where experts are of usual sizes. The bias falls with ln(1 + tokens/1e9), so experts of a laptop's 1e5 tokens
    would have no bias to lose, and splitting could never pay. 1 also where the numbers cannot be tokens.

    >>> unit_of(pd.DataFrame({"tokens": [0.0, 2e4, 5e4]})), unit_of(pd.DataFrame({"tokens": [2e9]}))
    (1e-05, 1.0)
    """
    tokens = rows["tokens"].to_numpy(dtype=float, na_value=np.nan) if "tokens" in rows.columns else np.zeros(0)
    some = tokens[(tokens > 0) & np.isfinite(tokens)]
    typical = float(np.exp(np.mean(np.log(some)))) if len(some) else FEW_TOKENS
    return 1.0 if not NO_TOKENS <= typical < FEW_TOKENS else float(f"{10.0 ** round(np.log10(typical)) / UNIT:.0e}")


def in_unit(law: Law, unit: float) -> Law:
    """The law with both stages' tokens divided by ``unit``."""
    return law.with_scale("seed_tokens", unit).with_scale("tokens", unit)


def from_scratch(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows whose empty seed_tokens are 0, as the columns say, and a note on how many those are."""
    if "seed_tokens" not in rows.columns:
        return rows, ()
    empty = int(rows["seed_tokens"].isna().sum())
    note = (f"{empty} rows without seed_tokens were taken as trained from scratch",) if empty else ()
    return rows.assign(seed_tokens=rows["seed_tokens"].fillna(0.0)), note


def known_sizes(rows: pd.DataFrame, where: str | None) -> Array:
    """The sizes of the rows to be used, ascending; those of all rows where ``fit`` will refuse the condition."""
    if "params" not in rows.columns:
        raise UserError(Problem("there is no column 'params'", "rows for split", "name yours with --columns params=N"))
    used = rows[matching(rows, where, "where")] if where else rows
    sizes = np.unique(used["params"].dropna().to_numpy(dtype=float))
    if not len(sizes):
        raise NotDecidable("no row that is used has params", "loosen --where, or fill the column")
    return sizes


def with_draws(
    found: Fit, own: pd.DataFrame, independent: Units, draws: int, seed: int, notes: tuple[str, ...]
) -> Fitted:
    """A fit with Newton steps for draws, and all that is to be said of it."""
    assert found.used is not None
    result = newton(found.used.weighted, found.theta, own, independent, draws, seed)
    said = () if found.status == "converged" else (f"fit: {found.status}",)
    few = doubts(independent) if result.moves is not None else "no interval: all rows come from one run"
    lost = tuple(f"{count} rows were left out: {why}" for why, count in found.left_out.items())
    told = (*notes, *found.notes, *lost, *said, *((few,) if few else ()))
    return replace(result, notes=tuple(dict.fromkeys(told)))


def newton(weighted: Weighted, theta: Array, own: pd.DataFrame, independent: Units, draws: int, seed: int) -> Fitted:
    """Moves of the free coordinates under random weights of units, corrected for leverage; None with one unit."""
    law, loss = weighted.law, weighted.loss
    residuals = -loss.residual(law.predict(theta, weighted.x), weighted.y)
    rows = Rows(law.scaled(weighted.x), weighted.y, weighted.weights[None])
    spread = spread_of(law, theta, rows, loss, residuals, independent.ids)
    moves = None
    if independent.count > 1 and draws:
        moves = linearised(weighted, theta, independent, draws, np.random.default_rng(seed)) @ spread.turn.T
    noise = float(np.sqrt(np.mean(spread.residuals**2)))
    return Fitted(law, theta, moves, spread, weighted, own, noise, ())


def at_each_size(fitted: Fitted, draws: int, seed: int) -> dict[float, Fitted]:
    """The law of one size on the rows of each size that has enough of them, descended from the joint fit (G.2)."""
    joint, law, found = fitted.weighted, in_unit(AT_ONE_SIZE, fitted.unit), {}
    for size in np.unique(joint.x["params"]):
        mine = joint.x["params"] == size
        x = {name: joint.x[name][mine] for name in ("seed_tokens", "tokens")}
        if mine.sum() <= len(AT_ONE_SIZE.parameters) or any(len(np.unique(values)) < 3 for values in x.values()):
            continue
        y, weights, loss = joint.y[mine], joint.weights[mine], joint.loss
        loss = Loss(loss.kind, np.asarray(loss.delta)[mine]) if np.ndim(loss.delta) else loss
        start = at_size(fitted.theta, float(size))
        theta = solve_batch(law, x, y, weights[None], start, loss.kind, loss.delta)[0][0]
        own = fitted.rows[mine]
        found[float(size)] = newton(Weighted(law, x, y, weights, loss), theta, own, units(own), draws, seed)
    return found
