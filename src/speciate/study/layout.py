"""Where everything of a study lies on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The files of one study; all of them below ``root``."""

    root: Path

    @property
    def config(self) -> Path:
        """The study file with every default and override written out; what the workers read."""
        return self.root / "resolved.yaml"

    @property
    def corpus(self) -> Path:
        return self.root / "corpus"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def nodes(self) -> Path:
        """The run tree as the workers read it."""
        return self.root / "runs" / "tree.json"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.parquet"

    @property
    def fits(self) -> Path:
        return self.root / "fits"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def comparison(self) -> Path:
        return self.root / "comparison.json"

    @property
    def tree(self) -> Path:
        """The run tree as the report draws it."""
        return self.root / "tree.json"

    @property
    def cost(self) -> Path:
        return self.root / "cost.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"
