"""The same work on a Ray cluster: one task of Ray Data per part."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from speciate.corpus.steps.engine import TRIES, Outcome, Task, lost
from speciate.corpus.steps.parts import Part
from speciate.errors import Problem, UserError


def ray_outcomes(task: Task, parts: Sequence[Part], processes: int, address: str | None) -> Iterator[Outcome]:
    """Outcomes as they come. A killed worker costs its part, which Ray tries again."""
    if not parts:
        return
    ray = _import()
    import ray.data as data

    ours = not ray.is_initialized()
    if ours:
        _start(ray, processes, address)
    try:
        _quiet()
        for part in parts:
            _tries_file(task, part).unlink(missing_ok=True)  # of a run before

        def one(row: dict[str, int]) -> dict[str, str]:
            return {"outcome": _try(task, parts[row["index"]]).to_json()}

        rows = [{"index": index} for index in range(len(parts))]
        done = data.from_items(rows, override_num_blocks=len(rows)).map(one, compute=data.TaskPoolStrategy(processes))
        for row in done.iter_rows():
            yield Outcome.from_json(row["outcome"])
    finally:
        if ours:
            ray.shutdown()


def _try(task: Task, part: Part) -> Outcome:
    """The outcome, unless the part has killed its process too often: Ray itself would try it for ever."""
    tries = _tries_file(task, part)
    tries.parent.mkdir(parents=True, exist_ok=True)
    with tries.open("ab") as file:
        begun = file.tell()
        file.write(b".")
    outcome = lost(part, "") if begun >= TRIES else task(part)
    tries.unlink(missing_ok=True)
    return outcome


def _tries_file(task: Task, part: Part) -> Path:
    """One byte for each time that a process began with the part; gone when one ends well."""
    return task.folder / "parts" / f".{part.name}.tries"


def _quiet() -> None:
    """Only errors of Ray: its warnings are about its own settings, and about retries, which are told at the end."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _import() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns about a coming change
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        fix = "pip install speciate[ray], or use --engine local --processes N"
        raise UserError(Problem("Ray is not installed", "--engine ray", fix)) from error
    return ray


def _start(ray: Any, processes: int, address: str | None) -> None:
    """A cluster on this machine, or the one at the address; workers import from where we do."""
    paths = os.pathsep.join(dict.fromkeys(path for path in sys.path if path))
    options: dict[str, Any] = {
        "address": address or "local",
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": {"PYTHONPATH": paths}},
    }
    if address is not None:
        options.pop("include_dashboard")
    else:
        options["num_cpus"] = processes
    with contextlib.redirect_stdout(sys.stderr):
        try:
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = (str(error).splitlines() or [""])[0]
            raise UserError(Problem(f"no cluster answers: {first}", "--address", "check that it runs")) from error
