"""Where everything of a study lies on disk."""

from __future__ import annotations

from pathlib import Path


class Layout:
    """The files of one study; all of them below ``root``.

    >>> Layout(Path("law")).plan.as_posix()
    'law/plan.json'
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "resolved.yaml"  # every default and override written out; what the workers read
        self.corpus = root / "corpus"
        self.runs = root / "runs"
        self.nodes = root / "runs" / "tree.json"  # the run tree as the workers read it
        self.ledger = root / "ledger.parquet"
        self.fits = root / "fits"
        self.plan = root / "plan.json"
        self.comparison = root / "comparison.json"
        self.tree = root / "tree.json"  # the run tree as the report draws it
        self.cost = root / "cost.json"
        self.actuals = root / "actuals.jsonl"  # estimated and actual seconds of every node that was trained
        self.specialists = root / "specialists"  # of a split study: experts, router and tokenizer
        self.routing = root / "routing.json"  # what routing to them costs
        self.report = root / "report.html"
