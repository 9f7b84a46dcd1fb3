"""What was carried out against what was sealed: every option tried, and the regret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from speciate.planning.compare import compare
from speciate.planning.words import short
from speciate.storage import write_atomic
from speciate.study.layout import Layout
from speciate.study.split.specs import Option


def compare_plan(layout: Layout, plan: Mapping[str, Any], ledger: pd.DataFrame) -> dict[str, Any]:
    """Predicted against measured, written to comparison.json: planning's comparison, every option tried, the regret."""
    found = compare_split(plan, ledger)
    write_atomic(layout.comparison, json.dumps(found, indent=1, allow_nan=False))
    return found


def compare_split(plan: Mapping[str, Any], ledger: pd.DataFrame) -> dict[str, Any]:
    """``planning.compare``, ``tried``, and ``regret_nats``: the chosen option's loss less that of the best tried."""
    found = compare(plan, ledger)
    tried = []
    for place, (option, prediction) in enumerate(zip(plan["options"], plan["predictions"], strict=True)):
        measured = [row["measured"] for row in found["rows"] if row["prediction"] == place]
        told = {"predicted": prediction["value"], "low": prediction["low"], "high": prediction["high"]}
        tried.append({**option, **told, "measured": sum(measured) / len(measured) if measured else None})
    losses = [one["measured"] for one in tried if one["measured"] is not None]
    chosen = next((one["measured"] for one in tried if one["chosen"]), None)
    return {**found, "tried": tried, "regret_nats": None if chosen is None else chosen - min(losses)}


def outcome_words(found: Mapping[str, Any]) -> list[str]:
    """What came out, for a person: the intervals, and the choice against the other options."""
    lines = [str(found["coverage"]["verdict"])]
    tried = [one for one in found["tried"] if one["measured"] is not None]
    chosen = next((one for one in tried if one["chosen"]), None)
    if chosen is not None and len(tried) > 1:
        best = min(tried, key=lambda one: float(one["measured"]))
        said = f"the planned {_told(chosen)} came out at {chosen['measured']:.4f} nats"
        said += f" (predicted {chosen['predicted']:.4f})"
        beside = (
            f"the best of {len(tried)} options"
            if best is chosen
            else f"{found['regret_nats']:.4f} above the best of {len(tried)}, {_told(best)}"
        )
        lines.append(f"{said}: {beside}")
    return lines


def _told(one: Mapping[str, Any]) -> str:
    return named(Option(one["share"], one["seed_tokens"], one["expert_tokens"]))


def named(option: Option) -> str:
    """An option for a person.

    >>> named(Option(0.25, 737_280, 368_640)), named(Option(1.0, 2_949_120, 0)), named(Option(0.0, 0, 491_520))
    ('a seed of 737k tokens', 'unsplit', 'split from the start')
    """
    if not option.expert_tokens:
        return "unsplit"
    if not option.seed_tokens:
        return "split from the start"
    return f"a seed of {short(float(f'{option.seed_tokens:.3g}'))} tokens"
