"""What the folder of a mixture study holds, and what of it the page is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speciate.errors import Problem, UserError
from speciate.report.study_files import (
    JSON_FILES,
    StudyFiles,
    check_folder,
    check_seal,
    measured_later,
    read_json,
    read_ledger,
)

if TYPE_CHECKING:
    import pandas as pd

LEDGER_COLUMNS = ("run", "params", "tokens", "domain_ratio", "eval_on", "loss")


@dataclass(frozen=True)
class Evidence(StudyFiles):
    """Everything the page of a mixture study is made from."""

    @property
    def models(self) -> list[dict[str, Any]]:
        """The plan's answer for each model size, small to large; empty before there is a plan."""
        models = self.decision.get("models") or []
        return sorted(models, key=lambda model: model["params"])

    @property
    def general(self) -> str:
        return str((self.plan or {}).get("general") or "general")

    @property
    def domain(self) -> str:
        return str((self.plan or {}).get("domain") or "domain")

    def side(self, eval_on: str) -> str | None:
        """Which side of the trade an evaluation set stands for: "general", "domain" or neither."""
        if eval_on in (self.general, "general"):
            return "general"
        return "domain" if eval_on in (self.domain, "domain") else None

    @property
    def ratios(self) -> list[float]:
        """Every domain share that was planned for or trained on, ascending."""
        found = {float(row["domain_ratio"]) for model in self.models for row in model.get("ratios") or []}
        if self.ledger is not None:
            found |= {float(ratio) for ratio in continued_rows(self.ledger)["domain_ratio"].unique()}
        tree = (self.tree or {}).get("nodes") or []
        found |= {float(node["domain_ratio"]) for node in tree if node.get("domain_ratio") and node.get("phase")}
        return sorted({round(ratio, 6) for ratio in found})


def read_evidence(study_dir: Path) -> Evidence:
    """Read a study folder. Raises UserError naming every file that cannot be read, all at once."""
    check_folder(study_dir)
    problems: list[Problem] = []
    values = {name: read_json(study_dir / name, problems) for name in JSON_FILES}
    ledger = read_ledger(study_dir / "ledger.parquet", LEDGER_COLUMNS, problems)
    check_seal(values["plan.json"], study_dir / "plan.json", problems)
    if problems:
        raise UserError(problems)
    name = (values["plan.json"] or {}).get("study") or study_dir.resolve().name
    return Evidence(str(name), ledger, *(values[name] for name in JSON_FILES))


def stage_rows(ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows of the stage whose mixture is decided, the starting model (tokens = 0) included.

    A first stage has no ``seed_tokens``; when no row has any, the only stage there is is taken.
    """
    if "seed_tokens" not in ledger.columns:
        return ledger
    continued = ledger["seed_tokens"].fillna(0) > 0
    return ledger[continued] if continued.any() else ledger


def continued_rows(ledger: pd.DataFrame) -> pd.DataFrame:
    """Those rows of the decided stage that belong to a ratio and hold a loss."""
    rows = stage_rows(ledger)
    return rows[rows["domain_ratio"].notna() & rows["loss"].notna()]


def changes(evidence: Evidence, side: str) -> pd.DataFrame:
    """Measured change of one side's loss against the starting model, in nats per token.

    Columns run, params, domain_ratio, tokens, change, later (whether the plan was sealed without it); rows with
    tokens > 0. The start is the run's own row at tokens = 0, else its trunk's; a run without either is left out.
    """
    import pandas as pd

    columns = ["run", "params", "domain_ratio", "tokens", "change", "later"]
    if evidence.ledger is None:
        return pd.DataFrame(columns=columns)
    rows = evidence.ledger.assign(later=measured_later(evidence))
    rows = rows[rows["eval_on"].map(lambda name: evidence.side(str(name)) == side)]
    trunk = rows["trunk"].fillna(rows["run"]) if "trunk" in rows.columns else rows["run"]
    seed_tokens = rows["seed_tokens"].fillna(0) if "seed_tokens" in rows.columns else 0
    rows = rows.assign(trunk=trunk, seed_tokens=seed_tokens)
    shared = ["params", "trunk", "seed_tokens"]
    starts = stage_rows(rows[(rows["tokens"] == 0) & rows["loss"].notna()])
    by_run = starts.groupby("run")["loss"].mean().to_dict()
    by_trunk = starts.groupby(shared)["loss"].mean().to_dict()
    rows = continued_rows(rows)
    rows = rows[rows["tokens"] > 0]
    keys = zip(rows["run"], *(rows[name] for name in shared), strict=True)
    start = [by_run.get(run, by_trunk.get(tuple(trunk), math.nan)) for run, *trunk in keys]
    rows = rows.assign(change=rows["loss"] - pd.Series(start, index=rows.index, dtype=float))
    return rows[rows["change"].notna()][columns].sort_values(["params", "domain_ratio", "run", "tokens"])
