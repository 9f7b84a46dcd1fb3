"""MLflow: the CSV that its page downloads, and ``mlflow.search_runs(...).to_csv(...)``. One row a run, final values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speciate.errors import Problem, UserError
from speciate.runs.importers.log import RunLog, distinct, texts
from speciate.runs.load import load

IDS = ("run_id", "Run ID")
NAMES = ("tags.mlflow.runName", "run_name", "Run Name", "Name")
PREFIXES = ("metrics.", "params.", "tags.")  # of search_runs; a metric wins over a parameter of the same name


def is_mlflow(names: Sequence[str]) -> bool:
    """Whether a CSV with this header comes from MLflow."""
    return any(name in names for name in IDS)


def read_mlflow(path: Path) -> list[RunLog]:
    """The runs of a CSV from MLflow. Raises UserError as ``load`` does, and where no column holds the runs' ids."""
    names, arrays = load(path)
    if not is_mlflow(names):
        fix = f"export it with the column {' or '.join(map(repr, IDS))}"
        raise UserError(Problem("is no CSV of MLflow's runs", str(path), fix))
    columns = {name: texts(array) for name, array in zip(names, arrays, strict=True)}
    ids = [cell or "" for cell in next(columns[name] for name in IDS if name in columns)]
    none: list[str | None] = [None] * len(ids)
    given = next((columns[name] for name in NAMES if name in columns), none)
    called = distinct([name or identity for name, identity in zip(given, ids, strict=True)], [i[:8] for i in ids])
    plain = _plain(names)
    rows = zip(*(columns[name] for name in plain.values()), strict=True)
    facts = [{name: cell for name, cell in zip(plain, row, strict=True) if cell is not None} for row in rows]
    return [RunLog(name, str(path), facts=row) for name, row in zip(called, facts, strict=True)]


def _plain(names: Sequence[str]) -> dict[str, str]:
    """Names without MLflow's prefixes, where that leaves them different: plain name -> name in the file.

    >>> _plain(["", "run_id", "params.loss", "params.lr", "metrics.loss"])
    {'loss': 'metrics.loss', 'lr': 'params.lr', 'run_id': 'run_id', 'params.loss': 'params.loss'}
    """
    found: dict[str, str] = {}
    for prefix in PREFIXES:
        for name in names:
            if name.startswith(prefix):
                found.setdefault(name.removeprefix(prefix), name)
    taken = set(found.values())
    return {**found, **{name: name for name in names if name and name not in taken}}
