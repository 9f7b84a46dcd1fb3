"""How noisy each row is: from its own ``stderr``, from an input that the noise depends on, or the same for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speciate.laws.law import Array

FAINT = 1e-3  # residuals are read no smaller than this share of the typical one: an exact hit is luck
STEEP = 3.0  # noise may change by at most exp(3) over the rows


@dataclass(frozen=True)
class Noise:
    """Relative scale of the noise: exp(slope (z - centre)) along input ``column``, or 1 everywhere without one.

    ``ratio`` is the scale at the largest value of the rows over that at the smallest; ``stderr`` says that the
    rows' own standard errors were used, beside run-to-run noise of ``between`` (in the fit's residuals).
    """

    column: str | None = None
    slope: float = 0.0
    centre: float = 0.0
    ratio: float = 1.0
    stderr: bool = False
    between: float | None = None

    def scale(self, x: dict[str, Array]) -> Array | float:
        """Relative scale at new inputs (n,)."""
        if self.column is None:
            return 1.0
        return np.asarray(np.exp(self.slope * (x[self.column] - self.centre)))


def along(column: str, z: Array, residuals: Array) -> Noise:
    """Noise whose logarithm is linear in z: least squares of ln |residual| on z, both (n,).

    >>> z = np.linspace(0, 1, 4000)
    >>> found = along("domain_ratio", z, np.exp(z) * np.random.default_rng(0).normal(size=4000))
    >>> 2.3 < found.ratio < 3.2
    True
    """
    size = np.abs(residuals)
    level = np.log(np.maximum(size, FAINT * max(float(np.median(size)), 1e-300)))
    centre = float(z.mean())
    around = float(np.sum((z - centre) ** 2))
    slope = float(np.sum((z - centre) * level)) / around if around > 0 else 0.0
    reach = float(np.ptp(z))
    slope = float(np.clip(slope, -STEEP / reach, STEEP / reach)) if reach > 0 else 0.0
    return Noise(column, slope, centre, float(np.exp(slope * reach)))


def from_stderr(stderr: Array, residuals: Array) -> tuple[Noise, Array]:
    """Scales (n,), of mean square 1, from standard errors (n,; NaN counts as the median) and residuals (n,).

    What the residuals show beyond the standard errors is run-to-run noise, the same for all rows:
    its variance is the squared 1.4826 median |residual| less the mean squared standard error, at least 0.
    """
    known = np.where(np.isfinite(stderr), stderr, np.nanmedian(stderr))
    shown = (1.4826 * float(np.median(np.abs(residuals)))) ** 2
    between = max(shown - float(np.mean(known**2)), 0.0)
    variance = known**2 + between
    if not (variance > 0).all():
        variance = variance + max(float(variance.max()), 1.0) * 1e-6
    return Noise(stderr=True, between=float(np.sqrt(between))), np.sqrt(variance / variance.mean())
