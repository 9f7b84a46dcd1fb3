"""The answer to "how much domain text?": frozen values, their JSON, and five lines for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.planning.mixture.forecast import Forecast, forecast
from speciate.planning.mixture.levels import Levels

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RatioVerdict:
    """A tried ratio at the horizon. ``turning_tokens`` None: its general loss does not turn down.

    Changes are expected losses less the starting model's, nats/token, the general one read off the law across
    ratios (as the critical ratio is); ``probability`` that a ratio is
    feasible, None where run-to-run noise is unknown.
    """

    domain_ratio: float
    turning_tokens: float | None
    general_change: float
    domain_change: float
    feasible: bool
    probability: float | None


@dataclass(frozen=True)
class Remedy:
    """The cheapest run that would settle what is open."""

    why: str
    params: int
    domain_ratio: float
    tokens: int
    seed: int

    @property
    def flops(self) -> float:
        """C = 6 N D."""
        return 6.0 * self.params * self.tokens

    def to_json(self) -> dict[str, Any]:
        """{text, spec {params, domain_ratio, tokens, seed, flops}}."""
        return {
            "text": f"{self.why}: {self.params:,} params, domain ratio {self.domain_ratio:g}, {self.tokens:,} tokens, "
            f"seed {self.seed} ({self.flops:.2g} FLOPs)",
            "spec": {
                "params": self.params,
                "domain_ratio": self.domain_ratio,
                "tokens": self.tokens,
                "seed": self.seed,
                "flops": self.flops,
            },
        }


@dataclass(frozen=True)
class Basis:
    """What a size's forecasts are computed from (not part of the JSON)."""

    general: Levels
    domain: Levels
    misfit_general: Array | None
    misfit_domain: Array | None
    draws: Array | None  # (B,) of the critical ratio


@dataclass(frozen=True)
class SizeDecision:
    """One model size. ``critical_ratio`` is None when these rows cannot decide; ``status`` says why."""

    params: int
    critical_ratio: float | None
    low: float | None
    high: float | None
    horizon_tokens: float
    tolerance: float
    binding: str | None
    extrapolated: bool
    ratios: tuple[RatioVerdict, ...]
    law: Mapping[str, float] | None
    status: str
    decided: bool
    remedy: Remedy | None
    start_loss: Mapping[str, float] = field(default_factory=dict)
    curves: tuple[Mapping[str, Any], ...] = ()
    critical_curve: Mapping[str, Any] | None = None
    basis: Basis | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """One entry of ``models``; missing is null. Curves are losses; less ``start_loss`` they are changes."""
        names = ("params", "critical_ratio", "low", "high", "horizon_tokens", "tolerance", "binding", "extrapolated")
        return {
            **{name: getattr(self, name) for name in names},
            "ratios": [dict(vars(verdict)) for verdict in self.ratios],
            "law": None if self.law is None else dict(self.law),
            "status": self.status,
            "decided": self.decided,
            "remedy": None if self.remedy is None else self.remedy.to_json(),
            "start_loss": dict(self.start_loss),
            "curves": [dict(curve) for curve in self.curves],
            "critical_curve": None if self.critical_curve is None else dict(self.critical_curve),
        }


@dataclass(frozen=True)
class MixtureDecision:
    """The decision for every size, and how it was reached."""

    general: str
    domain: str
    level: float
    seed: int
    models: tuple[SizeDecision, ...]
    method: Mapping[str, Any]

    @property
    def decided(self) -> bool:
        """Whether the size that is spoken of, the largest, has a critical ratio; each of ``models`` says its own."""
        return self.largest.decided

    @property
    def status(self) -> str:
        """A sentence per size."""
        return " ".join(f"{model.params:,} params: {model.status}." for model in self.models)

    @property
    def largest(self) -> SizeDecision:
        """The size a plan is carried out with, unless told otherwise."""
        return max(self.models, key=lambda model: model.params)

    @property
    def critical_ratio(self) -> float | None:
        """Of the largest model."""
        return self.largest.critical_ratio

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the largest model, at ``level``."""
        model = self.largest
        return None if model.low is None or model.high is None else (model.low, model.high)

    def to_json(self) -> dict[str, Any]:
        """The stable form printed by ``speciate plan mixture --json``; missing is null."""
        return {
            "kind": "mixture",
            "general": self.general,
            "domain": self.domain,
            "level": self.level,
            "decided": self.decided,
            "status": self.status,
            "models": [model.to_json() for model in self.models],
            "method": dict(self.method),
        }

    def explain(self, params: int | None = None) -> str:
        """Five lines on one size (default: the largest): choice, how sure, cost, what would change it, next command."""
        model = next((model for model in self.models if model.params == params), self.largest)
        share = f"{self.level:.0%}"
        run = f"{model.params:,} params for {model.horizon_tokens:,.0f} tokens"
        if model.critical_ratio is None:
            choice = f"Choice: none yet for {run}; {model.status}."
        else:
            choice = f"Choice: at most {model.critical_ratio:.1%} domain text for {run} ({model.binding} binds)."
        if model.low is None or model.high is None:
            unknown = "run-to-run noise is unknown without a second seed" if model.decided else "nothing is decided"
            sure = f"How sure: no {share} interval; {unknown}."
        else:
            sure = f"How sure: {share} interval {model.low:.1%} to {model.high:.1%}" + (
                ", partly extrapolated." if model.extrapolated else ", within what was tried."
            )
        cost = f"Cost: the planned run takes {6.0 * model.params * model.horizon_tokens:.3g} FLOPs (6 N D)."
        if model.remedy is not None:
            change = f"What would change it: {model.remedy.to_json()['text']}."
        else:
            change = f"What would change it: another tolerance than {model.tolerance:g} nats, or another horizon."
        then = (
            "run the remedy, add its rows, and plan again: speciate plan mixture TABLE"
            if model.critical_ratio is None
            else ("carry the plan out and check it: speciate run STUDY.yaml --until compare")
        )
        return "\n".join([choice, sure, cost, change, f"Next: {then}"])


def predictions(
    decision: MixtureDecision,
    ratios: Sequence[float],
    tokens: Sequence[float],
    *,
    params: int | None = None,
    trunk: str | None = None,
    continues: Mapping[float, str] | None = None,
) -> list[dict[str, Any]]:
    """Losses (nats/token) that single runs will measure, with intervals at the decision's level.

    One row per size, ratio, token count and evaluation set:
    {params, domain_ratio, tokens, eval_on, trunk, continues, value, low, high}; low and high are None
    where run-to-run noise is unknown. ``trunk`` names the starting model of the new runs; ``continues``
    maps a ratio to the pilot that is carried on (its interval is narrower: its own past is known).
    """
    bad = [ratio for ratio in ratios if not 0 <= ratio <= 1] + [t for t in tokens if not t > 0]
    if bad:
        raise UserError(
            [Problem(f"{value} is out of range", "predictions", "ratios 0..1, tokens above 0") for value in bad]
        )
    rows = []
    at = np.asarray(tokens, dtype=float)
    for model in decision.models:
        if model.basis is None or (params is not None and model.params != params):
            continue
        for ratio in ratios:
            carried = (continues or {}).get(ratio)
            for eval_on, role in ((decision.general, "general"), (decision.domain, "domain")):
                result = size_forecast(model.basis, role, ratio, at, decision.level, decision.seed, trunk, carried)
                for i, count in enumerate(tokens):
                    rows.append(
                        {
                            "params": model.params,
                            "domain_ratio": float(ratio),
                            "tokens": float(count),
                            "eval_on": eval_on,
                            "trunk": trunk,
                            "continues": carried,
                            **_cell(result, i),
                        }
                    )
    return rows


def size_forecast(
    basis: Basis,
    role: str,
    ratio: float,
    tokens: Array,
    level: float,
    seed: int,
    trunk: str | None = None,
    continues: str | None = None,
) -> Forecast:
    """``forecast`` of one size on "general" or "domain"."""
    levels, misfit = (basis.general, basis.misfit_general) if role == "general" else (basis.domain, basis.misfit_domain)
    return forecast(levels, misfit, ratio, tokens, level, seed, trunk=trunk, continues=continues)


def _cell(result: Forecast, i: int) -> dict[str, float | None]:
    return {
        "value": float(result.value[i]),
        "low": None if result.low is None else float(result.low[i]),
        "high": None if result.high is None else float(result.high[i]),
    }
