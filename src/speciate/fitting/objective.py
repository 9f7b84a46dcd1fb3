"""What a fit minimises: sum over rows of weight * rho(residual). Summed, never averaged.

log-huber  residual = ln predicted - ln measured, rho = Huber_delta   (losses; a relative error)
huber      residual = predicted - measured,       rho = Huber_delta   (changes of loss, of any sign)
squared    residual = predicted - measured,       rho(r) = r^2 / 2
Huber_delta(r) = r^2/2 for |r| <= delta, else delta (|r| - delta/2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speciate.laws.law import Array, Objective


@dataclass(frozen=True)
class Loss:
    """An objective with its corner; ``delta`` is in ln (log-huber) or in units of y (huber).

    ``delta`` may differ by row, (n,): delta * s with weights 1/s^2 is rho of residuals divided by their noise s.

    >>> Loss("huber", 0.5).total(np.array([1.0, 2.0]), np.array([1.0, 1.0]), np.ones(2)).round(3)
    np.float64(0.375)
    """

    kind: Objective
    delta: float | Array = 1e-3

    @property
    def logarithmic(self) -> bool:
        return self.kind == "log-huber"

    @property
    def corner(self) -> float | Array:
        return np.inf if self.kind == "squared" else self.delta

    def residual(self, value: Array, y: Array) -> Array:
        """Residuals (..., n); a prediction without a logarithm is infinitely far away."""
        if not self.logarithmic:
            return value - y
        positive = value > 0
        if positive.all():
            return np.asarray(np.log(value / y))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(positive, np.log(value / y), np.inf)

    def total(self, value: Array, y: Array, weights: Array) -> Array:
        """The objective: predictions (..., n) -> (...). Not finite predictions give inf."""
        residual = self.residual(value, y)
        with np.errstate(invalid="ignore", over="ignore"):
            return self.summed(residual, np.clip(residual, -self.corner, self.corner), weights)

    def summed(self, residual: Array, slope: Array, weights: Array) -> Array:
        """The objective of residuals whose rho' is known, (..., n) -> (...)."""
        cost = weights * (slope * (residual - slope / 2))
        total: Array = np.sum(cost, axis=-1)
        if np.isfinite(total).all():
            return total
        total = np.sum(np.where(weights > 0, cost, 0.0), axis=-1)  # a row of weight 0 may be anything
        return np.where(np.isnan(total), np.inf, total)

    def derivatives(self, residual: Array) -> tuple[Array, Array, Array]:
        """rho', rho'' and the majorising curvature rho'/r (at least rho''), each (..., n)."""
        if self.kind == "squared" or np.all(np.isinf(self.delta)):
            return residual, np.ones_like(residual), np.ones_like(residual)
        distance = np.abs(residual)
        slope = np.minimum(np.maximum(residual, -self.delta), self.delta)
        return slope, (distance <= self.delta).astype(float), self.delta / np.maximum(distance, self.delta)
