"""The stages of a study, in order: corpus pilot fit plan final compare report; of a split study also specialists.

Every stage reads files and writes files, and what is finished is not done again, so relaunching the
same command continues where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from speciate.errors import Problem, UserError
from speciate.storage import write_atomic
from speciate.study.config import StudyConfig
from speciate.study.costs import read_cost
from speciate.study.launch import DONE, NOT_DECIDABLE, Launch, StudyResult
from speciate.study.layout import Layout
from speciate.study.load import load_study, study_yaml
from speciate.study.split.config import SplitStudy
from speciate.study.split.stages import SplitLaunch

STAGES = ("corpus", "pilot", "fit", "plan", "final", "compare", "report")
SPLIT_STAGES = ("corpus", "pilot", "fit", "plan", "final", "compare", "specialists", "report")


def run_study(path: Path, overrides: Sequence[str], until: str | None, dry_run: bool, console: Console) -> StudyResult:
    """Carry out the study of ``path`` in the folder it lies in, up to and including the stage ``until``.

    ``dry_run`` prints the tree, FLOPs and time instead, and writes nothing. Raises UserError for an
    invalid study, text that cannot be read, or a stage that does not exist.
    """
    config = load_study(path, overrides)
    known = SPLIT_STAGES if isinstance(config, SplitStudy) else STAGES
    if until is not None and until not in known:
        raise UserError(Problem(f"there is no stage {until}", "--until", f"use one of {', '.join(known)}"))
    layout = Layout(path.resolve().parent)
    if dry_run:
        from speciate.study.dryrun import dry_run_study

        return StudyResult(layout.root, DONE, "dry-run", dry_run_study(config, layout, console))
    from speciate.training.lock import exclusive  # runs/ has a lock of its own, which workers left behind still hold

    with exclusive(layout.root):  # before anything is written: another launch's workers read these files
        read_cost(layout)  # a damaged one is told before hours of training, not after
        write_atomic(layout.config, study_yaml(config))
        launch: SplitLaunch | MixtureLaunch
        if isinstance(config, SplitStudy):
            launch = SplitLaunch(config, layout, console, overrides)
        else:
            launch = MixtureLaunch(config, layout, console, overrides)
        try:
            return launch.run(known[: known.index(until or known[-1]) + 1])
        finally:
            launch.record_time()


class MixtureLaunch(Launch):
    """One launch of a mixture study: the stages share the corpus, the ledger and the plan."""

    def __init__(self, config: StudyConfig, layout: Layout, console: Console, overrides: Sequence[str]) -> None:
        super().__init__(layout, console, overrides)
        self.config = config

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
            self.report()
        if plan is None:
            return StudyResult(self.layout.root, DONE, stages[-1], "done")
        code = DONE if planned is not None else NOT_DECIDABLE
        status = plan["explanation"][0]
        return StudyResult(self.layout.root, code, stages[-1], status, plan["decision"], comparison)

    def _corpus(self) -> None:
        from speciate.study.text import given_text

        started = time.monotonic()
        self.corpus = given_text(self.config, self.layout)
        tokens = sum(len(self.corpus.train[domain]) for domain in self.corpus.domains)
        seconds = time.monotonic() - started
        self.say("corpus", f"{len(self.corpus.domains)} domains, {tokens / 1e6:.1f}M training tokens ({seconds:.0f} s)")

    def _pilot(self) -> None:
        from speciate.study.train import train_pilots

        self.trained("pilot", train_pilots(self.config, self.layout, self.corpus, self.console))

    def _final(self, planned: float) -> None:
        from speciate.study.train import train_final

        self.trained("final", train_final(self.config, self.layout, self.corpus, planned, self.console))

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
        self.say("fit", f"{len(statuses)} laws fitted, {converged} converged; fits/ says how well each is held")

    def _plan(self) -> dict[str, Any]:
        from speciate.study.analyse import load_plan, make_plan, plan_request

        rows = self._pilot_rows()
        plan = load_plan(self.layout)
        if plan is None or plan["request"] != plan_request(self.config, rows):
            if plan is not None:
                self.keep_old_plan(plan)
            plan = make_plan(self.config, self.layout, rows, self.corpus.vocab_size, self.overrides)
        for line in plan["explanation"]:
            self.say("plan", line)
        return plan

    def _compare(self, plan: dict[str, Any]) -> dict[str, Any]:
        from speciate.runs.ledger import read_ledger
        from speciate.study.analyse import compare_plan

        comparison = compare_plan(self.layout, plan, read_ledger(self.layout.ledger))
        self.say("compare", comparison["verdict"])
        return comparison
