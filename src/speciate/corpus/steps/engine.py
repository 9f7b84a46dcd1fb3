"""Work on the parts of a corpus: in this process, in several, or on a Ray cluster, with the same outcome.

Each part that is done leaves ``parts/<name>.json`` in the folder of the step, so that whatever stops a step, the same
command goes on with the parts that are missing.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from speciate.corpus.reading.documents import EMPTY, FIXES
from speciate.corpus.steps.parts import Part
from speciate.errors import Problem, UserError, machine_problem
from speciate.storage import canonical_json, digest, write_atomic

Work = Callable[[Part, Path], dict[str, Any]]
Progress = Callable[[str, float], None]  # (what is being done, share of it done)
TRIES = 3  # of a part whose process was killed; then it is taken for the cause
SHOWN = 20  # problems told at once


@dataclass(frozen=True, slots=True)
class Engine:
    """Where a step runs. ``processes``: how many here, or at most at once on Ray. ``address`` of a running cluster.

    Without an address Ray starts a cluster of its own on this machine. With one, input and output folders must be
    seen under the same paths by all of its machines.
    """

    kind: Literal["local", "ray"] = "local"
    processes: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.kind not in ("local", "ray"):
            problems.append(Problem(f"no engine is called {self.kind!r}", "--engine", "use local or ray"))
        if self.processes < 1:
            problems.append(Problem(f"{self.processes} processes", "--processes", "give at least 1"))
        if self.address is not None and self.kind != "ray":
            problems.append(Problem("an address, but not of Ray", "--address", "add --engine ray"))
        if problems:
            raise UserError(problems)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a part: its counts, or problems of the user, or the traceback of a fault of ours."""

    number: int
    counts: dict[str, Any] | None = None
    problems: tuple[Problem, ...] = ()
    fatal: bool = False  # the machine refuses: no further part can do better
    fault: str | None = None

    def to_json(self) -> str:
        """As text, to travel between machines."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """The outcome that ``to_json`` wrote."""
        fields = json.loads(text)
        return cls(**fields | {"problems": tuple(Problem(**problem) for problem in fields["problems"])})


def run_parts(
    work: Work,
    parts: Sequence[Part],
    folder: Path,
    request: Mapping[str, Any],
    engine: Engine | None = None,
    progress: Progress | None = None,
    most_bad: float | None = None,
) -> list[dict[str, Any]]:
    """Counts of every part, in the order of parts, of ``work(part, folder)``, which writes its outputs there.

    Parts done before under the same request are not done again. A killed process costs its own part, which is tried
    again. ``most_bad``: the share of bad records (or bytes, "empty" ones aside) beyond which the run stops. Raises
    ``UserError`` with the problems of all parts, ``RuntimeError`` with the traceback of a fault in ``work``.
    """
    identity = digest(dict(request))
    parts = list(parts)
    assert [part.number for part in parts] == list(range(len(parts))), "all the parts of a cut, in order"
    done = {part.number: counts for part in parts if (counts := read_counts(folder, part, identity)) is not None}
    task = Task(work, folder, identity)
    left = [part for part in parts if part.number not in done]
    problems: list[Problem] = []
    total, finished = sum(part.weight for part in parts) or 1, sum(parts[number].weight for number in done)
    with closing(_outcomes(task, left, engine or Engine())) as outcomes:
        _check_bad(done.values(), most_bad, finished / total)
        for outcome in outcomes:
            if outcome.fault is not None:
                raise RuntimeError(f"part {parts[outcome.number].name}:\n{outcome.fault}")
            finished += parts[outcome.number].weight
            problems += outcome.problems
            if outcome.counts is not None:
                done[outcome.number] = outcome.counts
                _check_bad(done.values(), most_bad, finished / total)
            if outcome.fatal:
                break
            if progress is not None:
                progress(f"{len(done):,} of {len(parts):,} parts", finished / total)
    if problems:
        raise UserError(sorted(set(problems), key=str)[:SHOWN])
    return [done[part.number] for part in parts]


def read_counts(folder: Path, part: Part, identity: str) -> dict[str, Any] | None:
    """Counts of a part that is done under this request, else None."""
    file = folder / "parts" / f"{part.name}.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(Problem("not what a step of ours wrote", str(file), "remove this file")) from error
    if not isinstance(told, dict) or told.get("request_digest") != identity:
        fix = "give a new folder, or remove this one"
        raise UserError(Problem("it holds parts of another request", str(folder), fix))
    counts: dict[str, Any] = told["counts"]
    return counts


@dataclass(frozen=True, slots=True)
class Task:
    """What every process does with a part: the work, and the note that it is done."""

    work: Work
    folder: Path
    identity: str

    def __call__(self, part: Part) -> Outcome:
        """Never raises: the outcome says what went wrong."""
        try:
            counts = json.loads(canonical_json(self.work(part, self.folder)))  # as it is read when the run goes on
            note = {"part": part.name, "request_digest": self.identity, "counts": counts}
            write_atomic(self.folder / "parts" / f"{part.name}.json", canonical_json(note))
        except UserError as error:
            return Outcome(part.number, problems=error.problems)
        except Exception as error:
            if (problem := machine_problem(error)) is not None:
                return Outcome(part.number, problems=(problem,), fatal=True)
            return Outcome(part.number, fault=traceback.format_exc())
        return Outcome(part.number, counts)


def _outcomes(task: Task, parts: Sequence[Part], engine: Engine) -> Generator[Outcome, None, None]:
    if engine.kind == "ray":
        from speciate.corpus.steps.ray_engine import ray_outcomes

        yield from ray_outcomes(task, parts, engine.processes, engine.address)
    elif engine.processes == 1 or len(parts) <= 1:
        yield from map(task, parts)
    else:
        from speciate.corpus.steps.processes import process_outcomes

        yield from process_outcomes(task, parts, min(engine.processes, len(parts)))


def _check_bad(counts: Any, most_bad: float | None, share_done: float) -> None:
    """Stop when more is bad than the limit allows even if nothing else is. ``share_done``: of the input, 0 to 1."""
    if most_bad is None:
        return
    reasons: dict[str, int] = {}
    good = good_bytes = bad_bytes = 0
    for each in counts:
        good, good_bytes = good + each.get("documents", 0), good_bytes + each.get("bytes_in", 0)
        bad_bytes += each.get("bytes_bad", 0)
        for reason, count in each.get("bad", {}).items():
            if reason != EMPTY:
                reasons[reason] = reasons.get(reason, 0) + count
    bad = sum(reasons.values())
    records, volume = bad + good, bad_bytes + good_bytes
    share = max(bad / max(records, 1), bad_bytes / max(volume, 1))
    if bad and share * share_done > most_bad:
        worst = max(sorted(reasons), key=lambda reason: reasons[reason])
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
        what = f"{bad:,} of {records:,} records ({share:.1%} by count or bytes) are bad: {told}"
        fix = f"{FIXES.get(worst, 'mend them')}; or allow more with --most-bad; they are listed in the folder's bad/"
        raise UserError(Problem(what, "the input", fix))


def lost(part: Part, how: str) -> Outcome:
    """A part that ended each process that worked on it. ``how``: what is known of the last time, ", last by ..."."""
    what = f"the process at work on it ended {TRIES} times{how}"
    where = ", ".join(piece.file for piece in part.pieces[:3])
    fix = "use fewer --processes, or look at this text; the parts that are done stay done"
    return Outcome(part.number, problems=(Problem(what, f"part {part.name} ({where})", fix),))


def limit_threads() -> None:
    """One thread for numerical libraries in a worker: the processes share the cores, and sums do not vary."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def stage_of(progress: Progress | None, first: float, last: float) -> Callable[[str, float], None]:
    """The progress of one of several readings, between these shares of the whole."""

    def tell(what: str, share: float) -> None:
        if progress is not None:
            progress(what, first + (last - first) * share)

    return tell
