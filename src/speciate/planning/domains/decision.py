"""The answer to "how much of which domain?": frozen values, their JSON, and five lines for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from speciate.planning.domains.remedy import DomainPilot
from speciate.planning.mixture.repetition import Repeated
from speciate.planning.words import no_interval, none_yet, run_next, seal_next, short

Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class SetLoss:
    """One evaluation set at the choice, nats/token. ``low`` and ``high`` are of what one run will measure.

    ``change`` is expected, less the starting model's loss (None: unknown), with its own interval.
    """

    eval_on: str
    weight: float
    start: float | None
    value: float
    low: float | None
    high: float | None
    change: float | None
    change_low: float | None
    change_high: float | None


@dataclass(frozen=True)
class Mixture:
    """Another mixture than the chosen one: ``objective`` and what it is ``behind`` by (nats/token), with intervals.

    ``probability``: share of draws in which it keeps the tolerance; None without draws.
    """

    name: str
    shares: Mapping[str, float]
    objective: float
    behind: float
    low: float | None
    high: float | None
    general_change: float
    probability: float | None


@dataclass(frozen=True, eq=False)
class DomainsDecision:
    """Shares of several domains at one size. ``shares`` of the choice (the rest general), ``intervals`` of each and of
    "general". ``decided`` False: ``status`` says why, and the shares are an estimate only.

    ``objective`` is the weighted mean loss (weights sum to 1), ``binding`` what holds the choice. ``possible``: whether
    any mixture keeps the tolerances (``p_possible``: in what share of draws; if not, the choice is the mixture that
    comes nearest); ``p_feasible`` the
    share of draws in which it keeps the tolerance, ``regret`` what the choice is expected to lose against each draw's
    own best, ``overshoot`` by how much it is expected to exceed the tolerance (nats/token). ``extrapolated`` says what
    was, in words. ``region``: grid points with the probability that they are feasible; ``boundary``: the largest
    feasible total share along compositions of domain text. ``rows``: those it was fitted on.
    """

    params: int
    general: str
    domains: tuple[str, ...]
    weights: Mapping[str, float]
    horizon_tokens: float
    tolerance: float
    tolerances: Mapping[str, float]
    level: float
    seed: int
    shares: Mapping[str, float]
    intervals: Mapping[str, Ends]
    losses: tuple[SetLoss, ...]
    objective: float
    objective_interval: Ends
    binding: tuple[str, ...]
    possible: bool
    p_possible: float | None
    p_feasible: float | None
    regret: float | None
    overshoot: float | None
    extrapolated: tuple[str, ...]
    safe: Mixture | None
    alternatives: tuple[Mixture, ...]
    region: tuple[Mapping[str, Any], ...]
    boundary: tuple[Mapping[str, Any], ...]
    repetition: tuple[Repeated, ...]
    lasting: str | None
    laws: Mapping[str, Mapping[str, Any]]
    method: Mapping[str, Any]
    remedy: DomainPilot | None
    status: str
    decided: bool
    notes: tuple[str, ...]
    rows: pd.DataFrame = field(repr=False)

    @property
    def general_share(self) -> float:
        """What the domains leave."""
        return 1.0 - sum(self.shares.values())

    @property
    def flops(self) -> float:
        """Of the planned run: 6 N D."""
        return 6.0 * self.params * self.horizon_tokens

    def to_json(self) -> dict[str, Any]:
        """The stable form printed by ``speciate plan mixture --domains --json``; missing is null."""
        every = {**self.shares, self.general: self.general_share}
        ends = {name: self.intervals.get(name, (None, None)) for name in every}
        names = ("params", "general", "horizon_tokens", "tolerance", "level", "objective", "possible", "p_possible",
                 "p_feasible", "regret",
                 "overshoot", "flops")  # fmt: skip
        return {
            "kind": "mixture-domains",
            "decided": self.decided,
            "status": self.status,
            **{name: getattr(self, name) for name in names},
            "objective_low": self.objective_interval[0],
            "objective_high": self.objective_interval[1],
            "domains": list(self.domains),
            "weights": dict(self.weights),
            "tolerances": dict(self.tolerances),
            "shares": {n: {"value": v, "low": ends[n][0], "high": ends[n][1]} for n, v in every.items()},
            "losses": [dict(vars(one)) for one in self.losses],
            "binding": list(self.binding),
            "extrapolated": list(self.extrapolated),
            "safe": None if self.safe is None else _plain(self.safe),
            "alternatives": [_plain(one) for one in self.alternatives],
            "region": [dict(point) for point in self.region],
            "boundary": [dict(point) for point in self.boundary],
            "repetition": {"lasting": self.lasting, "domains": [one.to_json() for one in self.repetition]},
            "laws": {name: dict(law) for name, law in self.laws.items()},
            "remedy": None if self.remedy is None else self.remedy.to_json(),
            "notes": list(self.notes),
            "method": dict(self.method),
        }

    def explain(self) -> str:
        """Five lines: choice, how sure, cost, what would change it, next command."""
        return "\n".join([self._choice(), self._sure(), self._cost(), self._change(), self._next()])

    def details(self) -> list[str]:
        """What else a person should read: losses, the cautious mixture, alternatives, repetition, notes."""
        lines = [f"Loss on {one.eval_on}: {_loss(one)}." for one in self.losses]
        if self.safe is not None:
            kept = "the tolerance" if not self.tolerances else "every tolerance"
            lines.append(
                f"Cautious: {mixture_text(self.safe.shares)} keeps {kept} in {self.level:.0%} of draws, "
                f"{self.safe.behind:.4f} nats behind."
            )
        elif self.p_feasible is not None:
            lines.append(f"Cautious: no mixture is feasible in {self.level:.0%} of draws.")
        lines += [
            f"Instead, {one.name}: {mixture_text(one.shares)}, {one.behind:.4f} nats behind."
            for one in self.alternatives
        ]
        lines += [f"Repetition: {one.sentence()}." for one in self.repetition]
        told = [one.warning for one in self.repetition if one.warning is not None]
        told += [self.lasting] if self.lasting is not None else []
        return lines + [f"Note: {note}." for note in (*told, *self.notes)]

    def _choice(self) -> str:
        held = f"{' and '.join(self.binding) or 'nothing'} {'bind' if len(self.binding) > 1 else 'binds'}"
        mix = f"{mixture_text(self.shares)}, the rest {self.general}"
        run = f"{short(self.params)} params and {short(self.horizon_tokens)} tokens"
        if not self.decided:
            why = f"{self.status} ({run})"
            return none_yet(why, mix) if self.possible else f"{none_yet(why)} Nearest comes {mix}."
        return f"Choice: {mix}, for {run}: weighted loss {self.objective:.4f} ({held})."

    def _sure(self) -> str:
        share = f"{self.level:.0%}"
        if self.p_feasible is None or self.regret is None:
            return no_interval(self.level, "as many runs as the law has parameters leave no noise to see")
        if not self.possible:
            return f"How sure: some mixture keeps what is asked in {self.p_possible:.0%} of draws."
        ends = ", ".join(
            f"{name} {low:.1%} to {high:.1%}"
            for name, (low, high) in self.intervals.items()
            if name != self.general and low is not None and high is not None
        )
        far = f"; {'; '.join(self.extrapolated)}" if self.extrapolated else "; within what was tried"
        kept = "the tolerance" if not self.tolerances else "every tolerance"
        return (
            f"How sure: {share} intervals {ends}; keeps {kept} in {self.p_feasible:.0%} of draws, expected regret "
            f"{self.regret:.4f} nats{far}."
        )

    def _cost(self) -> str:
        again = [one for one in self.repetition if one.epochs > 1]
        worst = max(again, key=lambda one: one.epochs, default=None)
        text = f"Cost: the planned run takes {self.flops:.3g} FLOPs (6 N D)"
        if worst is None:
            return f"{text}."
        cost = "" if worst.cost is None else f", which costs {worst.cost:.4f} nats on it"
        return f"{text}; {worst.domain} is read {worst.epochs:.1f} times{cost}."

    def _change(self) -> str:
        if self.remedy is not None:
            return f"What would change it: {self.remedy.to_json()['text']}."
        return f"What would change it: other weights, another tolerance than {self.tolerance:g} nats, another horizon."

    def _next(self) -> str:
        if not self.decided:
            return run_next("pilots on other mixtures" if self.remedy is None else self.remedy.run())
        return seal_next("mixture", f"--domains {','.join(self.domains)}")


def mixture_text(shares: Mapping[str, float]) -> str:
    """Shares for a person.

    >>> mixture_text({"law": 0.2, "code": 0.0})
    'law 20.0%, code 0.0%'
    """
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.items())


def _loss(one: SetLoss) -> str:
    band = "" if one.low is None or one.high is None else f" (a run will measure {one.low:.4f} to {one.high:.4f})"
    change = "" if one.change is None else f", {one.change:+.4f} against the start"
    return f"{one.value:.4f}{change}{band}"


def _plain(one: Mixture) -> dict[str, Any]:
    return {**vars(one), "shares": dict(one.shares)}
