"""The answer to "which run should be bought next?": frozen values, their JSON, and five lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.planning.next.value import Outcome
from speciate.planning.words import UNDECIDED, none_yet

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A run, or ``repeats`` of it with other seeds, that can be bought: what it is, its price, what it would measure.

    ``text`` says it to a person. ``outcome`` is None where no expectation can be given.
    """

    spec: Mapping[str, Any]
    text: str
    flops: float
    outcome: Outcome | None


@dataclass(frozen=True, eq=False)
class Stakes:
    """What is at stake in a decision: the regret (nats/token) of every action in every draw, (B, A), and what to buy.

    ``decision``: the action of least expected regret as JSON; ``text``: and for a person.
    """

    kind: str
    regret: Array
    decision: Mapping[str, Any]
    text: str
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Unknown:
    """These rows support no expectation: why, and the run that is needed first, if one is known."""

    kind: str
    reason: str
    candidates: tuple[Candidate, ...]
    decision: Mapping[str, Any]


@dataclass(frozen=True)
class RankedRun:
    """A candidate with what it is expected to do. Regrets are in nats/token, None where there is no expectation.

    ``standard_error``: of the drop, over the outcomes that were looked at; ``lower_bound``: it may do more.
    """

    spec: Mapping[str, Any]
    text: str
    flops: float
    expected_regret_drop: float | None
    expected_regret_after: float | None
    standard_error: float | None
    drop_per_flop: float | None
    lower_bound: bool

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {**vars(self), "spec": dict(self.spec)}


@dataclass(frozen=True)
class Terms:
    """When to buy. ``good_enough``: regret at which to stop; ``least_drop`` of it that is worth a run (nats/token).

    ``most_flops``: of one candidate; ``worth``: FLOPs that .001 nats/token less are worth.
    """

    good_enough: float
    least_drop: float
    most_flops: float | None
    worth: float | None


@dataclass(frozen=True, eq=False)
class NextDecision:
    """Which run to buy, or to stop buying.

    ``runs``: by expected drop of the regret per FLOP, those first that pass the terms and whose drop stands out from
    its standard error. ``regret_now`` (nats/token): what not knowing better is expected to cost; ``p_best_now``: share
    of draws in which ``decision_now`` costs at most ``good_enough`` more than the best. Both None, with ``reason``,
    where these rows support no expectation; the run that is then needed is the only one.
    """

    kind: str
    runs: tuple[RankedRun, ...]
    decision_now: Mapping[str, Any]
    decision_text: str
    p_best_now: float | None
    regret_now: float | None
    terms: Terms
    stop: bool
    reason: str
    notes: tuple[str, ...]
    rows: pd.DataFrame = field(repr=False)

    @property
    def decided(self) -> bool:
        """Whether an expectation could be given: what to buy is then known, or that nothing is worth buying."""
        return self.regret_now is not None

    @property
    def choice(self) -> RankedRun | None:
        """The run to buy now; None when it is time to stop, or no run is known."""
        return None if self.stop or not self.runs else self.runs[0]

    @property
    def status(self) -> str:
        """A sentence."""
        if self.stop:
            return f"buy no more runs: {self.reason}"
        what = "no run is known" if self.choice is None else self.choice.text
        return f"buy {what}" if self.decided else f"no expectation can be given: {self.reason}; first {what}"

    def to_json(self) -> dict[str, Any]:
        """The stable form printed by ``speciate plan next --json``; missing is null."""
        best = self.choice
        return {
            "kind": "next",
            "for": self.kind,
            "decided": self.decided,
            "stop": self.stop,
            "reason": self.reason,
            "choice": None if best is None else best.to_json(),
            "decision_now": dict(self.decision_now),
            "regret_now": self.regret_now,
            "regret_after": None if best is None else best.expected_regret_after,
            "p_best_now": self.p_best_now,
            **vars(self.terms),
            "runs": [run.to_json() for run in self.runs],
            "notes": list(self.notes),
            "status": self.status,
        }

    def explain(self) -> str:
        """Five lines: choice, how sure, cost, what would change it, next command."""
        return "\n".join([self._choice(), self._sure(), self._cost(), self._change(), self._next()])

    def _choice(self) -> str:
        if self.stop:
            return f"Choice: buy no more runs; {self.reason}."
        return none_yet(self.reason) if self.choice is None else f"Choice: {self.choice.text}."

    def _sure(self) -> str:
        if self.regret_now is None or self.p_best_now is None:
            return f"How sure: no expectation can be given; {self.reason.removeprefix(UNDECIDED)}."
        return (
            f"How sure: deciding now ({self.decision_text}) is expected to cost {self.regret_now:.5f} nats per token; "
            f"in {self.p_best_now:.0%} of draws at most {self.terms.good_enough:g}."
        )

    def _cost(self) -> str:
        run = self.choice
        if run is None:
            return "Cost: nothing."
        text = f"Cost: {run.flops:.3g} FLOPs (6 N D) on top of what is trained"
        if run.expected_regret_after is None or run.expected_regret_drop is None:
            return f"{text}."
        least = "at least " if run.lower_bound else ""
        return (
            f"{text}; the expected regret falls by {least}{run.expected_regret_drop:.5f} to "
            f"{run.expected_regret_after:.5f} nats per token."
        )

    def _change(self) -> str:
        if self.stop:
            return "What would change it: a lower --good-enough or --least-drop, or other --candidates to choose from."
        if self.choice is None:
            return "What would change it: the rows of a second run."
        if not self.decided:
            return "What would change it: its outcome; after it an expectation can be given."
        rival = next((run for run in self.runs[1:] if run.drop_per_flop), None)
        beside = "" if rival is None else f"; the next best: {rival.text} ({rival.flops:.3g} FLOPs)"
        return f"What would change it: its outcome{beside}."

    def _next(self) -> str:
        if self.stop:
            return f"Next: decide: speciate plan {self.kind} TABLE ..."
        if self.choice is None:
            return f"Next: see which run is missing: speciate plan {self.kind} TABLE ..."
        return f"Next: run it, add its rows, and ask again: speciate plan next TABLE --for {self.kind} ..."
