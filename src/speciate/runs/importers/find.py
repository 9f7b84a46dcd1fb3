"""What lies at a source, told by its content, and the runs read from it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speciate.errors import Problem, UserError
from speciate.runs.importers.log import RunLog, joined, texts
from speciate.runs.importers.mlflow import is_mlflow, read_mlflow
from speciate.runs.importers.tensorboard import is_events, read_tensorboard
from speciate.runs.importers.trainer import STATE, newest, read_trainer, run_folder
from speciate.runs.importers.wandb import is_wandb, read_wandb
from speciate.runs.load import load

KINDS = ("wandb", "mlflow", "tensorboard", "trainer", "facts")
FOLDERS = ("tensorboard", "trainer")  # kinds whose runs are named by their folders
KNOWN = (
    "give a CSV export of W&B or MLflow, a folder of TensorBoard events, a trainer_state.json or a folder with "
    "checkpoints, or a CSV with a column run (facts about runs)"
)


@dataclass(frozen=True)
class Found:
    """Files of one kind: a CSV, or what one run's folder holds."""

    kind: str
    folder: Path
    files: tuple[Path, ...]


def read_logs(sources: Sequence[str | Path], kind: str = "auto") -> tuple[list[RunLog], list[str]]:
    """The runs at all sources, those of one name joined, and what was passed over.

    Raises UserError with the problems of all sources.
    """
    found: list[Found] = []
    notes: list[str] = []
    problems: list[Problem] = []
    if kind not in ("auto", *KINDS):
        problems.append(Problem(f"no kind is called {kind!r}", "--kind", f"use auto, {', '.join(KINDS)}"))
    for source in dict.fromkeys(Path(source) for source in sources) if not problems else ():
        try:
            here = find(source, kind)
        except UserError as error:
            problems += error.problems
            continue
        found += here
        if kind == "auto" and source.is_dir() and here[0].kind == "trainer" and find_events(source):
            notes.append(f"event files in {source} (trainer states are read; --kind tensorboard reads the events)")
    found = _gathered(found)
    folders = [one.folder for one in found if one.kind in FOLDERS]
    names = dict(zip(folders, names_of(folders), strict=True))
    logs: list[RunLog] = []
    for one in found:
        try:
            logs += _read(one, names.get(one.folder, ""))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return joined(logs), notes


def find(source: Path, kind: str) -> list[Found]:
    """What one source holds: files of one kind, by run. Raises UserError when that is nothing we can read."""
    if source.is_dir():
        kinds = {"trainer": find_states, "tensorboard": find_events}
        for name, search in kinds.items():
            if kind in ("auto", name) and (here := search(source)):
                return here
        what = "holds no trainer_state.json and no event files" if kind == "auto" else f"holds nothing of kind {kind}"
        raise UserError(Problem(what, str(source), KNOWN))
    name = source.name.lower()
    if kind == "auto":
        kind = "trainer" if name.endswith(".json") else "tensorboard" if is_events(name) else _kind_of_csv(source)
    elif not source.exists():
        raise UserError(Problem("no such file", str(source), "check the path"))
    if kind == "trainer":
        folder = run_folder(source.absolute()) if source.name == STATE else source.absolute().with_suffix("")
        return [Found(kind, folder, (source,))]
    return [Found(kind, source.absolute().parent, (source,))]


def find_states(folder: Path) -> list[Found]:
    """Every run with trainer states below a folder, its newest state last."""
    states: dict[Path, list[Path]] = defaultdict(list)
    for path in _below(folder):
        if path.name == STATE:
            states[run_folder(path.absolute())].append(path)
    return [Found("trainer", run, tuple(paths)) for run, paths in sorted(states.items())]


def find_events(folder: Path) -> list[Found]:
    """Every folder with event files below a folder."""
    events: dict[Path, list[Path]] = defaultdict(list)
    for path in _below(folder):
        if is_events(path.name):
            events[path.absolute().parent].append(path)
    return [Found("tensorboard", run, tuple(sorted(paths))) for run, paths in sorted(events.items())]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Names of runs from their folders: what is below the folder that holds them all; a single one has its own name.

    >>> names_of([Path("/a/small/out")]), names_of([Path("/a/small/out"), Path("/a/large/out")])
    (['out'], ['small/out', 'large/out'])
    """
    if not folders:
        return []
    plain = [Path(os.path.normpath(folder)) for folder in folders]
    above = plain[0].parent if len(plain) == 1 else Path(os.path.commonpath(plain))
    return [folder.name if folder == above else folder.relative_to(above).as_posix() for folder in plain]


def _gathered(found: Sequence[Found]) -> list[Found]:
    """The files of one run together, as when several checkpoints of it are sources."""
    files: dict[tuple[str, Path], list[Path]] = defaultdict(list)
    for one in found:
        files[one.kind, one.folder if one.kind in FOLDERS else one.files[0]] += one.files
    return [Found(kind, folder, tuple(dict.fromkeys(paths))) for (kind, folder), paths in files.items()]


def _read(one: Found, name: str) -> list[RunLog]:
    if one.kind == "wandb":
        return read_wandb(one.files[0])
    if one.kind == "mlflow":
        return read_mlflow(one.files[0])
    if one.kind == "facts":
        return _facts(one.files[0])
    if one.kind == "tensorboard":
        return [read_tensorboard(one.files, name)]
    return [read_trainer(newest(list(one.files)), name)]


def _facts(path: Path) -> list[RunLog]:
    """Facts that no tool logged, by run: a CSV with a column "run"."""
    names, arrays = load(path)
    columns = {name.strip(): texts(array) for name, array in zip(names, arrays, strict=True)}
    if "run" not in columns:
        raise UserError(Problem("has no column 'run'", str(path), "give one row a run, named as in the other sources"))
    runs = columns.pop("run")
    repeated = [run for run, count in Counter(runs).items() if run is None or count > 1]
    if repeated:
        what = f"run {repeated[0]!r} has several rows" if repeated[0] else "a row has no run"
        raise UserError(Problem(what, str(path), "give one row a run"))
    logs = []
    for i, run in enumerate(runs):
        facts = {name: cell for name, cells in columns.items() if (cell := cells[i]) is not None}
        logs.append(RunLog(run or "", str(path), facts, partial=True, owner=False))
    return logs


def _kind_of_csv(path: Path) -> str:
    names = [name.strip() for name in load(path)[0]]
    if is_mlflow(names):
        return "mlflow"
    if "run" in names:
        return "facts"
    if is_wandb(names):
        return "wandb"
    shown = ", ".join(names[:6])
    fix = f"{KNOWN}; a table of measurements needs no import: speciate fit and validate take it with --columns"
    raise UserError(Problem(f"is of no known kind (its columns: {shown})", str(path), fix))


def _below(folder: Path) -> list[Path]:
    """Every file below a folder, symbolic links to folders not followed."""
    return [Path(where) / name for where, _, names in os.walk(folder) for name in sorted(names)]
