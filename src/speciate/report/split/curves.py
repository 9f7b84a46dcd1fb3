"""The law's loss along each budget: the plan's own curve at the planned total, the saved fit's at the pilots'."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from speciate.report.split.evidence import SplitEvidence

if TYPE_CHECKING:
    from speciate.fitting.result import Fit

SHARES = 41
Point = tuple[float, float, float | None, float | None]  # share, loss, low, high


@dataclass(frozen=True)
class Curve:
    """Loss (nats/token) of one size against the seed's share of a total, shares ascending."""

    params: float
    budget: float
    points: tuple[Point, ...]


def curves_of(evidence: SplitEvidence) -> list[Curve]:
    """One for every size and budget that has measured points and a law; at the planned size and total the plan's."""
    found = []
    told, total = evidence.decision, evidence.total
    options = told.get("options") or []
    planned = None
    if options and total and evidence.params:
        points = [(row["seed_tokens"] / total, row["loss"], row.get("low"), row.get("high")) for row in options]
        planned = Curve(evidence.params, total, tuple(sorted(p for p in points if math.isfinite(p[1]))))
        found.append(planned)
    if evidence.count is None:
        return found
    for params, budget in sorted({(float(n), float(c)) for n, c in evidence.points[["params", "budget"]].to_numpy()}):
        fit = fit_at(evidence, params)
        if fit is not None and (planned is None or (params, budget) != (planned.params, planned.budget)):
            found.append(_along(fit, params, budget, evidence.count))
    return found


def fit_at(evidence: SplitEvidence, params: float) -> Fit | None:
    """The split law as it was saved: of one size, which the plan rests on, else of all sizes; None where refused."""
    from speciate.fitting.store import FORMAT, revive

    for name in (f"split-{params:.0f}", "split"):
        saved = (evidence.fits or {}).get(name) or {}
        if saved.get("format") == FORMAT:
            try:
                return revive(saved)
            except (KeyError, TypeError, ValueError):  # of another version: the measured points stand by themselves
                continue
    return None


def _along(fit: Fit, params: float, budget: float, count: int) -> Curve:
    share = np.linspace(0.0, 1.0, SHARES)
    at = {"params": np.full(SHARES, params), "seed_tokens": share * budget, "tokens": (1 - share) * budget / count}
    told = fit.predict_mean(**{name: values for name, values in at.items() if name in fit.scales})
    rows = zip(share, told.value, *(_ends(told.low), _ends(told.high)), strict=True)
    return Curve(params, budget, tuple((float(x), float(v), low, high) for x, v, low, high in rows if np.isfinite(v)))


def _ends(values: Any) -> list[float | None]:
    if values is None:
        return [None] * SHARES
    return [float(value) if np.isfinite(value) else None for value in values]
