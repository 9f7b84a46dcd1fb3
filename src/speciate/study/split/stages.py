"""The stages of a split study: corpus pilot fit plan final compare specialists report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from speciate.study.launch import DONE, NOT_DECIDABLE, Launch, StudyResult
from speciate.study.layout import Layout
from speciate.study.split.config import SplitStudy

if TYPE_CHECKING:
    from speciate.study.split.law_rows import LawRows
    from speciate.study.split.text import SplitText


class SplitLaunch(Launch):
    """One launch of a split study: the stages share the text, the ledger and the plan."""

    def __init__(self, config: SplitStudy, layout: Layout, console: Console, overrides: Sequence[str]) -> None:
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
        decided = plan is not None and bool(plan["options"])
        if "final" in stages and plan is not None and decided:
            self._final(plan)
        if "compare" in stages and plan is not None and decided:
            comparison = self._compare(plan)
        if "specialists" in stages and plan is not None and comparison is not None:
            self._specialists(plan, comparison)
        if "report" in stages:
            self.report()
        if plan is None:
            return StudyResult(self.layout.root, DONE, stages[-1], "done")
        code = DONE if decided else NOT_DECIDABLE
        return StudyResult(self.layout.root, code, stages[-1], plan["explanation"][0], plan["decision"], comparison)

    def _corpus(self) -> None:
        from speciate.study.split.text import split_text

        started, told = time.monotonic(), set()

        def progress(what: str, share: float) -> None:
            if what not in told and time.monotonic() - started > 5:  # a corpus that is there needs no words
                told.add(what)
                self.say("corpus", f"{what} ...")

        self.text: SplitText = split_text(self.config, self.layout, progress)
        corpus = self.text.corpus
        tokens = sum(len(corpus.train[domain]) for domain in corpus.domains)
        seconds = time.monotonic() - started
        self.say("corpus", f"{len(corpus.domains)} domains, {tokens / 1e6:.1f}M training tokens ({seconds:.0f} s)")
        if repeated := self._repeated():
            self.say("corpus", f"read more than once, at most: {', '.join(repeated)}")

    def _repeated(self) -> list[str]:
        """Domains whose text the longest planned runs pass over more than once; the law knows nothing of repetition."""
        total, weights = self.config.plan.total_tokens, self._weights()
        most = {name: max(total / len(weights), total * weight) for name, weight in weights.items()}
        passes = {name: tokens / len(self.text.corpus.train[name]) for name, tokens in most.items()}
        return [f"{name} {times:.1f} times" for name, times in passes.items() if times > 1]

    def _weights(self) -> dict[str, float]:
        from speciate.study.measuring import corpus_weights

        return corpus_weights(self.config, self.text.corpus)

    def _pilot(self) -> None:
        from speciate.study.split.train import train_pilots

        self.trained("pilot", train_pilots(self.config, self.layout, self.text.corpus, self.console))

    def _final(self, plan: dict[str, Any]) -> None:
        from speciate.study.split.train import planned_options, train_final

        options = planned_options(plan)
        self.trained("final", train_final(self.config, self.layout, self.text.corpus, options, self.console))

    def _law_rows(self) -> LawRows:
        from speciate.runs.ledger import read_ledger
        from speciate.study.split.law_rows import law_rows
        from speciate.study.split.specs import pilot_runs

        corpus = self.text.corpus
        runs = pilot_runs(self.config, self._weights(), corpus.digest, corpus.vocab_size)
        return law_rows(self.config, read_ledger(self.layout.ledger), runs)

    def _fit(self) -> None:
        from speciate.study.split.fits import fit_laws

        statuses = fit_laws(self.config, self.layout, self._law_rows().fitted)
        laws = [status for name, status in statuses.items() if name != "rivals"]
        converged = sum(status.startswith("converged") for status in laws)
        self.say("fit", f"{len(laws)} fits, {converged} converged; fits/ says how well each is held")
        self.say("fit", f"against its rival: {statuses['rivals']}")

    def _plan(self) -> dict[str, Any]:
        from speciate.study.analyse import load_plan
        from speciate.study.split.decide import make_plan, plan_request

        law = self._law_rows()
        plan = load_plan(self.layout)
        if plan is None or plan["request"] != plan_request(self.config, law.fitted):
            if plan is not None:
                self.keep_old_plan(plan)
            plan = make_plan(self.config, self.layout, law, self.text.corpus.domains, self.overrides)
        for line in plan["explanation"]:
            self.say("plan", line)
        return plan

    def _compare(self, plan: dict[str, Any]) -> dict[str, Any]:
        from speciate.runs.ledger import read_ledger
        from speciate.study.split.outcome import compare_plan, outcome_words

        comparison = compare_plan(self.layout, plan, read_ledger(self.layout.ledger))
        for line in outcome_words(comparison):
            self.say("compare", line)
        return comparison

    def _specialists(self, plan: dict[str, Any], comparison: dict[str, Any]) -> None:
        from speciate.study.split.specialists import make_specialists

        for line in make_specialists(self.config, self.layout, self.text, plan, comparison):
            self.say("experts", line)
