"""The stages of a study, in order: corpus pilot fit plan final compare report.

Every stage reads files and writes files, and what is finished is not done again, so relaunching the
same command continues where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from speciate.errors import Problem, UserError
from speciate.storage import write_atomic
from speciate.study.config import StudyConfig
from speciate.study.costs import add_seconds, read_cost
from speciate.study.layout import Layout
from speciate.study.load import load_study, study_yaml
from speciate.study.progress import duration

STAGES = ("corpus", "pilot", "fit", "plan", "final", "compare", "report")
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
        files = {name: getattr(layout, name) for name in ("ledger", "plan", "comparison", "report")}
        return {
            "directory": str(self.root),
            "stage": self.stage,
            "status": self.status,
            "decision": self.decision,
            "comparison": self.comparison,
            "cost": read_cost(layout) or None,
            "files": {name: str(path) for name, path in files.items() if path.exists()},
        }


def run_study(path: Path, overrides: Sequence[str], until: str | None, dry_run: bool, console: Console) -> StudyResult:
    """Carry out the study of ``path`` in the folder it lies in, up to and including the stage ``until``.

    ``dry_run`` prints the tree, FLOPs and time instead, and writes nothing. Raises UserError for an
    invalid study, text that cannot be read, or a stage that does not exist.
    """
    if until is not None and until not in STAGES:
        raise UserError(Problem(f"there is no stage {until}", "--until", f"use one of {', '.join(STAGES)}"))
    config = load_study(path, overrides)
    layout = Layout(path.resolve().parent)
    if dry_run:
        from speciate.study.dryrun import dry_run_study

        return StudyResult(layout.root, DONE, "dry-run", dry_run_study(config, layout, console))
    from speciate.training.lock import exclusive  # runs/ has a lock of its own, which workers left behind still hold

    with exclusive(layout.root):  # before anything is written: another launch's workers read these files
        read_cost(layout)  # a damaged one is told before hours of training, not after
        write_atomic(layout.config, study_yaml(config))
        launch = _Launch(config, layout, console, overrides)
        try:
            return launch.run(STAGES[: STAGES.index(until or STAGES[-1]) + 1])
        finally:
            launch.record_time()


class _Launch:
    """One launch of a study: the stages share the corpus, the ledger and the plan."""

    def __init__(self, config: StudyConfig, layout: Layout, console: Console, overrides: Sequence[str]) -> None:
        self.config, self.layout, self.console, self.overrides = config, layout, console, overrides
        self._recorded = time.monotonic()

    def run(self, stages: Sequence[str]) -> StudyResult:
        """The stages in order; a plan that cannot decide skips carrying it out, not the report."""
        plan: dict[str, Any] | None = None
        comparison: dict[str, Any] | None = None
        self._corpus()
        if "pilot" in stages:
            self._pilot()
        if "fit" in stages:
            self._fit()
        if "plan" in stages:
            plan = self._plan()
        planned = None if plan is None else plan["planned_ratio"]
        if "final" in stages and planned is not None:
            self._final(planned)
        if "compare" in stages and plan is not None and planned is not None:
            comparison = self._compare(plan)
        if "report" in stages:
            from speciate.report.page import write_report

            self.record_time()  # the page says what the study cost up to itself
            self._say("report", str(write_report(self.layout.root)))
        if plan is None:
            return StudyResult(self.layout.root, DONE, stages[-1], "done")
        code = DONE if planned is not None else NOT_DECIDABLE
        status = plan["explanation"][0]
        return StudyResult(self.layout.root, code, stages[-1], status, plan["decision"], comparison)

    def record_time(self) -> None:
        """Add the wall-clock seconds since the last call to cost.json."""
        now = time.monotonic()
        add_seconds(self.layout, "wall_seconds", now - self._recorded)
        self._recorded = now

    def _say(self, stage: str, text: str) -> None:
        self.console.print(f"[bold]{stage:8}[/bold] {text}", highlight=False, soft_wrap=True)

    def _corpus(self) -> None:
        from speciate.corpus.build import build_corpus

        corpus = self.config.corpus
        started = time.monotonic()
        self.corpus = build_corpus(
            {domain: source if source == "builtin" else Path(source) for domain, source in corpus.sources.items()},
            self.layout.corpus,
            cap_bytes=round(corpus.cap_megabytes * 1e6),
            held_out_share=corpus.held_out_share,
            vocab_size=corpus.vocabulary,
            tokenizer=None if corpus.tokenizer is None else Path(corpus.tokenizer),
            window_tokens=self.config.training.sequence_length + 1,
            processes=self.config.compute.processes,
        )
        tokens = sum(len(self.corpus.train[domain]) for domain in self.corpus.domains)
        seconds = time.monotonic() - started
        self._say(
            "corpus", f"{len(self.corpus.domains)} domains, {tokens / 1e6:.1f}M training tokens ({seconds:.0f} s)"
        )

    def _pilot(self) -> None:
        from speciate.study.train import train_pilots

        self._trained("pilot", train_pilots(self.config, self.layout, self.corpus, self.console))

    def _final(self, planned: float) -> None:
        from speciate.study.train import train_final

        self._trained("final", train_final(self.config, self.layout, self.corpus, planned, self.console))

    def _trained(self, stage: str, cost: dict[str, Any]) -> None:
        self._say(
            stage, f"done: {cost['tokens'] / 1e6:.1f}M tokens, {duration(cost['train_seconds'])} of training so far"
        )

    def _pilot_rows(self) -> Any:
        from speciate.runs.ledger import read_ledger
        from speciate.study.analyse import pilot_rows
        from speciate.study.specs import pilot_runs

        runs = pilot_runs(self.config, self.corpus.digest, self.corpus.vocab_size)
        return pilot_rows(self.config, read_ledger(self.layout.ledger), {run.label for run in runs})

    def _fit(self) -> None:
        from speciate.study.analyse import fit_laws

        statuses = fit_laws(self.config, self.layout, self._pilot_rows())
        converged = sum(status.startswith("converged") for status in statuses.values())
        self._say("fit", f"{len(statuses)} laws fitted, {converged} converged; fits/ says how well each is held")

    def _plan(self) -> dict[str, Any]:
        from speciate.study.analyse import load_plan, make_plan, plan_request

        rows = self._pilot_rows()
        plan = load_plan(self.layout)
        if plan is None or plan["request"] != plan_request(self.config, rows):
            if plan is not None:  # another question was asked: what was sealed before stays on record
                self.layout.plan.rename(self.layout.plan.with_name(f"plan-{plan['seal'][:8]}.json"))
                self.layout.comparison.unlink(missing_ok=True)
            plan = make_plan(self.config, self.layout, rows, self.corpus.vocab_size, self.overrides)
        for line in plan["explanation"]:
            self._say("plan", line)
        return plan

    def _compare(self, plan: dict[str, Any]) -> dict[str, Any]:
        from speciate.runs.ledger import read_ledger
        from speciate.study.analyse import compare_plan

        comparison = compare_plan(self.layout, plan, read_ledger(self.layout.ledger))
        self._say("compare", comparison["verdict"])
        return comparison
