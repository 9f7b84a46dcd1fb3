"""The split law fitted on a study's rows, on all sizes and on each, and held against its rival."""

from __future__ import annotations

import json

import pandas as pd

from speciate.errors import NotDecidable
from speciate.fitting.rivals import rivals
from speciate.laws.liew_kato import LIEW_KATO, LIEW_KATO_ONE_SIZE
from speciate.laws.split import AT_ONE_SIZE, SPLIT
from speciate.planning.split.fit import in_unit, unit_of
from speciate.runs.ledger import write_ledger
from speciate.storage import write_atomic
from speciate.study.fitting import write_fits
from speciate.study.layout import Layout
from speciate.study.split.config import SplitStudy


def fit_laws(config: SplitStudy, layout: Layout, rows: pd.DataFrame) -> dict[str, str]:
    """The split law on all sizes together and on each, and the comparison with its rival; each one's status.

    The rows stand beside the fits, as a table that ``speciate plan split`` reads.
    What these rows cannot carry is written down as such: the status is the reason.
    """
    write_ledger(rows.to_dict("records"), layout.fits / "rows.parquet")
    sizes, unit = sorted(rows["params"].unique()), unit_of(rows)
    jobs = {"split": (in_unit(SPLIT, unit), rows)} if len(sizes) > 1 else {}
    jobs |= {f"split-{size:.0f}": (in_unit(AT_ONE_SIZE, unit), rows[rows["params"] == size]) for size in sizes}
    statuses = write_fits(jobs, layout.fits, bootstrap=100, level=config.plan.level, seed=config.seed)
    statuses["rivals"] = _compare_rivals(config, layout, rows, unit)
    return statuses


def _compare_rivals(config: SplitStudy, layout: Layout, rows: pd.DataFrame, unit: float) -> str:
    """The split law against that of Liew and Kato, which knows no D = 0 and no D' = 0: what to say of it."""
    several = rows["params"].nunique() > 1
    laws = (SPLIT, LIEW_KATO) if several else (AT_ONE_SIZE, LIEW_KATO_ONE_SIZE)
    own_units = [law.with_scale("seed_tokens", 1e9 * unit).with_scale("tokens", 1e9 * unit) for law in laws[1:]]
    try:
        compared = rivals([in_unit(laws[0], unit), *own_units], rows, level=config.plan.level, seed=config.seed)
    except NotDecidable as reason:
        write_atomic(layout.fits / "rivals.json", json.dumps({"status": str(reason)}, indent=1))
        return str(reason)
    told = {"status": "compared", **compared.to_json()}
    write_atomic(layout.fits / "rivals.json", json.dumps(told, indent=1, allow_nan=False))
    return "; ".join(compared.refused.values()) or compared.explain()[-1]
