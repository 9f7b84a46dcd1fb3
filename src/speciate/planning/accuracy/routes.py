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
MOST = 120  # rows that tests are run on; of more, every so-manieth in order of compute
EDGE = 1e-4  # predictions are kept this far inside chance and 1


@dataclass(frozen=True, eq=False)
class Stage:
    """A law and the rows it is fitted to, accuracies above chance or losses on all; ``few``: those that tests use.

    Routes share stages: a stage is fitted once to the same rows.
    """

    law: Law
    rows: pd.DataFrame
    few: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Route:
    """A law, or two in a row."""

    name: str
    stages: tuple[Stage, ...]

    @property
    def laws(self) -> tuple[Law, ...]:
        return tuple(stage.law for stage in self.stages)

    @property
    def inputs(self) -> tuple[str, ...]:
        if len(self.laws) == 1:
            return tuple(given.name for given in self.laws[0].inputs)
        return inputs_of(self.laws[0], self.laws[1], "loss")


@dataclass(frozen=True, eq=False)
class Solved:
    """Parameters (P,) of a stage, the rows they were fitted to, and how much each counted (n,)."""

    theta: Array
    rows: pd.DataFrame
    weights: Array


Known = dict[tuple[Stage, str, int], Solved]  # stages already fitted, along what, to how many rows


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


def fitted(route: Route, known: Known, every: bool = False) -> Fitted:
    """The route fitted to ``few`` rows of each stage, or to every one. Raises ValueError where they are too few."""
    parts = [stage.rows if every else stage.few for stage in route.stages]
    return joined(route, [solved(s, part, "", SPARE, known) for s, part in zip(route.stages, parts, strict=True)])


def fitted_below(route: Route, apart: pd.DataFrame, name: str, known: Known) -> Fitted:
    """The route fitted to those of its ``few`` rows that are smaller than all of ``apart`` along ``name``.

    Raises ValueError, in words, where they are too few.
    """
    parts = [stage.few[smaller(stage.few, apart, name)] for stage in route.stages]
    return joined(
        route, [solved(s, part, name, SPARE_IN_TESTS, known) for s, part in zip(route.stages, parts, strict=True)]
    )


def joined(route: Route, found: list[Solved]) -> Fitted:
    """A route of solved stages."""
    return Fitted(route, tuple(s.theta for s in found), tuple(s.rows for s in found), tuple(s.weights for s in found))


def solved(stage: Stage, part: pd.DataFrame, name: str, spare: int, known: Known) -> Solved:
    """The stage fitted to some of its rows, unless that is known: rows below a size are told by their number."""
    if (key := (stage, name, len(part))) in known:
        return known[key]
    law = stage.law
    if refusal := too_few(law, part, spare):
        raise ValueError(refusal)
    weights = weights_of(part)
    found = solve(law, columns(law, part), part[law.output].to_numpy(dtype=float), weights, starts=STARTS)
    if not np.isfinite(found.theta).all():
        raise ValueError(f"{law.name} has no finite parameters for these rows")
    known[key] = Solved(found.theta, part, weights)
    return known[key]


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
    mine = of_k(seen.rows, asked.samples)
    few = thinned(mine)
    names = (*DIRECT, SAMPLED) if asked.samples is not None else DIRECT
    found = {name: [stage(name, mine, few)] for name in names if name != SAMPLED}
    if SAMPLED in names:
        found[SAMPLED] = [stage(SAMPLED, seen.rows, thinned(seen.rows))]
    if (near := at_ratio(mine, asked)) is not None:
        label = f"accuracy-compute at {near['tokens'].div(near['params']).median():.3g} tokens per parameter"
        found[label] = [stage("accuracy-compute", near, thinned(near))]
    measured = [name for name in ("loss", "bits_per_byte") if name in seen.every.columns]
    if measured:
        every, above = (with_loss(part, measured[0]) for part in (of_k(seen.every, asked.samples), mine))
        firsts = {name: stage(name, every, thinned(every)) for name in LOSS_FIRST}
        thens = {name: stage(name, above, thinned(above)) for name in THEN}
        found |= {f"{a}+{b}": [one, two] for a, one in firsts.items() for b, two in thens.items()}
    for name, stages in found.items():
        admitted(Route(name, tuple(stages)), asked, able, refused)
    return able, refused


def stage(name: str, rows: pd.DataFrame, few: pd.DataFrame) -> Stage:
    """A law in units near its rows', where they have its inputs: a question in FLOPs asks for no size."""
    law = LAWS[name]
    usable = len(rows) > 0 and all(given.name in rows.columns for given in law.inputs)
    return Stage(rescaled(law, columns(law, rows)) if usable else law, rows, few)


def admitted(route: Route, asked: Asked, able: list[Route], refused: dict[str, str]) -> None:
    """The route among those able or refused."""
    absent = [name for name in route.inputs if name not in ("chance", "loss") and asked.of(name) is None]
    if absent:
        refused[route.name] = f"it reads {' and '.join(absent)}, which the question leaves out"
        return
    for part in route.stages:
        if why := too_few(part.law, part.rows) or tied(part.law, part.rows):
            refused[route.name] = why
            return
    if route.name == SAMPLED and (route.stages[0].rows["chance"] > 0).any():
        refused[route.name] = "it has no chance, and here chance is above 0"
        return
    able.append(route)


def thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """At most MOST rows, evenly in order of compute; smallest and largest among them."""
    if len(rows) <= MOST:
        return rows
    order = np.argsort(rows["flops"].to_numpy(dtype=float), kind="stable")
    return rows.iloc[order[np.linspace(0, len(rows) - 1, MOST).round().astype(int)]].reset_index(drop=True)


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
