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

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.backtest import Backtest, choose
from speciate.planning.mixture.curves import GroupFit, Shape, fit_group
from speciate.planning.mixture.observations import Curve
from speciate.planning.mixture.response import bent_curves, draw_bends, respond
from speciate.planning.mixture.spread import Jitter, draw_components, draw_discrepancy, measure_jitter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Draws (B first) of all that moves the curves of one size on one evaluation set."""

    rows: tuple[Array, ...]  # R of (B, n): jitter of the measurements
    bends: Array  # (B, R): s of every run's curve
    jitter_sd: Array  # (B,)
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
        return float(min(curve.tokens[0] for curve in self.curves))

    @property
    def fitted_from(self) -> float:
        """Tokens from which on the curves were fitted."""
        return max(self.first, self.fit.shape.start * self.longest)

    @property
    def longest(self) -> float:
        """Tokens of the longest run."""
        return float(max(curve.tokens[-1] for curve in self.curves))

    def growth(self, tokens: Array) -> Array:
        """Share (G,) of a run's or trunk's effect that is there after ``tokens``; 1 at the longest pilot's end."""
        return np.asarray(np.log1p(tokens / self.first) / np.log1p(self.longest / self.first), dtype=float)

    def beyond(self, tokens: Array) -> Array:
        """Doublings (R, G) beyond each run's end, 0 within."""
        ends = np.array([curve.tokens[-1] for curve in self.curves])
        return np.asarray(np.maximum(np.log2(tokens[None, :] / ends[:, None]), 0.0), dtype=float)

    def means(self, tokens: Array, trunk: str | None = None) -> Array:
        """Expected change of loss (n, G), nats/token; with ``trunk``, of runs from that trunk."""
        runs = self.fit.curves(tokens)
        value = self.combine @ runs
        if trunk is not None and len(self.trunks) > 1:
            value = value + self.trunk_part[self.trunks.index(trunk)] @ runs
        return np.asarray(value, dtype=float)

    def run_draws(self, tokens: Array) -> Array:
        """The pilots themselves, continued: draws (B, R, G) of their curves (their own v and u included)."""
        assert self.noise is not None, "no replicates, no draws"
        noise = self.noise
        law = noise.law_common[:, None] + noise.law_own[:, self.ratio_of]  # (B, R)
        times, values = [curve.tokens for curve in self.curves], [curve.change for curve in self.curves]
        curves = bent_curves(self.fit, times, values, noise.bends, noise.rows, tokens)
        return np.asarray(curves - law[:, :, None] * self.beyond(tokens)[None], dtype=float)

    def mean_draws(self, tokens: Array, trunk: str | None = None) -> Array:
        """Draws (B, n, G) of the expected change of loss; with ``trunk``, of runs from that trunk."""
        assert self.noise is not None, "no replicates, no draws"
        noise, growth = self.noise, self.growth(tokens)
        effects = noise.runs + noise.trunks[:, self.trunk_of]  # (B, R)
        runs = self.run_draws(tokens) - effects[:, :, None] * growth
        draws = np.einsum("nr,brg->bng", self.combine, runs)
        if trunk is not None and len(self.trunks) > 1:
            k = self.trunks.index(trunk)
            effect = noise.trunks[:, k, None] + np.einsum("r,brg->bg", self.trunk_part[k], runs) / growth
            draws = draws + (effect * growth)[:, None, :]
        return np.asarray(draws, dtype=float)


def refit(levels: Levels, shape: Shape, rng: np.random.Generator) -> Levels:
    """The same runs and noise under another shape of curve."""
    times, values = [curve.tokens for curve in levels.curves], [curve.change for curve in levels.curves]
    fit = fit_group(shape, times, values, levels.longest)
    noise = levels.noise
    if noise is not None:
        bends = draw_bends(fit, times, values, levels.jitter.sd, rng, len(noise.bends))
        noise = replace(noise, bends=bends)
    return replace(levels, fit=fit, noise=noise)


def build_levels(
    shapes: Sequence[Shape],
    groups: Sequence[tuple[Curve, ...]],
    horizons: Sequence[float],
    rng: np.random.Generator,
    draws: int,
) -> tuple[list[Levels], tuple[Backtest, ...], float]:
    """Fit all sizes on one evaluation set and draw their noise; also the backtests and their RMS error per doubling."""
    ends = [max(float(curve.tokens[-1]) for curve in curves) for curves in groups]
    reach = max(horizon / end for horizon, end in zip(horizons, ends, strict=True))
    shape, tests, score = choose(shapes, groups, reach)
    times = [[curve.tokens for curve in curves] for curves in groups]
    values = [[curve.change for curve in curves] for curves in groups]
    fits = [fit_group(shape, time, value, end) for time, value, end in zip(times, values, ends, strict=True)]
    jitters = measure_jitter(fits, times, values)
    ratios = [np.array([curve.domain_ratio for curve in curves]) for curves in groups]
    trunk_of = [np.unique([curve.trunk for curve in curves], return_inverse=True)[1] for curves in groups]
    levels, known = [], []
    for fit, time, end, jitter in zip(fits, times, ends, jitters, strict=True):
        at = np.array([end])
        variance = respond(fit, time, at, jitter.sd).variances([jitter.matrix(len(t)) for t in time])[:, 0]
        levels.append(fit.curves(at)[:, 0])
        known.append(jitter.sd**2 * variance)
    components = draw_components(levels, known, ratios, trunk_of, rng, draws)
    law_sd, share = draw_discrepancy(tests, jitters, ratios, rng, draws)
    built = []
    for i, (curves, fit, jitter) in enumerate(zip(groups, fits, jitters, strict=True)):
        built.append(_assemble(curves, fit, jitter, known[i], components, law_sd, share, rng, draws))
    return built, tests, score


def _assemble(
    curves: tuple[Curve, ...],
    fit: GroupFit,
    jitter: Jitter,
    known: Array,
    components: tuple[Array, Array] | None,
    law_sd: Array,
    share: Array,
    rng: np.random.Generator,
    draws: int,
) -> Levels:
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
        sd = jitter.draw(rng, draws)
        rows = tuple(sd[:, None] * _autocorrelated(rng, draws, len(c.tokens), jitter.correlation) for c in curves)
        noise = Noise(
            rows=rows,
            bends=draw_bends(fit, [c.tokens for c in curves], [c.change for c in curves], jitter.sd, rng, draws),
            jitter_sd=sd,
            run_sd=run_sd,
            runs=run_sd[:, None] * rng.standard_normal((draws, len(curves))),
            trunks=trunk_sd[:, None] * rng.standard_normal((draws, len(names))),
            law_common=law_sd * np.sqrt(share) * rng.standard_normal(draws),
            law_own=(law_sd * np.sqrt(1 - share))[:, None] * rng.standard_normal((draws, len(ratios))),
        )
    return Levels(curves, fit, jitter, ratios, ratio_of, tuple(map(str, names)), trunk_of, combine, trunk_part, noise)


def _autocorrelated(rng: np.random.Generator, draws: int, rows: int, correlation: float) -> Array:
    """Unit-variance AR(1) noise (draws, rows)."""
    noise = rng.standard_normal((draws, rows))
    fresh = np.sqrt(1 - correlation**2)
    for row in range(1, rows):
        noise[:, row] = correlation * noise[:, row - 1] + fresh * noise[:, row]
    return noise
