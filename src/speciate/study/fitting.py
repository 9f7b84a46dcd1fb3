"""Laws fitted on a study's rows and written to its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from speciate.errors import NotDecidable
from speciate.fitting.fit import fit
from speciate.laws.law import Law
from speciate.storage import write_atomic


def write_fits(
    jobs: Mapping[str, tuple[Law, pd.DataFrame]], folder: Path, *, bootstrap: int, level: float, seed: int
) -> dict[str, str]:
    """Fit each law on its rows and write ``folder``/NAME.json; the status of every fit by name.

    A law that its rows cannot carry is written down as such: the status is the reason.
    """
    statuses = {}
    for name, (law, rows) in jobs.items():
        path = folder / f"{name}.json"
        try:
            result = fit(law, rows, bootstrap=bootstrap, level=level, seed=seed)
        except NotDecidable as reason:
            statuses[name] = str(reason)
            write_atomic(path, json.dumps({"law": law.name, "status": str(reason), "parameters": None}, indent=1))
        else:
            statuses[name] = result.status
            result.save(path)
    return statuses
