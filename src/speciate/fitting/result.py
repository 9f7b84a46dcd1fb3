"""What a fit found, as a frozen value: parameters, predictions, words, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from speciate.errors import Problem, UserError
from speciate.fitting.descend import Rows
from speciate.fitting.influence import Sensitivity
from speciate.fitting.noise import Noise
from speciate.fitting.objective import Loss
from speciate.fitting.profile import Interval
from speciate.fitting.scrutiny import Used, profiles_of, sensitivity_of
from speciate.fitting.space import from_free, to_free
from speciate.fitting.spread import degrees, gradients, t_over_normal
from speciate.fitting.usable import WHOLE, is_share
from speciate.laws.law import Array, Law, Objective

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Intervals = Literal["bootstrap", "profile"]
OPEN = 1e-5  # share of a prediction's gradient in directions that the rows do not see, from which it has no interval
CHUNK = 2000  # predicted rows at a time, times the draws


@dataclass(frozen=True)
class Prediction:
    """A value with its interval: floats, or arrays (n,). low and high are None without an interval.

    Where some of many have none, low and high are NaN there: the rows leave the law's value there open.
    """

    value: Any
    low: Any
    high: Any


@dataclass(frozen=True)
class Holdout:
    """Rows kept apart: mean absolute and relative error, r2, share inside the intervals (None: unknown)."""

    rows: int
    mae: float
    mre: float | None
    r2: float | None
    coverage: float | None


@dataclass(frozen=True, eq=False)
class Shown:
    """Rows a fit keeps for plots, at most 2,000 of them: inputs, measured and predicted values, each (m,)."""

    x: dict[str, Array]
    y: Array
    predicted: Array


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted law. ``theta`` (P,); ``draws`` (B, P) refits on resampled runs, or None; ``residuals``
    (n,) measured minus predicted, of logarithms under log-huber, relative to the row's ``noise`` and
    corrected for leverage; ``objective`` summed over rows. ``inward`` and ``shares`` are what
    speciate.fitting.spread needs to count degrees of freedom. ``left_out`` counts rows not used, by
    reason, ``notes`` say what was derived. ``defaults`` are inputs that held one value over the rows
    and need not. ``profiles`` are the parameters' intervals where they are not the draws'.
    ``undetermined`` parameters have equally good values without end, and no interval. ``used``, the
    rows, is lost when a fit is saved. ``status`` is a sentence; "converged" if all is well.
    """

    law: Law
    theta: Array
    draws: Array | None
    residuals: Array
    status: str
    objective: float
    objective_kind: Objective
    delta: float
    rows: int
    trunks: int
    runs: int
    mae: float
    mre: float | None
    r2: float | None
    eval_on: str | None
    level: float
    seed: int
    inward: Array | None = None
    shares: Array | None = None
    noise: Noise = Noise()
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    defaults: dict[str, float] = field(default_factory=dict)
    shown: Shown | None = None
    profiles: dict[str, Interval] | None = None
    undetermined: tuple[str, ...] = ()
    used: Used | None = None
    holdout: Holdout | None = None
    seconds: float = 0.0

    @property
    def law_name(self) -> str:
        return self.law.name

    @property
    def scales(self) -> dict[str, float]:
        """What each input is divided by before it enters the formula."""
        return {given.name: given.scale for given in self.law.inputs}

    @property
    def parameters(self) -> dict[str, dict[str, float | None]]:
        """Every parameter by name: {value, low, high}; low and high are None without an interval."""
        if self.profiles is not None:
            spans = [(self.profiles[name].low, self.profiles[name].high) for name in self.law.names]
            known = zip(self.law.names, self.theta, spans, strict=True)
            return {name: {"value": float(v), "low": low, "high": high} for name, v, (low, high) in known}
        if self.draws is None:
            values = zip(self.law.names, self.theta, strict=True)
            return {name: {"value": float(value), "low": None, "high": None} for name, value in values}
        bounds, _ = from_free(self.law, np.quantile(self._free_draws(np.eye(len(self.theta))), self.tails, axis=0))
        columns = zip(self.law.names, self.theta, *bounds, strict=True)
        return {
            name: {"value": float(v), "low": None, "high": None}
            if name in self.undetermined
            else {"value": float(v), "low": float(lo), "high": float(hi)}
            for name, v, lo, hi in columns
        }

    @property
    def published(self) -> dict[str, dict[str, float | None]]:
        """The source's own constants, where they differ from the parameters, each {value, low, high}."""
        if self.law.published is None:
            return {}
        found = {
            name: {"value": float(v), "low": None, "high": None} for name, v in self._published(self.theta).items()
        }
        if self.draws is not None:
            for name, values in self._published(
                from_free(self.law, self._free_draws(np.eye(len(self.theta))))[0]
            ).items():
                known = values[np.isfinite(values)]
                if len(known) and not self._loose(name):
                    low, high = np.quantile(known, self.tails)
                    found[name] |= {"low": float(low), "high": float(high)}
        return {
            name: {k: None if v is None or not np.isfinite(v) else v for k, v in one.items()}
            for name, one in found.items()
        }

    def _loose(self, constant: str) -> bool:
        """Whether a constant of the source depends on parameters that the rows leave open."""
        moved = self.theta.copy()
        moved[[self.law.names.index(name) for name in self.undetermined]] *= 1.001
        now, then = self._published(self.theta)[constant], self._published(moved)[constant]
        return bool(np.abs(then - now) > 1e-9 * np.abs(now))

    def _published(self, theta: Array) -> Mapping[str, Array]:
        assert self.law.published is not None
        with np.errstate(all="ignore"):
            return self.law.published(theta)

    def _free_draws(self, gradient: Array) -> Array:
        """Draws in the free space, each coordinate about the optimum as wide as its degrees of freedom ask."""
        assert self.draws is not None
        centre = to_free(self.law, self.theta)
        return np.asarray(centre + (to_free(self.law, self.draws) - centre) * self._widening(gradient))

    def _widening(self, gradient: Array) -> Array:
        if self.shares is None or self.inward is None:
            return np.ones(len(gradient))
        return t_over_normal(degrees(self.shares, gradient @ self.inward), self.level)

    @property
    def tails(self) -> tuple[float, float]:
        return (1 - self.level) / 2, (1 + self.level) / 2

    @cached_property
    def sensitivity(self) -> Sensitivity | None:
        """What the parameters hang on: delta, single rows, a few rows together, single runs.

        Rows go by their position in the table, from 0. None for a loaded fit, which has no rows, and for millions.
        """
        if self.used is None:
            return None
        spans = {name: (found["low"], found["high"]) for name, found in self.parameters.items()}
        for name in self.undetermined:  # no width to measure a move by
            value = self.parameters[name]["value"]
            spans[name] = (value, value)
        return sensitivity_of(self.used, self.theta, spans, self.level)

    def profiled(self) -> Fit:
        """The same fit with profile intervals of its parameters; predictions keep those of the draws."""
        assert self.used is not None, "a loaded fit has no rows to profile"
        found = profiles_of(self.used, self.theta, self.level)
        notes = [f"{name}: {interval.note}" for name, interval in found.items() if interval.note]
        return replace(self, profiles=found, notes=(*self.notes, *notes))

    def with_outcome(self, holdout: Holdout | None, seconds: float) -> Fit:
        return replace(self, holdout=holdout, seconds=seconds)

    def predict(self, **inputs: ArrayLike) -> Prediction:
        """The law's value for new inputs, floats or (n,), with the interval of a new measurement.

        The interval holds ``level`` of: a drawn parameter vector's prediction, plus the noise of a new
        run on a new trunk, drawn from the fitted rows' residuals (multiplied under log-huber).
        Inputs in ``defaults`` may be left out. Raises UserError for inputs that are missing, unknown
        or not positive.
        """
        return self._predict(inputs, with_noise=True)

    def predict_mean(self, **inputs: ArrayLike) -> Prediction:
        """As ``predict``, with the interval of the law's own value: without the noise of a new run."""
        return self._predict(inputs, with_noise=False)

    def _predict(self, inputs: dict[str, ArrayLike], with_noise: bool) -> Prediction:
        if "share_rest" in self.scales and "share_rest" not in inputs:
            named = [np.asarray(given, dtype=float) for name, given in inputs.items() if name.startswith("share_")]
            inputs = {**inputs, "share_rest": np.maximum(1.0 - sum(named, start=np.zeros(())), 0.0)}
        x = self._checked({**self.defaults, **inputs})
        scalar = all(np.ndim(inputs.get(name, 0.0)) == 0 for name in x)
        with np.errstate(all="ignore"):
            value = self.law.predict(self.theta, x)
        if self.draws is None:
            return Prediction(float(value[0]) if scalar else value, None, None)
        rng = np.random.default_rng(self.seed + 1)
        low, high = np.empty_like(value), np.empty_like(value)
        for first in range(0, len(value), CHUNK):
            part = slice(first, first + CHUNK)
            local = {name: values[part] for name, values in x.items()}
            low[part], high[part] = self._interval(local, value[part], rng if with_noise else None)
        if not scalar:
            return Prediction(value, low, high)
        known = np.isfinite(low[0]) and np.isfinite(high[0])
        return Prediction(float(value[0]), *((float(low[0]), float(high[0])) if known else (None, None)))

    def _interval(self, x: dict[str, Array], value: Array, rng: np.random.Generator | None) -> tuple[Array, Array]:
        """Ends (m,) for predictions (m,): draws widened about the prediction, then a new run's noise."""
        assert self.draws is not None
        loss = Loss(self.objective_kind, self.delta)
        with np.errstate(all="ignore"):
            moved = self.law.predict(self.draws, x)
        rows = Rows(self.law.scaled(x), np.abs(value) + 1.0, np.ones((1, len(value))))  # slopes do not read y
        slopes = gradients(self.law, self.theta, rows, loss)
        wide = self._widening(slopes)
        extra: Array | float = 0.0
        if rng is not None:
            extra = self.residuals[rng.integers(len(self.residuals), size=moved.shape)] * self.noise.scale(x)
        with np.errstate(all="ignore"):
            if loss.logarithmic:
                spread = value * np.exp(np.log(np.maximum(moved, 1e-300) / value) * wide + extra)
            else:
                spread = value + (moved - value) * wide + extra
            if self.law.output == "accuracy":
                legal = (value >= 0) & (value <= 1)  # elsewhere the law has left what it can say
                spread = np.where(legal, np.clip(spread, 0.0, 1.0), spread)
            low, high = np.quantile(spread, self.tails, axis=0)
        unknown = self._open(slopes)
        return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)

    def _open(self, slopes: Array) -> Array:
        """Which predictions hang on what the rows do not see, from their gradients (m, P): (m,) bool."""
        if self.inward is None or self.inward.shape[1] == len(self.theta):
            return np.zeros(len(slopes), dtype=bool)
        seen = self.inward / np.linalg.norm(self.inward, axis=0)
        off = np.linalg.norm(slopes - slopes @ seen @ seen.T, axis=1)
        return np.asarray(off > OPEN * np.linalg.norm(slopes, axis=1))

    def _checked(self, inputs: dict[str, ArrayLike]) -> dict[str, Array]:
        names, problems = [given.name for given in self.law.inputs], []
        zero = {given.name: given.zero for given in self.law.inputs}
        for name in names:
            if name not in inputs:
                problems.append(Problem(f"{name} is not given", f"predict {self.law_name}", f"give {name}=value"))
            elif not _usable(inputs[name], zero[name]):
                legal = "of at least 0" if zero[name] else "above 0"
                what = f"{name} is not a finite number {legal}"
                problems.append(Problem(what, f"predict {self.law_name}", f"use a finite value {legal}"))
        for name in inputs:
            if name not in names:
                fix = f"the law reads {', '.join(names)}"
                problems.append(Problem(f"{name} is not an input", f"predict {self.law_name}", fix))
            elif is_share(name) and np.max(inputs[name], initial=0.0) > 1:
                what, fix = f"{name} is a share and above 1", "use a number from 0 to 1 (30 % is 0.3)"
                problems.append(Problem(what, f"predict {self.law_name}", fix))
        if problems:
            raise UserError(problems)
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(inputs[name], dtype=float)) for name in names))
        x = dict(zip(names, arrays, strict=True))
        whole = sum((values for name, values in x.items() if name.startswith("share_")), start=np.zeros(1))
        if np.max(whole, initial=0.0) > 1 + WHOLE:
            what = f"shares sum to {np.max(whole):.4g}"
            raise UserError(Problem(what, f"predict {self.law_name}", "let them sum to at most 1"))
        return x

    def to_json(self) -> dict[str, Any]:
        """The fit as the command line prints it: numbers in the tables' units, missing is null."""
        return {
            "law": self.law_name,
            "formula": self.law.formula,
            "scales": self.scales,
            "status": self.status,
            "parameters": self.parameters,
            "published": self.published,
            "domains": list(self.law.domains),
            "output": self.law.output,
            "objective": self.objective,
            "rows": self.rows,
            "trunks": self.trunks,
            "runs": self.runs,
            "mae": self.mae,
            "mre": self.mre,
            "r2": self.r2,
            "holdout": None if self.holdout is None else asdict(self.holdout),
            "eval_on": self.eval_on,
            "left_out": self.left_out,
            "notes": list(self.notes),
            "noise": asdict(self.noise),
            "level": self.level,
            "seconds": self.seconds,
        }

    def save(self, path: str | Path) -> Path:
        """Write everything, draws included, as one JSON file; ``load_fit`` reads it back."""
        from speciate.fitting.store import save_fit

        return save_fit(self, Path(path))

    def explain(self) -> list[str]:
        """The fit in words, one line each: law, parameters, error, holdout, what it hangs on, status."""
        from speciate.fitting.words import explain

        return explain(self)

    def plot(self, dark: bool = False) -> Figure:
        """Measured against predicted, and what is left over, on a light or ``dark`` ground: a plotly figure.

        Raises UserError where plotly is not installed, or where the fit was saved without its rows.
        """
        from speciate.fitting.plot import figure

        return figure(self, dark)

    def _repr_html_(self) -> str:
        """A notebook's view: parameters with intervals, unit and meaning, what they rest on, the status."""
        from speciate.fitting.html import as_html

        return as_html(self)


def _usable(value: object, zero: bool) -> bool:
    numbers = np.asarray(value, dtype=float)
    return bool((np.isfinite(numbers) & ((numbers >= 0) if zero else (numbers > 0))).all())


def errors_of(value: Array, y: Array) -> tuple[float, float | None, float | None]:
    """Mean absolute error, mean relative error (None if a y is 0) and r2 (None if y does not vary).

    >>> errors_of(np.array([2.0, 2.0, 2.0]), np.array([1.0, 2.0, 4.0]))[:2]
    (1.0, 0.5)
    """
    miss = np.abs(value - y)
    around = float(np.sum((y - y.mean()) ** 2))
    relative = float(np.mean(miss / np.abs(y))) if (y != 0).all() else None
    return float(miss.mean()), relative, 1 - float(np.sum(miss**2)) / around if around > 0 else None
