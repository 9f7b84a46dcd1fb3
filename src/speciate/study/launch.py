"""What launches of a study have in common, whatever it decides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from speciate.study.costs import add_seconds, read_cost
from speciate.study.layout import Layout
from speciate.study.progress import duration

DONE, NOT_DECIDABLE = 0, 3


@dataclass(frozen=True)
class StudyResult:
    """How a launch ended: ``exit_code`` 0 (done) or 3 (not decidable), the last stage, and what came out."""

    root: Path
    exit_code: int
    stage: str
    status: str
    decision: dict[str, Any] | None = None
    comparison: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """One object for ``--json``; ``files`` holds what exists by now."""
        layout = Layout(self.root)
        names = ("ledger", "plan", "comparison", "specialists", "routing", "report")
        files = {name: getattr(layout, name) for name in names}
        return {
            "directory": str(self.root),
            "stage": self.stage,
            "status": self.status,
            "decision": self.decision,
            "comparison": self.comparison,
            "cost": read_cost(layout) or None,
            "files": {name: str(path) for name, path in files.items() if path.exists()},
        }


class Launch:
    """One launch of a study: where it lies, what it says, and the time it takes."""

    def __init__(self, layout: Layout, console: Console, overrides: Sequence[str]) -> None:
        self.layout, self.console, self.overrides = layout, console, overrides
        self._recorded = time.monotonic()

    def record_time(self) -> None:
        """Add the wall-clock seconds since the last call to cost.json."""
        now = time.monotonic()
        add_seconds(self.layout, "wall_seconds", now - self._recorded)
        self._recorded = now

    def say(self, stage: str, text: str) -> None:
        """One line of the log."""
        self.console.print(f"[bold]{stage:8}[/bold] {text}", highlight=False, soft_wrap=True)

    def trained(self, stage: str, cost: dict[str, Any]) -> None:
        """What a training stage has cost."""
        self.say(
            stage, f"done: {cost['tokens'] / 1e6:.1f}M tokens, {duration(cost['train_seconds'])} of training so far"
        )

    def report(self) -> None:
        """Write the page; it says what the study cost up to itself."""
        from speciate.report.page import write_report

        self.record_time()
        self.say("report", str(write_report(self.layout.root)))

    def keep_old_plan(self, plan: dict[str, Any]) -> None:
        """Another question was asked: what was sealed before stays on record."""
        self.layout.plan.rename(self.layout.plan.with_name(f"plan-{plan['seal'][:8]}.json"))
        self.layout.comparison.unlink(missing_ok=True)
