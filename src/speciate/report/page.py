"""One page from a study's files: ``write_report`` reads the folder and writes report.html into it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from speciate.report.critical_figure import critical_panels
from speciate.report.evidence import Evidence, read_evidence
from speciate.report.loss_figure import loss_panels
from speciate.report.numbers import percent_text
from speciate.report.palette import ratio_colours, swap_table
from speciate.report.pieces import facts_list, grid, page, section
from speciate.report.prediction_figure import prediction_panels
from speciate.report.sentences import (
    certainty_fact,
    cost_fact,
    decision_sentence,
    is_decided,
    meaning_sentences,
    next_steps,
    outcome_fact,
    primary_model,
    regret_sentence,
    savings_sentence,
    undecided_reasons,
)
from speciate.report.split.evidence import is_split_study, read_split_evidence
from speciate.report.split.page import render_split
from speciate.report.tables import decision_strips, prediction_table, provenance_list, ratio_table
from speciate.report.tree_figure import tree_panels
from speciate.storage import write_atomic


def write_report(study_dir: Path) -> Path:
    """Write ``report.html`` into a study's folder and return its path.

    Reads ledger.parquet, plan.json, comparison.json, tree.json and cost.json, of a study that decides on splitting
    also routing.json, fits/, clusters/clusters.json and resolved.yaml; any may be absent, and the page then says what
    is missing. The page is one file without network access; equal inputs give equal bytes.

    Raises UserError when the folder does not exist or a file in it cannot be read.
    """
    folder = Path(study_dir)
    path = folder / "report.html"
    text = render_split(read_split_evidence(folder)) if is_split_study(folder) else render(read_evidence(folder))
    write_atomic(path, text)
    return path


def render(evidence: Evidence) -> str:
    """The page of a mixture study as text."""
    figures: dict[str, Any] = {}
    sections = [
        _losses(evidence, figures),
        _critical(evidence, figures),
        _predictions(evidence, figures),
        _tree(evidence, figures),
        _ratios(evidence),
    ]
    model = primary_model(evidence)
    return page(
        study=evidence.study,
        decided=model is not None and is_decided(model),
        headline=_headline(evidence),
        meaning=_meaning(evidence),
        strips=_strips(evidence),
        facts=facts_list(
            (
                ("How sure", certainty_fact(evidence)),
                ("What it cost", cost_fact(evidence)),
                ("Did the prediction hold?", outcome_fact(evidence)),
            )
        ),
        sections=sections,
        steps=next_steps(evidence),
        provenance=provenance_list(evidence),
        figures=figures,
        dark=swap_table(ratio_colours(len(evidence.ratios))),
    )


def _headline(evidence: Evidence) -> str:
    """The decision, its number set apart."""
    text = escape(decision_sentence(evidence))
    model = primary_model(evidence)
    if model is None or not is_decided(model):
        lead, colon, rest = text.partition(":")
        return f"<mark>{lead}{colon}</mark>{rest}"
    share = percent_text(model["critical_ratio"])
    return text.replace(f"Up to {share}", f"<mark>Up to {share}</mark>", 1)


def _meaning(evidence: Evidence) -> str:
    reasons = [f'<p class="reason">{escape(sentence)}</p>' for sentence in undecided_reasons(evidence)]
    return "\n".join([*reasons, *(f"<p>{escape(sentence)}</p>" for sentence in meaning_sentences(evidence))])


def _strips(evidence: Evidence) -> str:
    if not evidence.models:
        return ""
    answer = f"Bar: {percent_text(evidence.level)} interval. Diamond: the decision. "
    return (
        f'<div class="strips">{decision_strips(evidence)}'
        f'<p class="key">Domain share from 0 to 100 %. {answer if any(map(is_decided, evidence.models)) else ""}'
        '<span class="good">✓</span> tried and feasible, '
        '<span class="bad">✕</span> tried and too much.</p></div>'
    )


def _losses(evidence: Evidence, figures: dict[str, Any]) -> str:
    general, domain = loss_panels(evidence, "general"), loss_panels(evidence, "domain")
    if not general and not domain:
        return section("Loss at every ratio", "No run of continued training has been measured yet.", "")
    hollow = (
        "Hollow points: measured after the plan was sealed. " if (evidence.plan or {}).get("fitted_row_digests") else ""
    )
    fitted = f"Lines: fitted, with the {percent_text(evidence.level)} band of a single run. "
    rings = "Rings: where general loss turns down for good. "
    has_curves = any(model.get("curves") for model in evidence.models)
    body = (
        f'<p class="key">Points: measured. {hollow}{f"{fitted}{rings}" if has_curves else ""}'
        "Each domain share is named at the right end.</p>"
    )
    if general:
        body += _subhead("General loss", evidence.general, "general") + grid(general, "general", figures)
    if domain:
        body += _subhead("Domain loss", evidence.domain, "domain") + grid(domain, "domain", figures)
    lead = (
        "More domain text lowers the domain loss and lifts the general loss, which rises first and then falls. "
        "A share is feasible when its general curve has turned down by the horizon and ends under the tolerance."
    )
    return section("Loss at every ratio", lead, body)


def _subhead(text: str, name: str, plain: str) -> str:
    on = "" if name == plain else f" on {escape(name)}"
    return f"\n<h3>{text}{on}, change against the starting model</h3>\n"


def _critical(evidence: Evidence, figures: dict[str, Any]) -> str:
    panels = critical_panels(evidence)
    if not panels:
        return ""
    lead = (
        "The critical mixture ratio is the largest share that keeps general ability when training ends there. "
        "The diamond is the decision. Rings are tried shares, at the length where their general loss turns down; "
        "one above the line has turned by then, but is still over the tolerance."
    )
    return section("How much, for how long", lead, grid(panels, "critical", figures))


def _predictions(evidence: Evidence, figures: dict[str, Any]) -> str:
    title = "Predicted against measured"
    panels = prediction_panels(evidence)
    if not panels:
        lead = "Nothing to compare yet: no run has been measured against a sealed plan."
        return section(title, lead, "") if evidence.models else ""
    said = [_verdict(evidence) or outcome_fact(evidence)[1], regret_sentence(evidence)]
    lead = " ".join(escape(sentence) for sentence in said if sentence)
    lead += " The bar is the interval sealed before the run, the centre line its prediction, the point what came out."
    table = f"<details><summary>All predictions as a table</summary>{prediction_table(evidence)}</details>"
    return section(title, lead, grid(panels, "prediction", figures) + "\n" + table)


def _verdict(evidence: Evidence) -> str:
    comparison = evidence.comparison or {}
    verdict = comparison.get("verdict") or (comparison.get("coverage") or {}).get("verdict")
    return f"{str(verdict)[:1].upper()}{str(verdict)[1:].rstrip('.')}." if isinstance(verdict, str) else ""


def _tree(evidence: Evidence, figures: dict[str, Any]) -> str:
    panels = tree_panels(evidence)
    if not panels:
        return ""
    lead = f"{escape(savings_sentence(evidence))} Grey: the first stage; branches: coloured by domain share."
    return section("The run tree", lead, grid(panels, "tree", figures, wide=True))


def _ratios(evidence: Evidence) -> str:
    if not any(model.get("ratios") for model in evidence.models):
        return ""
    return section("Every ratio", "What each share does by the horizon, as fitted.", ratio_table(evidence))
