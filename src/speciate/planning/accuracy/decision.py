"""The answer to "what will it score?": a frozen value, its JSON, and five lines for a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from speciate.planning.words import no_interval, none_yet, run_next, seal_next, short


@dataclass(frozen=True)
class Rival:
    """A law, or two in a row: its mean errors on runs held out, what it says of the asked run, and what became of it.

    ``mre`` is relative, ``mae`` in accuracy, both None where it could not be tested; ``reason`` says why.
    ``considered``: its error cannot be told from the chosen law's, and the interval covers it too, by ``share``.
    """

    law: str
    mre: float | None
    mae: float | None
    value: float | None
    considered: bool
    share: float
    reason: str | None


@dataclass(frozen=True)
class Test:
    """One set of runs held out: rows at least ``least`` along ``by``, up to ``factor`` times beyond those fitted."""

    __test__ = False  # no test of pytest's

    by: str
    least: float
    rows: int
    factor: float


@dataclass(frozen=True, eq=False)
class AccuracyDecision:
    """The accuracy of one run on one task. ``accuracy`` is the chosen law's; ``low`` and ``high`` hold ``level``.

    ``factor``: compute of the asked run over that of the largest row. ``reach``: how many times beyond the rows the run
    lies in whichever of params, tokens, compute, samples it is furthest; ``checked``: how far the tests went.
    """

    accuracy: float | None
    low: float | None
    high: float | None
    law: str | None
    level: float
    chance: float
    eval_on: str | None
    params: float | None
    tokens: float | None
    flops: float
    samples: int | None
    factor: float
    reach: float
    checked: float
    rivals: tuple[Rival, ...]
    tests: tuple[Test, ...]
    rows_used: int
    rows_dropped: int
    left_out: dict[str, int]
    notes: tuple[str, ...]
    decided: bool
    status: str
    remedy: str
    rows: pd.DataFrame = field(repr=False)

    @property
    def interval(self) -> tuple[float, float] | None:
        """At ``level``; None where there is none."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        """The stable form printed by ``speciate plan accuracy --json``; missing is null."""
        names = (
            "accuracy", "low", "high", "law", "level", "chance", "eval_on", "params", "tokens", "flops", "samples",
            "factor", "reach", "checked",
        )  # fmt: skip
        return {
            "kind": "accuracy",
            "decided": self.decided,
            "status": self.status,
            **{name: getattr(self, name) for name in names},
            "rivals": [asdict(rival) for rival in self.rivals],
            "tests": [asdict(test) for test in self.tests],
            "rows_used": self.rows_used,
            "rows_dropped": self.rows_dropped,
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "remedy": self.remedy,
        }

    def explain(self) -> str:
        """Five lines: choice, how sure, cost, what would change it, next command."""
        score = "" if self.accuracy is None else f"{self.accuracy:.3f}"
        choice = f"Choice: {self._run()} will score {score}, by {self.law}."
        if not self.decided:
            choice = none_yet(self.status, f"{score} for {self._run()}, by {self.law}" if score else "")
        if self.low is None or self.high is None:
            sure = no_interval(self.level, "no law could be fitted and tested")
        else:
            sure = f"How sure: {self.level:.0%} of such runs score between {self.low:.3f} and {self.high:.3f}"
            sure += f"; {self.status}." if self.decided else ", if the law holds that far."
        by_size = " (6 N D)" if self.params is not None and self.tokens is not None else ""
        cost = f"Cost: that run takes {self.flops:.3g} FLOPs{by_size}, {self.factor:.3g} times the largest row."
        change = f"What would change it: {self.remedy}."
        others = [one for one in self.rivals if one.considered and one.law != self.law and one.value is not None]
        if others and self.accuracy is not None:
            apart = max(others, key=lambda one: abs((one.value or 0.0) - (self.accuracy or 0.0)))
            change = f"What would change it: {apart.law}, as good in the tests, says {apart.value:.3f}; {self.remedy}."
        then = seal_next("accuracy") if self.decided else run_next(self.remedy)
        return "\n".join([choice, sure, cost, change, then])

    def beside(self) -> list[str]:
        """The laws side by side, best in the tests first, one line each."""
        wide = max((len(rival.law) for rival in self.rivals), default=0)
        lines = []
        for rival in self.rivals:
            if rival.mae is None or rival.value is None:
                lines.append(f"  {rival.law:<{wide}}  not tested: {rival.reason}")
                continue
            error = f"{100 * rival.mre:.2f} %" if rival.mre is not None else f"{rival.mae:.3f}"
            part = "chosen" if rival.law == self.law else "as good" if rival.considered else rival.reason or ""
            lines.append(f"  {rival.law:<{wide}}  error {error:>8} held out, says {rival.value:.3f}  {part}".rstrip())
        return lines

    def _run(self) -> str:
        run = f"{self.flops:.3g} FLOPs"
        if self.params is not None and self.tokens is not None:
            run = f"{short(self.params)} params on {short(self.tokens)} tokens"
        task = f" on {self.eval_on}" if self.eval_on else ""
        return f"{run}{task}" + ("" if self.samples is None else f" with {self.samples} samples")
