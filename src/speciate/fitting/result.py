"""What a fit found, as a frozen value: parameters, predictions, words, JSON."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from speciate.errors import Problem, UserError
from speciate.laws.law import Array, Law, Objective

CHUNK = 2000  # predicted rows at a time, times the draws


@dataclass(frozen=True)
class Prediction:
    """A value with its interval: floats, or arrays (n,). low and high are None without an interval."""

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
class Fit:
    """A fitted law. ``theta`` (P,); ``draws`` (B, P) refits on resampled runs, or None; ``residuals``
    (n,) measured minus predicted, of logarithms under log-huber; ``objective`` summed over rows.
    ``left_out`` counts rows not used, by reason. ``status`` is a sentence; "converged" if all is well.
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
    left_out: dict[str, int] = field(default_factory=dict)
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
        if self.draws is None:
            values = zip(self.law.names, self.theta, strict=True)
            return {name: {"value": float(value), "low": None, "high": None} for name, value in values}
        low, high = np.quantile(self.draws, self.tails, axis=0)
        columns = zip(self.law.names, self.theta, low, high, strict=True)
        return {name: {"value": float(v), "low": float(lo), "high": float(hi)} for name, v, lo, hi in columns}

    @property
    def tails(self) -> tuple[float, float]:
        return (1 - self.level) / 2, (1 + self.level) / 2

    def with_outcome(self, holdout: Holdout | None, seconds: float) -> Fit:
        return replace(self, holdout=holdout, seconds=seconds)

    def predict(self, **inputs: ArrayLike) -> Prediction:
        """The law's value for new inputs, floats or (n,), with the interval of a new measurement.

        The interval holds ``level`` of: a drawn parameter vector's prediction, plus a residual drawn
        from the fitted rows (scaled by sqrt(n / (n - P)), multiplied under log-huber).
        Raises UserError for inputs that are missing, unknown or not positive.
        """
        x = self._checked(inputs)
        scalar = all(np.ndim(inputs[name]) == 0 for name in x)
        value = self.law.predict(self.theta, x)
        if self.draws is None:
            return Prediction(float(value[0]) if scalar else value, None, None)
        rng = np.random.default_rng(self.seed + 1)
        noise = self.residuals * np.sqrt(self.rows / max(self.rows - len(self.theta), 1))
        bounds = [np.empty_like(value), np.empty_like(value)]
        for first in range(0, len(value), CHUNK):
            part = slice(first, first + CHUNK)
            spread = self.law.predict(self.draws, {name: values[part] for name, values in x.items()})
            extra = noise[rng.integers(len(noise), size=spread.shape)]
            spread = spread * np.exp(extra) if self.objective_kind == "log-huber" else spread + extra
            bounds[0][part], bounds[1][part] = np.quantile(spread, self.tails, axis=0)
        low, high = bounds
        return Prediction(float(value[0]), float(low[0]), float(high[0])) if scalar else Prediction(value, low, high)

    def _checked(self, inputs: dict[str, ArrayLike]) -> dict[str, Array]:
        names, problems = [given.name for given in self.law.inputs], []
        for name in names:
            if name not in inputs:
                problems.append(Problem(f"{name} is not given", f"predict {self.law_name}", f"give {name}=value"))
            elif not _usable(inputs[name]):
                what = f"{name} is not a finite number above 0"
                problems.append(Problem(what, f"predict {self.law_name}", "use a finite value above 0"))
        for name in inputs:
            if name not in names:
                fix = f"the law reads {', '.join(names)}"
                problems.append(Problem(f"{name} is not an input", f"predict {self.law_name}", fix))
        if problems:
            raise UserError(problems)
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(inputs[name], dtype=float)) for name in names))
        return dict(zip(names, arrays, strict=True))

    def to_json(self) -> dict[str, Any]:
        """The fit as the command line prints it: numbers in the tables' units, missing is null."""
        return {
            "law": self.law_name,
            "formula": self.law.formula,
            "scales": self.scales,
            "status": self.status,
            "parameters": self.parameters,
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
            "level": self.level,
            "seconds": self.seconds,
        }

    def save(self, path: str | Path) -> Path:
        """Write everything, draws included, as one JSON file; ``load_fit`` reads it back."""
        from speciate.fitting.store import save_fit

        return save_fit(self, Path(path))

    def explain(self) -> list[str]:
        """The fit in words, one line each: law, parameters, error, holdout, what was left out, status."""
        from speciate.fitting.words import explain

        return explain(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(chr(10).join(self.explain()))}</pre>"


def _usable(value: object) -> bool:
    numbers = np.asarray(value, dtype=float)
    return bool((np.isfinite(numbers) & (numbers > 0)).all())


def errors_of(value: Array, y: Array) -> tuple[float, float | None, float | None]:
    """Mean absolute error, mean relative error (None if a y is 0) and r2 (None if y does not vary).

    >>> errors_of(np.array([2.0, 2.0, 2.0]), np.array([1.0, 2.0, 4.0]))[:2]
    (1.0, 0.5)
    """
    miss = np.abs(value - y)
    around = float(np.sum((y - y.mean()) ** 2))
    relative = float(np.mean(miss / np.abs(y))) if (y != 0).all() else None
    return float(miss.mean()), relative, 1 - float(np.sum(miss**2)) / around if around > 0 else None
