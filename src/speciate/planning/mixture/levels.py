"""Expected change of loss at every tried ratio of one size, with draws of how wrong that may be.

A run's fitted curve is  z = g[ratio] + u[trunk] + v[run] + carried jitter + the law's own error.
g is estimated by generalised least squares; draws come from simulating everything else and passing
it through the same estimate (Matheron's rule: exact for Gaussian effects, and the standard
deviations themselves differ from draw to draw). u and v are 0 where a run begins, since all start
from one model, and grow with ln(1 + T / first measurement). Conditional on the trunk where a size
has only one: the answer is then about that starting model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.backtest import Contender, contend
from speciate.planning.mixture.curves import GroupFit, Shape, fit_group
from speciate.planning.mixture.discrepancy import Discrepancy, LawError, measure
from speciate.planning.mixture.observations import Curve
from speciate.planning.mixture.response import draw_bends, refit_linear, respond, weighted_curves
from speciate.planning.mixture.spread import Jitter, draw_components, measure_jitter

Array = NDArray[np.float64]
LEAST_WEIGHT = 0.02  # of a shape that is drawn from at all


@dataclass(frozen=True)
class Noise:
    """Draws (B first) of all that moves the curves of one size on one evaluation set."""

    fits: tuple[GroupFit, ...]  # under every shape that is believed in
    which: NDArray[np.int_]  # (B,): whose turn it is
    rows: tuple[Array, ...]  # R of (B, n): jitter of the measurements
    bends: Array  # (B, R): s of every run's curve
    jitter_sd: Array  # (B,): of a single measurement
    run_sd: Array  # (B,)
    runs: Array  # (B, R): v
    trunks: Array  # (B, K): u
    law_common: Array  # (B,): the law's error per doubling, all ratios
    law_own: Array  # (B, n): and of each ratio


@dataclass(frozen=True)
class Levels:
    """One size on one evaluation set."""

    curves: tuple[Curve, ...]
    fit: GroupFit
    jitter: Jitter
    ratios: Array  # (n,)
    ratio_of: NDArray[np.int_]  # (R,)
    trunks: tuple[str, ...]  # K names
    trunk_of: NDArray[np.int_]  # (R,)
    combine: Array  # (n, R): runs -> ratio means
    trunk_part: Array  # (K, R): runs -> trunk effects (best linear predictor)
    noise: Noise | None

    @property
    def first(self) -> float:
        """Tokens of the first measurement after the start."""
        return min(curve.measured[0] for curve in self.curves)

    @property
    def fitted_from(self) -> float:
        """Tokens from which on the curves were fitted."""
        return max(self.first, self.fit.shape.start * self.longest)

    @property
    def longest(self) -> float:
        """Tokens of the longest run."""
        return max(curve.measured[1] for curve in self.curves)

    @property
    def within(self) -> float:
        """Scatter of single measurements about the points of the curves, sd in nats/token; 0 where they are points."""
        return float(np.sqrt(np.mean([curve.within**2 for curve in self.curves])))

    @property
    def turning_belief(self) -> float:
        """Share of the draws whose curve can rise and then fall (without draws: 1 or 0, of the best curve)."""
        if self.noise is None:
            return float(self.fit.shape.turns)
        return float(np.mean(np.array([fit.shape.turns for fit in self.noise.fits])[self.noise.which]))

    def growth(self, tokens: Array) -> Array:
        """Share (G,) of a run's or trunk's effect that is there after ``tokens``; 1 at the longest pilot's end."""
        return np.asarray(np.log1p(tokens / self.first) / np.log1p(self.longest / self.first), dtype=float)

    def beyond(self, tokens: Array) -> Array:
        """Doublings (R, G) beyond each run's end, 0 within."""
        ends = np.array([curve.measured[1] for curve in self.curves])
        return np.asarray(np.maximum(np.log2(tokens[None, :] / ends[:, None]), 0.0), dtype=float)

    def means(self, tokens: Array, trunk: str | None = None) -> Array:
        """Expected change of loss (n, G), nats/token; with ``trunk``, of runs from that trunk."""
        runs = self.fit.curves(tokens)
        value = self.combine @ runs
        if trunk is not None and len(self.trunks) > 1:
            value = value + self.trunk_part[self.trunks.index(trunk)] @ runs
        return np.asarray(value, dtype=float)

    @cached_property
    def refitted(self) -> tuple[Array, ...]:
        """Linear parameters (B, R, L) of every run in every draw, under each shape that is believed in."""
        assert self.noise is not None, "no replicates, no draws"
        noise, found = self.noise, []
        times, values = [curve.tokens for curve in self.curves], [curve.change for curve in self.curves]
        for k, fit in enumerate(noise.fits):
            own = noise.which == k
            linear = np.zeros((*noise.bends.shape, len(fit.shape.law.linear)))  # of another shape's draws never read
            if own.any():
                linear[own] = refit_linear(fit, times, values, noise.bends[own], [row[own] for row in noise.rows])
            found.append(linear)
        return tuple(found)

    def weighted_draws(self, weights: Array, tokens: Array, some: slice = slice(None)) -> Array:
        """Draws (B, m, G) of sums of the pilots' curves, continued, with weights (m, R); their own v and u included."""
        assert self.noise is not None, "no replicates, no draws"
        noise = self.noise
        which, bends = noise.which[some], noise.bends[some]
        drawn = np.empty((len(which), len(weights), len(tokens)))
        for k, (fit, linear) in enumerate(zip(noise.fits, self.refitted, strict=True)):
            own = which == k
            if own.any():
                drawn[own] = weighted_curves(fit, bends[own], linear[some][own], weights, tokens)
        law = (noise.law_common[:, None] + noise.law_own[:, self.ratio_of])[some]  # (B, R)
        beyond, alike = np.unique(self.beyond(tokens), axis=0, return_inverse=True)
        for i, doublings in enumerate(beyond):
            if doublings.any():
                same = alike.reshape(-1) == i
                drawn -= (law[:, same] @ weights[:, same].T)[:, :, None] * doublings
        return drawn

    def run_draws(self, tokens: Array, runs: Sequence[int]) -> Array:
        """Some of the pilots themselves, continued: draws (B, len(runs), G) of their curves, own v and u included."""
        return self.weighted_draws(np.eye(len(self.curves))[list(runs)], tokens)

    def mean_draws(self, tokens: Array, trunk: str | None = None, some: slice = slice(None)) -> Array:
        """Draws (B, n, G) of the expected change of loss; with ``trunk``, of runs from that trunk; ``some`` of B."""
        assert self.noise is not None, "no replicates, no draws"
        noise, growth = self.noise, self.growth(tokens)
        effects = noise.runs + noise.trunks[:, self.trunk_of]  # (B, R)
        weights, own = self.combine, np.zeros((len(effects), 1))
        if trunk is not None and len(self.trunks) > 1:
            k = self.trunks.index(trunk)
            weights, own = weights + self.trunk_part[k], noise.trunks[:, k, None]
        moved = (own - effects @ weights.T)[some]  # (B, n)
        return np.asarray(self.weighted_draws(weights, tokens, some) + moved[:, :, None] * growth, dtype=float)


def refit(levels: Levels, shape: Shape, rng: np.random.Generator) -> Levels:
    """The same runs and noise under another shape of curve."""
    times, values = [curve.tokens for curve in levels.curves], [curve.change for curve in levels.curves]
    fit = fit_group(shape, times, values, levels.longest)
    noise = levels.noise
    if noise is not None:
        bends = draw_bends(fit, times, values, levels.jitter.sd, rng, len(noise.bends))
        noise = replace(noise, fits=(fit,), which=np.zeros(len(bends), dtype=int), bends=bends)
    return replace(levels, fit=fit, noise=noise)


@dataclass(frozen=True)
class Believed:
    """A shape with its fit and jitter at every size, the posterior of its error, and the weight it is given."""

    contender: Contender
    fits: tuple[GroupFit, ...]
    jitters: tuple[Jitter, ...]
    error: Discrepancy
    weight: float


def build_levels(
    shapes: Sequence[Shape],
    groups: Sequence[tuple[Curve, ...]],
    horizons: Sequence[float],
    rng: np.random.Generator,
    draws: int,
) -> tuple[list[Levels], tuple[Believed, ...]]:
    """Fit all sizes on one evaluation set and draw their noise; also the shapes believed in, the first the most."""
    ends = [max(curve.measured[1] for curve in curves) for curves in groups]
    reach = max(horizon / end for horizon, end in zip(horizons, ends, strict=True))
    shown = believe(contend(shapes, groups, reach), groups, ends)
    best = shown[0]
    times = [[curve.tokens for curve in curves] for curves in groups]
    ratios = [np.array([curve.domain_ratio for curve in curves]) for curves in groups]
    trunk_of = [np.unique([curve.trunk for curve in curves], return_inverse=True)[1] for curves in groups]
    levels, known = [], []
    for fit, time, end, jitter in zip(best.fits, times, ends, best.jitters, strict=True):
        at = np.array([end])
        variance = respond(fit, time, at, jitter.sd).variances(jitter.matrices([len(t) for t in time]))[:, 0]
        levels.append(fit.curves(at)[:, 0])
        known.append(jitter.sd**2 * variance)
    components = draw_components(levels, known, ratios, trunk_of, rng, draws)
    which = rng.choice(len(shown), size=draws, p=[shape.weight for shape in shown])
    drawn = [shape.error.draw(rng, draws) for shape in shown]
    law = LawError(*(np.choose(which, [getattr(own, part) for own in drawn]) for part in ("sd", "share", "across")))
    everywhere = rng.standard_normal(draws)  # the part of the law's error that all sizes share
    built = []
    for i, curves in enumerate(groups):
        sizes = [(shape.fits[i], shape.jitters[i]) for shape in shown]
        built.append(_assemble(curves, sizes, which, known[i], components, law, everywhere, rng))
    return built, shown


def believe(
    contenders: Sequence[Contender], groups: Sequence[tuple[Curve, ...]], ends: Sequence[float]
) -> tuple[Believed, ...]:
    """The contenders that what the backtests hid speaks for, with weights that sum to 1, the weightiest first."""
    times = [[curve.tokens for curve in curves] for curves in groups]
    values = [[curve.change for curve in curves] for curves in groups]
    ratios = [np.array([curve.domain_ratio for curve in curves]) for curves in groups]
    unit = contenders[0].score
    found = []
    for one in contenders:
        fits = tuple(fit_group(one.shape, t, v, end) for t, v, end in zip(times, values, ends, strict=True))
        jitters = tuple(measure_jitter(fits, times, values))
        found.append(Believed(one, fits, jitters, measure(one.tests, jitters, ratios, unit), 0.0))
    top = max(one.error.evidence for one in found)
    weights = np.array([np.exp(one.error.evidence - top) for one in found])
    weights = np.where(weights >= LEAST_WEIGHT * weights.sum(), weights, 0.0)
    order = [int(i) for i in np.argsort(-weights, kind="stable") if weights[i] > 0]
    return tuple(replace(found[i], weight=float(weights[i] / weights.sum())) for i in order)


def _assemble(
    curves: tuple[Curve, ...],
    shapes: Sequence[tuple[GroupFit, Jitter]],
    which: NDArray[np.int_],
    known: Array,
    components: tuple[Array, Array] | None,
    law: LawError,
    everywhere: Array,
    rng: np.random.Generator,
) -> Levels:
    draws = len(which)
    fit, jitter = shapes[0]
    ratios, ratio_of = np.unique([curve.domain_ratio for curve in curves], return_inverse=True)
    names, trunk_of = np.unique([curve.trunk for curve in curves], return_inverse=True)
    several = len(names) > 1
    run_sd, trunk_sd = components if components is not None else (np.zeros(draws), np.zeros(draws))
    trunk_sd = trunk_sd * several
    middle_run, middle_trunk = float(np.median(run_sd)) ** 2, float(np.median(trunk_sd)) ** 2
    floor = max(middle_run + float(known.mean()), 1e-24)
    together = np.equal.outer(trunk_of, np.arange(len(names))).astype(float)  # (R, K)
    covariance = np.diag(known + middle_run + 1e-6 * floor) + middle_trunk * together @ together.T
    design = np.equal.outer(ratio_of, np.arange(len(ratios))).astype(float)  # (R, n)
    inverse = np.linalg.inv(covariance / floor)
    combine = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse)
    trunk_part = (middle_trunk / floor) * together.T @ inverse @ (np.eye(len(curves)) - design @ combine)
    noise = None
    if components is not None:
        times, values = [curve.tokens for curve in curves], [curve.change for curve in curves]
        sd = np.choose(which, [own.draw(rng, draws) for _, own in shapes])
        together_size = np.sqrt(law.across) * everywhere + np.sqrt(1 - law.across) * rng.standard_normal(draws)
        bends = [draw_bends(one, times, values, own.sd, rng, draws) for one, own in shapes]
        noise = Noise(
            fits=tuple(one for one, _ in shapes),
            which=which,
            rows=tuple(sd[:, None] * _autocorrelated(rng, draws, len(t), jitter.correlation) for t in times),
            bends=np.stack(bends)[which, np.arange(draws)],
            jitter_sd=np.hypot(sd, np.sqrt(np.mean([curve.within**2 for curve in curves]))),
            run_sd=run_sd,
            runs=run_sd[:, None] * rng.standard_normal((draws, len(curves))),
            trunks=trunk_sd[:, None] * rng.standard_normal((draws, len(names))),
            law_common=law.sd * np.sqrt(law.share) * together_size,
            law_own=(law.sd * np.sqrt(1 - law.share))[:, None] * rng.standard_normal((draws, len(ratios))),
        )
    return Levels(curves, fit, jitter, ratios, ratio_of, tuple(map(str, names)), trunk_of, combine, trunk_part, noise)


def _autocorrelated(rng: np.random.Generator, draws: int, rows: int, correlation: float) -> Array:
    """Unit-variance AR(1) noise (draws, rows)."""
    noise = rng.standard_normal((draws, rows))
    if correlation == 0:
        return noise
    steps = np.ascontiguousarray(noise.T)
    steps[1:] *= np.sqrt(1 - correlation**2)
    for row in range(1, rows):
        steps[row] += correlation * steps[row - 1]
    return steps.T
