"""The stages that only think: fit the laws, decide and seal, compare with what came out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from speciate.errors import Problem, UserError
from speciate.laws import LAWS
from speciate.planning.compare import compare
from speciate.planning.mixture.decision import MixtureDecision, SizeDecision, predictions
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.seal import seal, verify_seal
from speciate.runs.table import rows_digest
from speciate.storage import canonical_json, write_atomic
from speciate.study.config import StudyConfig
from speciate.study.files import read_object
from speciate.study.fitting import write_fits
from speciate.study.layout import Layout
from speciate.study.remedy import remedy_command
from speciate.study.specs import final_runs, planned_model


def fit_laws(config: StudyConfig, layout: Layout, ledger: pd.DataFrame) -> dict[str, str]:
    """Chinchilla on the trunks, the two mixture laws on every pilot ratio; returns each fit's status."""
    continued = ledger["train_on"] != "general"
    warm = ledger["tokens"] >= 2 * config.training.warmup_tokens  # a power law describes no warmup
    trunks = ledger[~continued & warm & (ledger["eval_on"] == "general")]
    jobs = {"chinchilla": (LAWS["chinchilla"], trunks)}
    grown = ledger[continued & (ledger["tokens"] > 0)]
    for params, ratio in grown[["params", "domain_ratio"]].drop_duplicates().itertuples(index=False):
        rows = grown[(grown["params"] == params) & (grown["domain_ratio"] == ratio)]
        for law, eval_on in (("mixture-general", "general"), ("mixture-domain", config.corpus.domain)):
            jobs[f"{law}-{params:.0f}-{ratio:.3f}"] = (LAWS[law], rows[rows["eval_on"] == eval_on])
    return write_fits(jobs, layout.fits, bootstrap=200, level=config.plan.level, seed=config.seed)


def pilot_rows(config: StudyConfig, ledger: pd.DataFrame, labels: set[str]) -> pd.DataFrame:
    """The rows a plan may see: trunks and pilots (``labels``), up to the pilots' last token.

    Once the plan has been carried out the ledger holds its outcome too, and the same pilots' longer horizons.
    """
    trunk = ledger["train_on"] == "general"
    pilot = ledger["run"].isin(sorted(labels)) & (ledger["tokens"] <= config.pilot.tokens)
    return ledger[trunk | pilot]


def decide(config: StudyConfig, ledger: pd.DataFrame) -> MixtureDecision:
    """The mixture decision from the study's own measurements."""
    return plan_mixture(
        ledger,
        general="general",
        domain=config.corpus.domain,
        horizon_tokens=config.plan.horizon_tokens,
        tolerance=config.plan.tolerance,
        level=config.plan.level,
        draws=config.plan.draws,
        seed=config.seed,
    )


def plan_request(config: StudyConfig, ledger: pd.DataFrame) -> dict[str, Any]:
    """What a plan depends on. A plan on disk with the same request is kept; any other question seals a new one."""
    return {"plan": config.plan.model_dump(mode="json"), "seed": config.seed, "rows": rows_digest(ledger)}


def make_plan(
    config: StudyConfig, layout: Layout, ledger: pd.DataFrame, vocab_size: int, overrides: Sequence[str]
) -> dict[str, Any]:
    """Decide, predict what the planned ratio and its neighbours will measure, seal it, write plan.json.

    ``planned_ratio`` is the critical ratio of the planned model rounded down to a tenth of a percent,
    null when it is not decidable; then nothing is predicted and nothing will be run.
    """
    decision = decide(config, ledger)
    _, spec = planned_model(config, vocab_size)
    answer = next(model for model in decision.models if model.params == spec.params)
    planned = None if answer.critical_ratio is None else math.floor(answer.critical_ratio * 1000) / 1000
    plan: dict[str, Any] = {
        "format": "speciate-plan-1",
        "study": config.name,
        "general": "general",
        "domain": config.corpus.domain,
        "request": plan_request(config, ledger),
        "decision": decision.to_json(),
        "explanation": _explanation(config, decision, answer, overrides),
        "params": spec.params,
        "planned_ratio": planned,
        "horizon_tokens": config.plan.horizon_tokens,
        "predictions": [],
    }
    if planned is not None:
        finals = final_runs(config, planned, "", vocab_size)
        pilots = set(ledger["run"])
        plan["predictions"] = predictions(
            decision,
            [run.ratio for run in finals],
            [config.plan.horizon_tokens],
            params=spec.params,
            trunk=finals[0].trunk,
            continues={run.ratio: run.label for run in finals if run.label in pilots},
        )
    sealed = seal(plan, ledger)
    write_atomic(layout.plan, canonical_json(sealed))
    return sealed


def _explanation(
    config: StudyConfig, decision: MixtureDecision, answer: SizeDecision, overrides: Sequence[str]
) -> list[str]:
    """The decision's five lines, the last one as a command for this study."""
    *lines, last = decision.explain(answer.params).splitlines()
    if answer.critical_ratio is not None:
        last = "Next: carry the plan out and check it: speciate run STUDY.yaml --until compare"
    elif answer.remedy is not None:
        last = f"Next: {remedy_command(config, answer.remedy, overrides)}"
    return [*lines, last]


def load_plan(layout: Layout) -> dict[str, Any] | None:
    """The sealed plan on disk, verified; None when there is none. Raises UserError when it was altered."""
    if not layout.plan.exists():
        return None
    fix = "put back the file that was sealed, or move it away and relaunch the same command, which plans again"
    plan = read_object(layout.plan, fix)
    try:
        verify_seal(plan)
    except UserError as error:
        raise UserError(Problem(problem.what, str(layout.plan), fix) for problem in error.problems) from None
    return plan


def compare_plan(layout: Layout, plan: dict[str, Any], ledger: pd.DataFrame) -> dict[str, Any]:
    """Predicted against measured, written to comparison.json."""
    comparison = compare(plan, ledger)
    write_atomic(layout.comparison, json.dumps(comparison, indent=1, allow_nan=False))
    return comparison
