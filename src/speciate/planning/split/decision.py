"""The answer to "one model, or a seed copied into specialists?": frozen values, their JSON, and five lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from speciate.planning.split.remedy import SplitRun
from speciate.planning.split.sizes import ShareBySize
from speciate.planning.words import no_interval, none_yet, run_next, seal_next, short

Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Expert:
    """One domain's specialist where domains are unequal. Tokens with their interval; losses in nats/token.

    ``loss_interval`` and ``unsplit_interval`` are of the law's values; ``noise``: standard deviation of a measured
    ln loss about the law.
    """

    eval_on: str
    weight: float
    tokens: float
    low: float | None
    high: float | None
    loss: float
    loss_unsplit: float
    loss_interval: Ends = (None, None)
    unsplit_interval: Ends = (None, None)
    noise: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """One entry of ``experts``."""
        losses = {"loss_interval": self.loss_interval, "unsplit_interval": self.unsplit_interval}
        return {**vars(self), **{name: {"low": low, "high": high} for name, (low, high) in losses.items()}}


@dataclass(frozen=True, eq=False)
class SplitDecision:
    """How ``total_tokens`` are best spent on a seed and K experts of ``params``, and whether to split at all.

    ``choice`` is "split", "never split", or None where these rows cannot tell. ``low`` and ``high`` are of
    ``seed_tokens``; ``intervals`` holds those of all (None without a second run). ``expert_tokens`` is the mean over
    experts. ``splitting_point`` is None where splitting pays at no seed. ``p_split``: share of draws in which this
    split wins (any, where the plan is not to split); ``regret``: expected loss (nats/token) for not knowing the law
    better. ``extrapolated``: by how many times the plan exceeds what was measured, for what it exceeds. ``rows``:
    those it was fitted on; ``noise``: standard deviation of a measured ln loss about the law. ``flops_per_token`` of
    training, where the architecture is known: a mixture of experts uses a part of its ``params`` for each.
    """

    params: float
    total_tokens: float
    domains: int
    choice: str | None
    seed_tokens: float
    expert_tokens: float
    loss: float
    loss_unsplit: float
    gain: float
    splitting_point: float | None
    intervals: Mapping[str, Ends]
    p_split: float | None
    regret: float | None
    level: float
    extrapolated: Mapping[str, float]
    experts: tuple[Expert, ...]
    options: tuple[Mapping[str, float | None], ...]
    seed_share_by_size: ShareBySize | None
    remedy: SplitRun | None
    status: str
    notes: tuple[str, ...]
    rows: pd.DataFrame = field(repr=False)
    noise: float = 0.0
    by_domains: tuple[SplitDecision, ...] = ()
    flops_per_token: float | None = None

    @property
    def decided(self) -> bool:
        """Whether the rows tell splitting from not splitting."""
        return self.choice is not None

    @property
    def low(self) -> float | None:
        return self.intervals["seed_tokens"][0]

    @property
    def high(self) -> float | None:
        return self.intervals["seed_tokens"][1]

    @property
    def flops(self) -> float:
        """Of training all of it: D + K D' tokens at ``flops_per_token``, else at 6 N."""
        return (self.flops_per_token or 6.0 * self.params) * self.total_tokens

    def to_json(self) -> dict[str, Any]:
        """The stable form printed by ``speciate plan split --json``; missing is null."""
        return {
            "kind": "split",
            "decided": self.decided,
            **self._numbers(),
            "level": self.level,
            "noise": self.noise,
            "experts": [expert.to_json() for expert in self.experts],
            "options": [dict(point) for point in self.options],
            "seed_share_by_size": None if self.seed_share_by_size is None else self.seed_share_by_size.to_json(),
            "by_domains": [one._numbers() for one in self.by_domains],
            "remedy": None if self.remedy is None else self.remedy.to_json(),
            "notes": list(self.notes),
        }

    def _numbers(self) -> dict[str, Any]:
        names = ("params", "total_tokens", "domains", "choice", "seed_tokens", "expert_tokens", "low", "high", "loss",
                 "loss_unsplit", "gain", "splitting_point", "p_split", "regret", "flops", "status")  # fmt: skip
        return {
            **{name: getattr(self, name) for name in names},
            "intervals": {name: {"low": low, "high": high} for name, (low, high) in self.intervals.items()},
            "extrapolated": dict(self.extrapolated),
        }

    def explain(self) -> str:
        """Five lines: choice, how sure, cost, what would change it, next command."""
        return "\n".join([self._choice(), self._sure(), self._cost(), self._change(), self._next()])

    def _choice(self) -> str:
        of = f"{short(self.total_tokens)} tokens, {self.domains} domains, {short(self.params)} params"
        start = f"a seed of {short(self.seed_tokens)} tokens, then {short(self.expert_tokens)} for each of"
        better = f"{self.gain:.4f} nats better than not splitting"
        if self.choice is None:
            plan = f"{start} {self.domains} experts of {short(self.params)} params, {better}"
            if self.expert_tokens > 0:
                return none_yet("the interval of what splitting gains holds 0", plan)
            return none_yet(self.status.split("; ")[0], "not to split")
        if self.choice == "split":
            return f"Choice: split; {start} {self.domains} experts ({of}): loss {self.loss:.4f}, {better}."
        return f"Choice: do not split ({of}): loss {self.loss_unsplit:.4f}."

    def _sure(self) -> str:
        if self.low is None or self.high is None:
            return no_interval(self.level, "the rows come from one run")
        gain, why = self.intervals["gain"], self.status.split("; ")[0]  # what follows is said below
        text = (
            f"How sure: {self.level:.0%} intervals: seed {short(self.low)} to {short(self.high)} tokens, "
            f"gain {gain[0]:.4f} to {gain[1]:.4f} nats; splitting wins in {self.p_split:.0%} of draws"
        )
        if self.choice == "never split":  # its seed is the total and its gain 0, whatever the draw
            text = f"How sure: {why.removeprefix('do not split: ')}"
        far = ", ".join(f"{name} {times:.2g}x" for name, times in self.extrapolated.items())
        return f"{text}; beyond the rows in {far}." if far else f"{text}; within what was measured."

    def _cost(self) -> str:
        keep = f", and {self.domains} models to keep" if self.choice != "never split" else ""
        how = "6 N D" if self.flops_per_token is None else f"{self.flops_per_token:.3g} per token"
        return f"Cost: {self.flops:.3g} FLOPs ({how}), the same with and without splitting{keep}."

    def _change(self) -> str:
        if self.remedy is not None:
            return f"What would change it: {self.remedy.to_json()['text']}."
        point = "at no seed" if self.splitting_point is None else f"from {short(self.splitting_point)} seed tokens on"
        return f"What would change it: another total or number of domains; splitting pays {point}."

    def _next(self) -> str:
        if self.choice is not None:
            return seal_next("split")
        return run_next("another seed with an expert" if self.remedy is None else self.remedy.run())
