"""Ways from a run's size to its accuracy: a direct law, or a loss first and the accuracy from it. Fits of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from speciate.fitting.chain import inputs_of
from speciate.fitting.curvature import curvature
from speciate.fitting.fit import rescaled
from speciate.fitting.objective import Loss
from speciate.fitting.resample import units
from speciate.fitting.solve import solve
from speciate.laws import LAWS
from speciate.laws.law import Array, Law
from speciate.planning.accuracy.rows import ONE_RATIO, Asked, Benchmark

DIRECT = ("accuracy-compute", "accuracy-params-tokens", "accuracy-ceiling", "accuracy-broken")
LOSS_FIRST = ("loss-compute", "chinchilla")
THEN = ("accuracy-loss-linear", "accuracy-loss-logistic")
SAMPLED = "accuracy-samples"
SPARE = 2  # rows a law needs beyond its parameters: a perfect fit to as many rows says nothing
SPARE_IN_TESTS = 1  # there the rows held out say what a perfect fit is worth
TILT = 0.5  # rows count by compute to this power: docs/plan_accuracy.md has what each power missed
STARTS = 3  # descents of a fit; on the published tables twelve found nothing lower that predicted otherwise
EDGE = 1e-4  # predictions are kept this far inside chance and 1


@dataclass(frozen=True, eq=False)
class Route:
    """A law, or two in a row, and the rows each is fitted to: those above chance, losses on all."""

    name: str
    laws: tuple[Law, ...]
    rows: tuple[pd.DataFrame, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        if len(self.laws) == 1:
            return tuple(given.name for given in self.laws[0].inputs)
        return inputs_of(self.laws[0], self.laws[1], "loss")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A route with parameters (P,) of each law, fitted to ``rows`` with ``weights`` of each stage."""

    route: Route
    theta: tuple[Array, ...]
    rows: tuple[pd.DataFrame, ...]
    weights: tuple[Array, ...]

    def predict(self, rows: pd.DataFrame) -> Array:
        """Accuracies (n,), as the law has them: some laws leave 0 to 1."""
        value = self.route.laws[0].predict(self.theta[0], columns(self.route.laws[0], rows))
        if len(self.route.laws) == 1:
            return value
        return self.route.laws[1].predict(self.theta[1], columns(self.route.laws[1], rows.assign(loss=value)))

    def uncertainty(self, point: pd.DataFrame) -> float:
        """Standard error of the law's own value at one run, from whole trunks (delta method; accuracy 0..1).

        A loss on the way brings its own error and the noise of one run's loss.
        """
        law, theta = self.route.laws[-1], self.theta[-1]
        if len(self.route.laws) == 1:
            return self._stage(0, point)
        first = self.route.laws[0]
        loss = first.predict(self.theta[0], columns(first, point))
        at = point.assign(loss=loss)
        step = 1e-4 * float(loss[0])
        ends = law.predict(theta, columns(law, pd.concat([at.assign(loss=loss - step), at.assign(loss=loss + step)])))
        slope = float(ends[1] - ends[0]) / (2 * step)
        rows = self.rows[0]
        measured = rows[first.output].to_numpy(dtype=float)
        residual = np.log(first.predict(self.theta[0], columns(first, rows)) / measured)
        noise = float(loss[0]) * spread(residual, self.weights[0], len(first.parameters))
        return float(np.hypot(self._stage(1, at), slope * np.hypot(self._stage(0, point), noise)))

    def _stage(self, stage: int, point: pd.DataFrame) -> float:
        law, theta, rows = self.route.laws[stage], self.theta[stage], self.rows[stage]
        y = rows[law.output].to_numpy(dtype=float)
        about = curvature(law, columns(law, rows), y, self.weights[stage], theta, Loss(law.objective))
        _, slopes = law.jacobian(theta, columns(law, point))
        gradient = slopes[0] * about.chain
        return float(np.sqrt(max(gradient @ about.variance(units(rows).ids) @ gradient, 0.0)))

    def noise(self) -> Array:
        """What rows miss the law by, for its free parameters, relative to the spread of a share: (n,), signed.

        (measured - predicted) / sqrt(Q (1 - Q)): a mean over questions varies less near 0 and 1.
        """
        rows = self.rows[-1]
        law = self.route.laws[-1]
        value = law.predict(self.theta[-1], columns(law, rows))
        residual = rows["accuracy"].to_numpy(dtype=float) - value
        free = len(rows) - len(law.parameters)
        return np.asarray(residual * np.sqrt(len(rows) / max(free, 1)) / share_spread(value))


def share_spread(value: Array) -> Array:
    """sqrt(Q (1 - Q)), Q kept between .02 and .98.

    >>> share_spread(np.array([0.5, 1.2])).round(2)
    array([0.5 , 0.14])
    """
    inside = np.clip(value, 0.02, 0.98)
    return np.asarray(np.sqrt(inside * (1 - inside)))


def spread(residual: Array, weights: Array, parameters: int) -> float:
    """Standard deviation of residuals (n,) about 0, corrected for parameters."""
    share = len(residual) / max(len(residual) - parameters, 1)
    return float(np.sqrt(share * np.average(residual**2, weights=weights)))


def columns(law: Law, rows: pd.DataFrame) -> dict[str, Array]:
    """The law's inputs from rows, each (n,)."""
    return {given.name: rows[given.name].to_numpy(dtype=float) for given in law.inputs}


def weights_of(rows: pd.DataFrame) -> Array:
    """How much rows count: (compute / largest)^TILT, (n,). What is asked for is large, and no law holds everywhere."""
    flops = rows["flops"].to_numpy(dtype=float)
    return np.asarray((flops / flops.max()) ** TILT)


def fitted(route: Route, apart: pd.DataFrame | None = None, name: str = "flops") -> Fitted:
    """The route fitted to its rows; with ``apart`` to those smaller than all of these along ``name``.

    Raises ValueError, in words, where they are too few.
    """
    found, kept, counts = [], [], []
    for law, rows in zip(route.laws, route.rows, strict=True):
        part = rows if apart is None else rows[smaller(rows, apart, name)]
        refusal = too_few(law, part, SPARE if apart is None else SPARE_IN_TESTS)
        if refusal:
            raise ValueError(refusal)
        weights = weights_of(part)
        solution = solve(law, columns(law, part), part[law.output].to_numpy(dtype=float), weights, starts=STARTS)
        if not np.isfinite(solution.theta).all():
            raise ValueError(f"{law.name} has no finite parameters for these rows")
        found.append(solution.theta)
        kept.append(part)
        counts.append(weights)
    return Fitted(route, tuple(found), tuple(kept), tuple(counts))


def smaller(rows: pd.DataFrame, apart: pd.DataFrame, name: str) -> Array:
    """Rows below every row held out along ``name``, and of none of their runs: (n,) bool."""
    keep = rows[name].to_numpy(dtype=float) < float(apart[name].min())
    if "run" in rows.columns:
        keep &= ~(rows["run"].isin(apart["run"].dropna())).to_numpy()
    return np.asarray(keep)


def too_few(law: Law, rows: pd.DataFrame, spare: int = SPARE) -> str:
    """Why the rows cannot determine the law, or ""."""
    wanted = len(law.parameters) + spare
    if len(rows) < wanted:
        tested = "" if spare == SPARE else " beside those held out"
        return f"{law.name} has {len(law.parameters)} parameters and needs {wanted} rows{tested}, there are {len(rows)}"
    for given in law.inputs:
        values, least = rows[given.name].nunique(), min(given.values, 2) if given.name != "flops" else given.values
        if values < least:
            return f"{law.name} needs {least} values of {given.name}, there are {values}"
    return ""


def tied(law: Law, rows: pd.DataFrame) -> str:
    """Why size and tokens cannot be told apart, or ""."""
    if not {"params", "tokens"} <= {given.name for given in law.inputs}:
        return ""
    ratio = (rows["tokens"] / rows["params"]).to_numpy(dtype=float)
    return f"{law.name} cannot tell size from tokens at one ratio of the two" if one_ratio(ratio) else ""


def one_ratio(ratio: Array) -> bool:
    """Whether tokens per parameter (n,) are the same for all, within ONE_RATIO."""
    return bool(ratio.max() <= ONE_RATIO * ratio.min())


def routes(seen: Benchmark, asked: Asked) -> tuple[list[Route], dict[str, str]]:
    """The routes that these rows and this question allow, and why not the others."""
    refused: dict[str, str] = {}
    able: list[Route] = []
    singles = (*DIRECT, SAMPLED) if asked.samples is not None else DIRECT
    mine = of_k(seen.rows, asked.samples)
    for name in singles:
        rows = (seen.rows if name == SAMPLED else mine,)
        admitted(Route(name, (LAWS[name],), rows), asked, able, refused)
    if (near := at_ratio(mine, asked)) is not None:
        law = LAWS["accuracy-compute"]
        label = f"accuracy-compute at {near['tokens'].div(near['params']).median():.3g} tokens per parameter"
        admitted(Route(label, (law,), (near,)), asked, able, refused)
    measured = [name for name in ("loss", "bits_per_byte") if name in seen.every.columns]
    for first in LOSS_FIRST if measured else ():
        for second in THEN:
            rows = tuple(with_loss(part, measured[0]) for part in (of_k(seen.every, asked.samples), mine))
            admitted(Route(f"{first}+{second}", (LAWS[first], LAWS[second]), rows), asked, able, refused)
    return able, refused


def admitted(route: Route, asked: Asked, able: list[Route], refused: dict[str, str]) -> None:
    """The route, in units near its rows', among those able or refused."""
    absent = [name for name in route.inputs if name not in ("chance", "loss") and asked.of(name) is None]
    if absent:
        refused[route.name] = f"it reads {' and '.join(absent)}, which the question leaves out"
        return
    for law, rows in zip(route.laws, route.rows, strict=True):
        if why := too_few(law, rows) or tied(law, rows):
            refused[route.name] = why
            return
    if route.name == SAMPLED and (route.rows[0]["chance"] > 0).any():
        refused[route.name] = "it has no chance, and here chance is above 0"
        return
    laws = tuple(rescaled(law, columns(law, rows)) for law, rows in zip(route.laws, route.rows, strict=True))
    able.append(Route(route.name, laws, route.rows))


def with_loss(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows that have a loss, which may be in bits per byte."""
    rows = rows.assign(loss=rows[name])
    return rows[np.isfinite(rows["loss"]) & (rows["loss"] > 0)].reset_index(drop=True)


def of_k(rows: pd.DataFrame, samples: int | None) -> pd.DataFrame:
    """Rows of pass@k at the k asked for."""
    return rows if samples is None else rows[(rows["samples"] == samples).to_numpy(dtype=bool)].reset_index(drop=True)


def at_ratio(rows: pd.DataFrame, asked: Asked) -> pd.DataFrame | None:
    """Rows at the asked tokens per parameter, where others are at other ratios."""
    if asked.params is None or asked.tokens is None:
        return None
    apart = np.abs(np.log(rows["tokens"] / rows["params"] / (asked.tokens / asked.params)))
    near = rows[(apart < np.log(ONE_RATIO)).to_numpy()]
    return near.reset_index(drop=True) if 0 < len(near) < len(rows) else None
