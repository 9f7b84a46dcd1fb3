"""The answer to "how much domain text?": frozen values, their JSON, and five lines for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.planning.mixture.forecast import Forecast, forecast
from speciate.planning.mixture.levels import Levels
from speciate.planning.words import no_interval, none_yet, run_next, seal_next, short

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

    def run(self) -> str:
        """What is to be run, for a person."""
        what = f"{short(self.params)} params, domain ratio {self.domain_ratio:g}, {short(self.tokens)} tokens"
        return f"{what}, seed {self.seed} ({self.flops:.2g} FLOPs)"

    def to_json(self) -> dict[str, Any]:
        """{text, spec {params, domain_ratio, tokens, seed, flops}}."""
        return {
            "text": f"{self.why}: {self.run()}",
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


# Times the longest pilot beyond which intervals are told not to be trusted. At 4 times, intervals of 90 % held 76 % of
# simulated ratios, and 33 % where the general loss turns after the pilots end (benchmarks/mixture_coverage.py).
FAR = 3.0


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
    beyond: float = 1.0  # the horizon over the tokens of the longest pilot

    @property
    def flops(self) -> float:
        """Of the planned run: 6 N D."""
        return 6.0 * self.params * self.horizon_tokens

    def to_json(self) -> dict[str, Any]:
        """One entry of ``models``; missing is null. Curves are losses; less ``start_loss`` they are changes."""
        names = ("params", "critical_ratio", "low", "high", "horizon_tokens", "tolerance", "binding", "extrapolated",
                 "beyond")  # fmt: skip
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
    """The decision for every size, and how it was reached; ``rows``: those it was fitted on."""

    general: str
    domain: str
    level: float
    seed: int
    models: tuple[SizeDecision, ...]
    method: Mapping[str, Any]
    rows: pd.DataFrame = field(repr=False, compare=False)

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
        run = f"{short(model.params)} params and {short(model.horizon_tokens)} tokens"
        choice = none_yet(f"{model.status} ({run})")
        if model.critical_ratio is not None:
            choice = f"Choice: at most {model.critical_ratio:.1%} domain text, for {run} (the {model.binding} binds)."
        cost = f"Cost: the planned run takes {model.flops:.3g} FLOPs (6 N D)."
        change = f"another tolerance than {model.tolerance:g} nats, or another horizon"
        if model.remedy is not None:
            change = model.remedy.to_json()["text"]
        then = seal_next("mixture")
        if model.critical_ratio is None:
            then = run_next("pilots at another ratio" if model.remedy is None else model.remedy.run())
        return "\n".join([choice, self._sure(model), cost, f"What would change it: {change}.", then])

    def _sure(self, model: SizeDecision) -> str:
        if model.low is not None and model.high is not None:
            far = "partly extrapolated" if model.extrapolated else "within what was tried"
            if model.beyond > FAR:
                far = f"but the horizon is {model.beyond:.3g} times the longest pilot, too far to trust it"
            return f"How sure: {self.level:.0%} interval {model.low:.1%} to {model.high:.1%}, {far}."
        noise = "run-to-run noise is unknown without a second seed"
        return no_interval(self.level, noise if model.decided else "no ratio is chosen that it could be of")


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
