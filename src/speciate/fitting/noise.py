"""How noisy each row is: from its own ``stderr``, from an input that the noise depends on, or the same for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speciate.laws.law import Array

FAINT = (
    0.2  # residuals are read no smaller than this share of the typical one: an exact hit is luck, and a far logarithm
)
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

    What the residuals show beyond the standard errors is run-to-run noise b, the same for all rows: with it half
    of the residuals lie within .6745 of sqrt(stderr^2 + b^2), without it fewer; at least 0. A mean of squares would
    let one row with a large standard error hide the noise of all others.
    """
    known = np.where(np.isfinite(stderr), stderr, np.nanmedian(stderr))
    size = 1.4826 * np.abs(residuals)
    low, high = 0.0, float(np.median(size))  # with b as high as that, at least half lie within
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if np.median(size / np.hypot(known, middle)) <= 1 else (middle, high)
    between = 0.0 if np.median(size / known) <= 1 else high
    variance = known**2 + between**2
    typical = float(np.median(variance))  # a row a thousand times more exact than half of them is not believed
    variance = np.maximum(variance, 1e-6 * typical)
    return Noise(stderr=True, between=between), np.sqrt(variance / variance.mean())
