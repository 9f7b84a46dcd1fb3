"""A size's answer in the form that is printed, sealed and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from speciate.laws.cmr import power_form
from speciate.planning.mixture.decision import Basis, RatioVerdict
from speciate.planning.mixture.forecast import forecast_tried
from speciate.planning.mixture.horizon import CriticalPath, Question


def verdicts(basis: Basis, path: CriticalPath, question: Question) -> tuple[RatioVerdict, ...]:
    """Every tried ratio at the horizon."""
    at = np.array([question.horizon])
    domain = basis.domain.means(at)[:, 0]
    return tuple(
        RatioVerdict(
            domain_ratio=float(ratio),
            turning_tokens=float(path.turning[i]) if np.isfinite(path.turning[i]) else None,
            general_change=float(path.change[i]),
            domain_change=float(domain[i]),
            feasible=bool(path.feasible[i]),
            probability=None if path.probability is None else float(path.probability[i]),
        )
        for i, ratio in enumerate(basis.general.ratios)
    )


def law(path: CriticalPath) -> Mapping[str, float] | None:
    """R = a t^s + b with t = tokens / unit_tokens (eq. 8)."""
    if path.law is None:
        return None
    a, s, b = map(float, power_form(path.law))
    return {"a": a, "s": s, "b": b, "unit_tokens": path.unit}


def starts(basis: Basis) -> dict[str, float]:
    """Mean loss of the starting models (nats/token)."""
    result = {}
    for role, levels in (("general", basis.general), ("domain", basis.domain)):
        result[role] = float(np.mean(list({curve.trunk: curve.start for curve in levels.curves}.values())))
    return result


def curves(basis: Basis, question: Question, level: float, seed: int) -> tuple[Mapping[str, Any], ...]:
    """Losses (nats/token) a run would measure, by ratio and role, with bands where noise is known."""
    last = max(question.horizon, basis.general.longest)
    found = []
    for role, levels in (("general", basis.general), ("domain", basis.domain)):
        tokens = np.geomspace(levels.fitted_from, last, 40)  # a curve says nothing about rows it was not fitted to
        bands = forecast_tried(levels, tokens, level, seed)
        for ratio, result in zip(levels.ratios, bands, strict=True):
            found.append(
                {
                    "domain_ratio": float(ratio),
                    "eval_on": role,
                    "tokens": tokens.tolist(),
                    "value": result.value.tolist(),
                    "low": None if result.low is None else result.low.tolist(),
                    "high": None if result.high is None else result.high.tolist(),
                }
            )
    return tuple(found)


def critical_curve(path: CriticalPath, level: float) -> dict[str, Any]:
    """The critical ratio against tokens, the horizon last, with its interval."""
    value = np.clip(np.minimum(path.tolerated, path.turned), 0, 1)
    low: list[float] | None = None
    high: list[float] | None = None
    if path.draws is not None:
        ends = np.quantile(path.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        low, high = np.minimum(ends[0], value).tolist(), np.maximum(ends[1], value).tolist()
    return {"tokens": path.tokens.tolist(), "value": value.tolist(), "low": low, "high": high}
