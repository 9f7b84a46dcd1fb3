"""The page of a split study, from its files; ``speciate.report.page.write_report`` calls it."""

from __future__ import annotations

from html import escape
from typing import Any

from speciate.report.numbers import number_of, percent_text
from speciate.report.palette import swap_table
from speciate.report.pieces import facts_list, grid, page, section
from speciate.report.sentences import cost_fact, savings_sentence
from speciate.report.split.budget_figure import budget_colours, budget_panels
from speciate.report.split.evidence import SplitEvidence
from speciate.report.split.experts import expert_panels, expert_sentence, expert_table, experts_of
from speciate.report.split.facts import certainty_fact, outcome_fact, regret_fact
from speciate.report.split.law import rival_sentence, rival_table, share_strips
from speciate.report.split.outcomes import outcome_panels, tried_table
from speciate.report.split.recall_figure import recall_panels
from speciate.report.split.routing import domain_table, routing_panels, source_table
from speciate.report.split.sentences import (
    decision_sentence,
    meaning_sentences,
    next_steps,
    routing_sentence,
    splitting_point_sentence,
    undecided_reasons,
)
from speciate.report.split.tree import tree_colours, tree_panels
from speciate.report.tables import definitions, seal_facts, versions_text


def render_split(evidence: SplitEvidence) -> str:
    """The page as text."""
    figures: dict[str, Any] = {}
    sections = [
        _budgets(evidence, figures),
        _recalls(evidence, figures),
        _predictions(evidence, figures),
        _routing(evidence, figures),
        _law(evidence),
        _experts(evidence, figures),
        _tree(evidence, figures),
    ]
    return page(
        study=evidence.study,
        decided=evidence.choice is not None,
        headline=_headline(evidence),
        meaning=_meaning(evidence),
        strips=share_strips(evidence),
        facts=facts_list(
            (
                ("How sure", certainty_fact(evidence)),
                ("What it cost", cost_fact(evidence)),
                ("Did the prediction hold?", outcome_fact(evidence)),
                ("Was it the best tried?", regret_fact(evidence)),
            )
        ),
        sections=sections,
        steps=next_steps(evidence),
        provenance=_provenance(evidence),
        figures=figures,
        dark=swap_table([*budget_colours(evidence), *tree_colours(evidence)]),
    )


def _headline(evidence: SplitEvidence) -> str:
    """The decision, its first words set apart."""
    text = escape(decision_sentence(evidence))
    ends = (" (", ":") if evidence.choice == "split" else (":",)
    at = min(found for end in ends if (found := text.find(end)) >= 0) if any(end in text for end in ends) else 0
    at += evidence.choice is None and at > 0
    return f"<mark>{text[:at]}</mark>{text[at:]}"


def _meaning(evidence: SplitEvidence) -> str:
    reasons = [f'<p class="reason">{escape(sentence)}</p>' for sentence in undecided_reasons(evidence)]
    return "\n".join([*reasons, *(f"<p>{escape(sentence)}</p>" for sentence in meaning_sentences(evidence))])


def _budgets(evidence: SplitEvidence, figures: dict[str, Any]) -> str:
    title = "When to split, at each budget"
    panels = budget_panels(evidence)
    if not panels:
        return section(title, "No total of tokens has been spent in more than one way yet.", "")
    lead = (
        "At every total of tokens: the mean loss when the seed gets that share of them and the experts share the rest. "
        "All points of one colour cost the same training."
    )
    later = bool(evidence.points["later"].any()) if len(evidence.points) else False
    hollow = "Hollow points: measured after the plan was sealed. " if later else ""
    lines = "" if not evidence.decision.get("options") and not evidence.fits else (
        f"Lines: the fitted law, with its {percent_text(evidence.level)} band. ")  # fmt: skip
    share = "the planned share" if evidence.choice == "split" else "the best estimate of the share"
    marked = evidence.choice != "never split" and evidence.decision.get("seed_tokens") is not None
    wash = f"Dotted line and wash: {share} and its interval. " if marked else ""
    above = " ↑: points above the axis." if any("↑" in str(panel.figure["layout"]) for panel in panels) else ""
    key = f"Points: measured. {hollow}{lines}{wash}Each total is named at the right end.{above}"
    return section(title, lead, f'<p class="key">{key}</p>' + grid(panels, "budget", figures))


def _recalls(evidence: SplitEvidence, figures: dict[str, Any]) -> str:
    panels = recall_panels(evidence)
    if not panels:
        return ""
    lead = (
        "The share of facts answered exactly, mean over domains: every expert is asked its own domain's facts, a model "
        "that was never split all of them. The plan is about losses on held-out text; no law was fitted to these."
    )
    key = "Points: measured. Lines join the means of one total, which is named at its right end."
    return section("What is known by heart", lead, f'<p class="key">{key}</p>' + grid(panels, "recall", figures))


def _predictions(evidence: SplitEvidence, figures: dict[str, Any]) -> str:
    title = "Predicted against measured"
    panels = outcome_panels(evidence)
    if not panels:
        lead = "Nothing to compare yet: no run has been measured against a sealed plan."
        return section(title, lead, "") if evidence.decision else ""
    verdict = str((evidence.comparison or {}).get("verdict") or "").rstrip(".")
    lead = f"{escape(verdict[:1].upper() + verdict[1:])}. " if verdict else ""
    lead += "The bar is the interval sealed before the run, the centre line its prediction, the point what came out."
    table = tried_table(evidence) if (evidence.comparison or {}).get("tried") else ""
    return section(title, lead, grid(panels, "prediction", figures, wide=True) + "\n" + table)


def _routing(evidence: SplitEvidence, figures: dict[str, Any]) -> str:
    title = "Routing"
    if evidence.routing is None:
        lead = "Not measured: no specialists have been put together from this study (routing.json is absent)."
        return section(title, lead, "") if evidence.choice == "split" else ""
    routing = evidence.routing
    body = grid(routing_panels(evidence), "routing", figures, wide=True)
    if routing.get("sources"):
        body += f"\n<h3>Where each source goes</h3>\n{source_table(evidence)}"
    if routing.get("domains"):
        body += f"\n<h3>Every domain</h3>\n{domain_table(evidence)}"
    return section(title, escape(routing_sentence(evidence)), body)


def _law(evidence: SplitEvidence) -> str:
    if not evidence.decision.get("intervals"):
        return ""
    rivals = rival_table(evidence)
    lead = f"{splitting_point_sentence(evidence)} {rival_sentence(evidence)}".strip()
    notes = [str(note) for note in evidence.decision.get("notes") or []]
    said = "".join(f'<p class="key">{escape(note[:1].upper() + note[1:])}.</p>' for note in notes)
    return section("The law behind it", escape(lead), said + rivals)


def _experts(evidence: SplitEvidence, figures: dict[str, Any]) -> str:
    experts = experts_of(evidence)
    if experts is None and not evidence.terms:
        return ""
    lead = (
        escape(expert_sentence(experts, evidence.choice))
        if experts
        else "No expert has been measured beside an unsplit model yet."
    )
    body = grid(expert_panels(experts), "experts", figures, wide=True) if experts else ""
    return section("Every expert on its own domain", lead, f"{body}\n{expert_table(evidence, experts)}")


def _tree(evidence: SplitEvidence, figures: dict[str, Any]) -> str:
    panels = tree_panels(evidence)
    if not panels:
        return ""
    lead = (
        f"{escape(savings_sentence(evidence))} Grey: the seed, trained once for all that start from it. "
        "Coloured: the experts that start there, all of one seed as one branch."
    )
    return section("The run tree", lead, grid(panels, "tree", figures, wide=True))


def _provenance(evidence: SplitEvidence) -> str:
    """What the page rests on: seal, rows, versions."""
    domains, predictions = evidence.domains, (evidence.plan or {}).get("predictions")
    ledger = evidence.ledger
    counts = None
    if ledger is not None:
        runs = number_of(int(ledger["run"].nunique()), "run")
        counts = (
            f"{number_of(len(ledger), 'measurement')} of {runs}, {len(evidence.means):,} of them means over domains"
        )
    rows = [
        *seal_facts(evidence),
        ("Domains", ", ".join(domains) if domains else None),
        ("Ledger", counts),
        ("Sealed predictions", number_of(len(predictions), "row") if predictions else None),
        ("Versions", versions_text()),
    ]
    return definitions(rows)
