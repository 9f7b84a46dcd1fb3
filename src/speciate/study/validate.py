"""What a file is: a study or a table, in a few facts; or everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.study.load import load_study
from speciate.study.split.config import SplitStudy
from speciate.study.split.specs import domain_weights, domains_of, pilot_runs


def describe(path: Path, columns: str | None = None) -> dict[str, Any]:
    """A few facts about a valid study (.yaml, .yml) or table (.csv, .parquet); UserError for any other."""
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _study(path)
    if suffix in (".csv", ".parquet"):
        return _table(path, columns)
    what = "this is a folder" if path.is_dir() else f"files that end in {suffix or 'nothing'} are not known"
    what = what if path.exists() else "no such file"
    raise UserError(Problem(what, str(path), "give a study.yaml, or a table that ends in .csv or .parquet"))


def _study(path: Path) -> dict[str, Any]:
    config = load_study(path)
    if isinstance(config, SplitStudy):
        return _split_study(config)
    seeds = sum(1 + len(config.pilot.extra_seeds.get(ratio, [])) for ratio in config.pilot.ratios)
    return {
        "kind": "study",
        "status": "valid",
        "name": config.name,
        "decide": config.decide,
        "general": list(config.corpus.general),
        "domain": config.corpus.domain,
        "models": [model.name for model in config.models],
        "ratios": config.pilot.ratios,
        "pilot_runs": len(config.models) * len(config.trunk.seeds) * seeds,
        "pilot_tokens": config.pilot.tokens,
        "horizon_tokens": config.plan.horizon_tokens,
    }


def _split_study(config: SplitStudy) -> dict[str, Any]:
    domains = domains_of(config)
    runs = pilot_runs(config, domain_weights(config, dict.fromkeys(domains, 1)), "", 1)
    return {
        "kind": "study",
        "status": "valid",
        "name": config.name,
        "decide": config.decide,
        "domains": list(domains),
        "models": [model.name for model in config.models],
        "shares": config.split.shares,
        "budgets": config.split.budgets,
        "pilot_experts": sum(run.domain is not None for run in runs),
        "total_tokens": config.plan.total_tokens,
    }


def _table(path: Path, columns: str | None) -> dict[str, Any]:
    from speciate.fitting.rivals import fittable
    from speciate.runs.columns import parse_columns
    from speciate.runs.table import read_table

    frame = read_table(path, columns=parse_columns(columns))
    facts: dict[str, Any] = {"kind": "table", "status": "valid", "rows": len(frame), "columns": list(frame.columns)}
    for name, label in (("run", "runs"), ("trunk", "trunks")):
        if name in frame:
            facts[label] = int(frame[name].nunique())
    for name in ("params", "domain_ratio", "eval_on", "train_on"):
        if name in frame:
            facts[name] = sorted(frame[name].dropna().unique().tolist())
    return {**facts, "laws": fittable(frame)}
