"""What the folder of a split study holds, and what of it the page is made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speciate.errors import Problem, UserError
from speciate.planning.matching import APART
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

LEDGER_COLUMNS = ("run", "params", "seed_tokens", "tokens", "train_on", "eval_on", "loss")
CLUSTERS = Path("clusters/clusters.json")
MEAN = "mean"  # eval_on of the weighted mean over domains
FACTS_MEAN = "facts/mean"  # the same of facts
_EXPERTS = re.compile(r"/(\d+)$")  # all/8: the mean over 8 experts


@dataclass(frozen=True)
class SplitEvidence(StudyFiles):
    """Everything the page of a split study is made from.

    ``routing``: routing.json; ``config``: resolved.yaml; ``terms``: what stands out in each domain; ``fits``: the JSON
    of fits/*.json by name.
    """

    routing: dict[str, Any] | None = None
    config: Mapping[str, Any] | None = None
    terms: Mapping[str, list[str]] | None = None
    fits: Mapping[str, dict[str, Any]] | None = None

    @property
    def choice(self) -> str | None:
        """ "split", "never split", or None where that is not decided or not planned yet."""
        choice = self.decision.get("choice")
        return None if choice is None else str(choice)

    @property
    def params(self) -> float | None:
        """The planned size, else the largest measured one."""
        planned = (self.plan or {}).get("params") or self.decision.get("params")
        if planned is not None:
            return float(planned)
        return None if self.points.empty else float(self.points["params"].max())

    @property
    def total(self) -> float | None:
        """The total of tokens that was planned for."""
        planned = (self.plan or {}).get("total_tokens") or self.decision.get("total_tokens")
        return None if planned is None else float(planned)

    @cached_property
    def count(self) -> int | None:
        """K, the number of experts."""
        if self.decision.get("domains"):
            return int(self.decision["domains"])
        names = [] if self.ledger is None else [str(name) for name in self.ledger["train_on"].dropna().unique()]
        found = {int(match[1]) for name in names if (match := _EXPERTS.search(name))}
        return found.pop() if len(found) == 1 else None

    @property
    def domains(self) -> list[str]:
        """The names of the domains: the plan's, else those that experts were trained on."""
        named = (self.plan or {}).get("domains")
        if isinstance(named, list):
            return [str(name) for name in named]
        if self.ledger is None:
            return []
        own = self.ledger[(self.ledger["train_on"] == self.ledger["eval_on"]) & (self.ledger["eval_on"] != MEAN)]
        return sorted({str(name) for name in own["eval_on"].dropna()})

    @cached_property
    def means(self) -> pd.DataFrame:
        """Rows of mean losses: run, params, seed_tokens D, tokens D' of each expert (0: not split), loss, later, total.

        ``later``: whether the plan was sealed without it; ``total`` = D + K D'.
        """
        return self._means(MEAN, "loss")

    def _means(self, eval_on: str, measured: str) -> pd.DataFrame:
        import pandas as pd

        names = ["run", "params", "seed_tokens", "tokens", measured, "later", "total"]
        if self.ledger is None or self.count is None or measured not in self.ledger:
            return pd.DataFrame({name: pd.Series(dtype=object if name == "run" else float) for name in names})
        rows = self.ledger.assign(later=measured_later(self))
        rows = rows[(rows["eval_on"] == eval_on) & rows[measured].notna()].fillna({"seed_tokens": 0.0, "tokens": 0.0})
        rows = rows[(rows["tokens"] == 0) | rows["train_on"].astype(str).str.fullmatch(rf".*/{self.count}")]
        return rows.assign(total=rows["seed_tokens"] + self.count * rows["tokens"])[names].reset_index(drop=True)

    @cached_property
    def budgets(self) -> list[float]:
        """Totals at which shares were compared, ascending: the pilots', and the planned one."""
        section = (self.config or {}).get("split")
        given = section.get("budgets") if isinstance(section, Mapping) else None
        found = {float(value) for value in given or [] if isinstance(value, int | float)}
        if not given and not self.means.empty:  # totals that at least three allocations of one size add up to
            split = self.means[self.means["tokens"] > 0]
            seeds = split.groupby([split["params"], split["total"]])["seed_tokens"].nunique()
            found = {float(total) for (_, total), count in seeds.items() if count > 2}
        return sorted(found | ({self.total} if self.total else set()))

    @cached_property
    def points(self) -> pd.DataFrame:
        """Mean losses at equal total tokens: the columns of ``means``, budget, and share, the seed's of the budget."""
        return self._at_budgets(self.means)

    @cached_property
    def recalls(self) -> pd.DataFrame:
        """The same of the share of facts known by heart, ``accuracy``; empty where none were asked."""
        return self._at_budgets(self._means(FACTS_MEAN, "accuracy"))

    def _at_budgets(self, means: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        found = []
        for budget in self.budgets:
            away = (means["total"] - budget).abs()
            near = means[away <= APART * budget].assign(away=away)
            nearest = near.groupby(["run", "params", "seed_tokens"])["away"].transform("min")
            near = near[(near["tokens"] > 0) & (near["away"] == nearest) | (near["tokens"] == 0) & _least(near)]
            found.append(near.assign(budget=budget, share=(near["seed_tokens"] / budget).clip(0.0, 1.0)))
        if not found:
            return means.assign(away=0.0, budget=0.0, share=0.0)
        return pd.concat(found).sort_values(["params", "budget", "share", "run"]).reset_index(drop=True)

    @property
    def tried(self) -> list[dict[str, Any]]:
        """What was carried out at equal total tokens, by share, with a measured loss."""
        rows = (self.comparison or {}).get("tried") or []
        return sorted((row for row in rows if row.get("measured") is not None), key=lambda row: float(row["share"]))


def _least(rows: pd.DataFrame) -> Any:
    """Of the unsplit rows of a run the one nearest to the budget."""
    alone = rows["away"].where(rows["tokens"] == 0)
    return alone == alone.groupby([rows["run"], rows["params"]]).transform("min")


def is_split_study(study_dir: Path) -> bool:
    """Whether the folder is of a study that decides on splitting, by its plan, else by its settings."""
    problems: list[Problem] = []
    plan = read_json(study_dir / "plan.json", problems)
    if plan is not None and "decision" in plan:
        return (plan.get("kind") or (plan["decision"] or {}).get("kind")) == "split"
    return (read_config(study_dir / "resolved.yaml") or {}).get("decide") == "split"


def read_config(path: Path) -> dict[str, Any] | None:
    """A study's settings; None where there are none, or they cannot be read: the page can do without."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return value if isinstance(value, dict) else None


def read_split_evidence(study_dir: Path) -> SplitEvidence:
    """Read a study folder. Raises UserError naming every file that cannot be read, all at once."""
    check_folder(study_dir)
    problems: list[Problem] = []
    values = {name: read_json(study_dir / name, problems) for name in JSON_FILES}
    ledger = read_ledger(study_dir / "ledger.parquet", LEDGER_COLUMNS, problems)
    routing = read_json(study_dir / "routing.json", problems)
    fits = {path.stem: read_json(path, problems) for path in sorted((study_dir / "fits").glob("*.json"))}
    clusters = read_json(study_dir / CLUSTERS, problems)
    check_seal(values["plan.json"], study_dir / "plan.json", problems)
    if problems:
        raise UserError(problems)
    config = read_config(study_dir / "resolved.yaml")
    name = (values["plan.json"] or {}).get("study") or (config or {}).get("name") or study_dir.resolve().name
    return SplitEvidence(
        str(name),
        ledger,
        values["plan.json"],
        values["comparison.json"],
        values["tree.json"],
        values["cost.json"],
        routing=routing,
        config=config,
        terms=None if clusters is None else terms_of(clusters),
        fits={name: fit for name, fit in fits.items() if fit is not None},
    )


def terms_of(clusters: Mapping[str, Any]) -> dict[str, list[str]]:
    """The terms that stand out in each cluster, by its name, or its number as in cluster-03.

    >>> terms_of({"clusters": [{"cluster": 3, "terms": ["gene", "cell"]}]})
    {'cluster-03': ['gene', 'cell']}
    """
    names, found = clusters.get("names"), {}
    for card in clusters.get("clusters") or []:
        number = int(card["cluster"])
        named = names[number] if isinstance(names, list) and number < len(names) else f"cluster-{number:02}"
        if card.get("terms"):
            found[str(named)] = [str(term) for term in card["terms"]]
    return found
