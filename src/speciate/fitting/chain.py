"""Two laws in a row: what the first predicts (a loss) is what the second reads (to an accuracy).

The interval carries both: parameters of both refitted on the same resampled runs, the first law's run-to-run
noise passed through the second, and the second's own. Stage two is fitted to measured losses, not to predicted
ones, so that its noise is that of the accuracy at a known loss (as in Krajewski et al. 2512.08894).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from functools import partial, reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from speciate.errors import NotDecidable, Problem, UserError
from speciate.fitting.descend import Rows
from speciate.fitting.fit import fit
from speciate.fitting.objective import Loss
from speciate.fitting.result import Fit, Holdout, Prediction, errors_of
from speciate.fitting.select import choose, matching, named
from speciate.fitting.spread import degrees, gradients, t_over_normal
from speciate.fitting.usable import suited
from speciate.laws.law import Array, Law, Objective

CHUNK = 2000  # predicted rows at a time, times the draws
ROW = "row of the table"


@dataclass(frozen=True, eq=False)
class Chain:
    """Two fits; ``first`` predicts the input of ``second`` that is called ``through``, from the column ``column``."""

    first: Fit
    second: Fit
    through: str
    column: str
    mae: float
    mre: float | None
    r2: float | None
    holdout: Holdout | None = None

    @property
    def law_name(self) -> str:
        return f"{self.first.law_name}+{self.second.law_name}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a prediction needs: the first law's inputs and the others of the second."""
        return inputs_of(self.first.law, self.second.law, self.through)

    @property
    def defaults(self) -> dict[str, float]:
        """Inputs that held one value over the rows and may be left out of a prediction."""
        known = {**self.first.defaults, **self.second.defaults}
        return {name: value for name, value in known.items() if name in self.inputs}

    @property
    def status(self) -> str:
        """ "converged", or what either stage warns of."""
        notes = [f"{one.law_name}: {one.status}" for one in (self.first, self.second) if one.status != "converged"]
        return "; ".join(notes) or "converged"

    def predict(self, **inputs: ArrayLike) -> Prediction:
        """The second law's value for new inputs, floats or (n,), with the interval of a new measurement.

        Raises UserError for inputs that are missing, unknown or impossible.
        """
        inputs = {**self.defaults, **inputs}
        where = f"predict {self.law_name}"
        unknown, missing = set(inputs) - set(self.inputs), [name for name in self.inputs if name not in inputs]
        problems = [Problem(f"{name} is not an input", where, f"it reads {', '.join(self.inputs)}") for name in unknown]
        problems += [Problem(f"{name} is not given", where, f"give {name}=value") for name in missing]
        if problems:
            raise UserError(problems)
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(inputs[name], dtype=float)) for name in self.inputs))
        x = dict(zip(self.inputs, arrays, strict=True))
        value = self._value(x)
        scalar = all(np.ndim(inputs[name]) == 0 for name in self.inputs)
        if self.first.draws is None or self.second.draws is None:
            return Prediction(float(value[0]) if scalar else value, None, None)
        rng = np.random.default_rng(self.second.seed + 1)
        low, high = np.empty_like(value), np.empty_like(value)
        for begin in range(0, len(value), CHUNK):
            part = slice(begin, begin + CHUNK)
            spread = self._drawn({name: values[part] for name, values in x.items()}, rng)
            low[part], high[part] = np.quantile(spread, self.second.tails, axis=0)
        return Prediction(float(value[0]), float(low[0]), float(high[0])) if scalar else Prediction(value, low, high)

    def _value(self, x: dict[str, Array]) -> Array:
        """The best parameters' prediction, (n,); the fits check the inputs."""
        return np.asarray(plain(self.second).predict(**self._read(x, self._between(x))).value)

    def _between(self, x: dict[str, Array]) -> Array:
        return np.asarray(plain(self.first).predict(**{g.name: x[g.name] for g in self.first.law.inputs}).value)

    def _drawn(self, x: dict[str, Array], rng: np.random.Generator) -> Array:
        """New measurements as likely as any other: (draws, n). Stages share a replicate if they have as many."""
        assert self.first.draws is not None and self.second.draws is not None
        one, two = self.first.draws, self.second.draws
        if len(one) != len(two):
            one = one[rng.integers(len(one), size=len(two))]
        between = measured_anew(self.first, one, x, x, rng)
        return measured_anew(self.second, two, self._read(x, between), self._read(x, self._between(x)), rng)

    def _read(self, x: dict[str, Array], between: Array) -> dict[str, Array]:
        """The second law's inputs, ``between`` being what the first predicts."""
        return {g.name: between if g.name == self.through else x[g.name] for g in self.second.law.inputs}

    def to_json(self) -> dict[str, Any]:
        """Both stages as ``fit`` prints them, and the errors of the two together."""
        return {
            "law": self.law_name,
            "status": self.status,
            "through": self.through,
            "column": self.column,
            "stages": [self.first.to_json(), self.second.to_json()],
            "rows": self.second.rows,
            "mae": self.mae,
            "mre": self.mre,
            "r2": self.r2,
            "holdout": None if self.holdout is None else asdict(self.holdout),
            "level": self.second.level,
        }


def plain(one: Fit) -> Fit:
    """The fit without its draws: it predicts values only."""
    return changed(one, draws=None)


def measured_anew(
    one: Fit, draws: Array, x: dict[str, Array], about: dict[str, Array], rng: np.random.Generator
) -> Array:
    """New measurements (B, n): draws (B, P) at inputs x (n,) or (B, n), widened as the fit's own, and a run's noise.

    ``about``, inputs (n,), is where degrees of freedom are counted.
    """
    law, loss = one.law, Loss(one.objective_kind, one.delta)
    inputs = {given.name: x[given.name] for given in law.inputs}
    centre, moved = law.predict(one.theta[None], inputs), law.predict(draws, inputs)
    wide: Array | float = 1.0
    if one.shares is not None and one.inward is not None:
        scaled = law.scaled(about)
        rows = Rows(scaled, np.ones(centre.shape[-1]), np.ones((1, centre.shape[-1])))  # slopes do not read y
        wide = t_over_normal(degrees(one.shares, gradients(law, one.theta, rows, loss) @ one.inward), one.level)
    extra = one.residuals[rng.integers(len(one.residuals), size=moved.shape)] * one.noise.scale(about)
    if not loss.logarithmic:
        return np.asarray(centre + (moved - centre) * wide + extra)
    return np.asarray(centre * np.exp(np.log(moved / centre) * wide + extra))


def fit_chain(
    first: str | Law,
    second: str | Law,
    table: pd.DataFrame,
    *,
    through: str | None = None,
    eval_on: str | None = None,
    where: str | None = None,
    holdout: str | None = None,
    bootstrap: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    objective: Objective | None = None,
    delta: float = 1e-3,
) -> Chain:
    """Fit two laws, each to all rows it can use; the options are those of ``speciate.fit``.

    ``stderr`` is that of the second law's output. Errors are those of the two together, on the rows that both
    can use. Fitted to the same rows, both are refitted to the same resampled runs.

    What the first law predicts must be an input of the second. ``through`` names the column that holds it, if
    not that of the first law's output (such as bits_per_byte in place of loss).

    >>> from speciate.laws.accuracy_loss_linear import ACCURACY_LOSS_LINEAR
    >>> from speciate.laws.loss_compute import LOSS_COMPUTE
    >>> flops = np.geomspace(1e18, 1e21, 8)
    >>> table = pd.DataFrame({"flops": flops, "loss": 200 * flops**-0.1})
    >>> table["accuracy"] = 1 - 0.2 * table["loss"]
    >>> chain = fit_chain(LOSS_COMPUTE, ACCURACY_LOSS_LINEAR, table, bootstrap=0)
    >>> round(chain.predict(flops=1e22).value, 4)
    0.7476
    """
    laws = (settled(first, table), settled(second, table))
    link = link_of(*laws)
    if through is not None:
        table = passing(table, link, through)
    parts = [usable(law, table, eval_on, where) for law in laws]
    rows = common(parts)
    apart = matching(rows, holdout, "holdout") if holdout else np.zeros(len(rows), dtype=bool)
    if holdout and not apart.any():
        raise UserError(Problem(f"{holdout!r} holds no rows out", "holdout", "loosen the condition"))
    stage = partial(fit, eval_on=eval_on, bootstrap=bootstrap, level=level, seed=seed, objective=objective, delta=delta)
    seen = [part[~matching(part, holdout, "holdout")] if holdout else part for part in parts]
    one, two = stage(first, seen[0].drop(columns="stderr", errors="ignore")), stage(second, seen[1])
    bare = Chain(one, two, link, through or link, 0.0, None, None)
    mae, mre, r2, _ = told_apart(bare, rows[~apart])
    held = Holdout(int(apart.sum()), *told_apart(bare, rows[apart])) if holdout else None
    return changed(bare, mae=mae, mre=mre, r2=r2, holdout=held)


def told_apart(chain: Chain, rows: pd.DataFrame) -> tuple[float, float | None, float | None, float | None]:
    """Mean absolute error, mean relative error, r2 and the share inside the intervals on some rows."""
    guess = chain.predict(**{name: rows[name].to_numpy(dtype=float) for name in chain.inputs})
    y = rows[chain.second.law.output].to_numpy(dtype=float)
    mae, mre, r2 = errors_of(np.asarray(guess.value), y)
    return mae, mre, r2, None if guess.low is None else float(np.mean((guess.low <= y) & (y <= guess.high)))


def inputs_of(first: Law, second: Law, through: str) -> tuple[str, ...]:
    """What the two in a row read: the first's inputs, and the second's but for the one passed on."""
    names = [given.name for given in first.inputs]
    return (*names, *(given.name for given in second.inputs if given.name != through and given.name not in names))


def link_of(first: Law, second: Law) -> str:
    """The input of the second law that the first predicts. Raises UserError where there is none."""
    names = [given.name for given in second.inputs]
    if first.output not in names:
        what = f"{first.name} predicts {first.output}, and {second.name} reads {', '.join(names)}"
        raise UserError(Problem(what, f"{first.name}+{second.name}", f"chain a law of {' or '.join(names)} to it"))
    return first.output


def passing(table: pd.DataFrame, name: str, column: str) -> pd.DataFrame:
    """The table with another column in the place of one. Raises UserError if there is no such column."""
    if column not in table.columns:
        fix = f"the columns are {', '.join(map(str, table.columns))}"
        raise UserError(Problem(f"there is no column {column!r}", f"in place of {name}", fix))
    return table.assign(**{name: table[column]})


def settled(law: str | Law, table: pd.DataFrame) -> Law:
    """A law by its name, for the table's domains if it takes any. Raises UserError."""
    return suited(named(law), table, None)[0]


def usable(law: Law, table: pd.DataFrame, eval_on: str | None, where: str | None) -> pd.DataFrame:
    """The rows that a law can be fitted to, with their position in the table as column ROW. Raises as a fit does."""
    numbered = table.reset_index(drop=True).assign(**{ROW: np.arange(len(table))})
    return choose(law, numbered, eval_on, where, None).fitted


def common(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows that all can use, in the table's order, with every column that any of them derived."""
    shared = reduce(np.intersect1d, (part[ROW].to_numpy() for part in parts))
    if not len(shared):
        remedy = "measure all of their columns on the same runs"
        raise NotDecidable("no row has what every one of the laws needs", remedy)
    rows = parts[0].set_index(ROW).loc[shared]
    for part in parts[1:]:
        other = part.set_index(ROW).loc[shared]
        rows = rows.join(other[[name for name in other.columns if name not in rows.columns]])
    return rows.reset_index(drop=True)
