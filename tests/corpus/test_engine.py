"""One process, several, Ray: the same outcome; what is killed costs its own part; what is stopped goes on."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from speciate.corpus.steps.engine import TRIES, Engine, run_parts
from speciate.corpus.steps.parts import Part, cut
from speciate.corpus.steps.text_folder import run_step
from speciate.errors import Problem, UserError

WORKS = '''
"""Works that worker processes can import."""
import os, signal, time
from pathlib import Path
from speciate.corpus.steps.parts import read_part
from speciate.corpus.steps.text_folder import PartWriter
from speciate.errors import Problem, UserError

def keep_even(part, folder, modulus=2):
    with PartWriter(folder, part, {"length": "int64"}) as out:
        for document in read_part(part, out.bad):
            if int(document.text.split()[1]) % modulus:
                out.reject(document, "odd", "its number is odd", length=len(document.text))
            else:
                out.keep(document, length=len(document.text))
    return out.counts()

def killed_at(part, folder, victim, times, marks):
    """As above, but the process is killed in the middle of the part ``victim``, ``times`` times."""
    with open(Path(marks) / part.name, "a") as log:
        log.write("tried\\n")
    tried = len((Path(marks) / part.name).read_text().splitlines())
    with PartWriter(folder, part, {"length": "int64"}) as out:
        for number, document in enumerate(read_part(part, out.bad)):
            if part.number == victim and tried <= times and number == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            out.keep(document, length=1)
    return out.counts()

def faulty(part, folder, kind):
    if kind == "user":
        raise UserError(Problem(f"part {part.number} is wrong", "here", "mend it"))
    if kind == "disk":
        raise OSError(28, "No space left on device", "kept/x")
    raise KeyError("our own")

def environment(part, folder):
    return {"pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")}
'''


@pytest.fixture
def works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "corpus_works.py").write_text(WORKS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    module = importlib.import_module("corpus_works")
    yield module
    del sys.modules["corpus_works"]


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"text": f"number {i} of the text", "n": i}) for i in range(600)]
    lines[100] = "{oops"
    path.write_text("\n".join(lines), encoding="utf-8")
    made = cut(path, 4e3)
    assert len(made) > 5
    return made


def outputs(folder: Path) -> dict[str, str]:
    """A digest of every file but the report, which holds the seconds."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "report.json")
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def timeless(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key != "seconds"}


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def tries(marks: Path) -> dict[str, int]:
    """How often each part was begun."""
    return {path.name: len(path.read_text().splitlines()) for path in marks.iterdir()}


def test_one_process_and_several_leave_the_same(tmp_path: Path, works: ModuleType, parts: list[Part]) -> None:
    told: list[tuple[str, float]] = []
    reports = [
        run_step("even", works.keep_even, parts, tmp_path / f"out{n}", {"modulus": 2}, Engine(processes=n), seen)
        for n, seen in ((1, None), (3, lambda what, share: told.append((what, share))))
    ]
    assert timeless(reports[0]) == timeless(reports[1])
    assert outputs(tmp_path / "out1") == outputs(tmp_path / "out3") and len(outputs(tmp_path / "out1")) > 15
    assert reports[0]["documents"] == 599 and reports[0]["kept"] == 299 and reports[0]["rejected"] == {"odd": 300}
    assert reports[0]["bad"] == {"not JSON": 1} and not reports[0]["done_before"]
    shares = [share for _, share in told]
    assert shares == sorted(shares) and shares[-1] == 1 and len(told) == len(parts)


@pytest.mark.filterwarnings("ignore")  # Ray warns of its own old settings, and leaves sockets to the collector
def test_ray_leaves_the_same_and_a_killed_worker_costs_its_part(
    tmp_path: Path, works: ModuleType, parts: list[Part]
) -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}})
    try:
        killing, mended = (
            functools.partial(works.killed_at, victim=2, times=times, marks=str(made(tmp_path / f"marks{times}")))
            for times in (99, 1)
        )
        with pytest.raises(UserError) as error:  # as here, a part that kills every worker does not go on for ever
            run_step("even", killing, parts, tmp_path / "killed", {}, Engine("ray", 2))
        assert f"ended {TRIES} times" in str(error.value) and parts[2].name in str(error.value)
        assert len(list((tmp_path / "killed" / "parts").iterdir())) == len(parts) - 1
        with_ray = run_step("even", mended, parts, tmp_path / "ray", {}, Engine("ray", 2))
        assert tries(tmp_path / "marks1") == {p.name: 1 + (p.number == 2) for p in parts}
    finally:
        ray.shutdown()
    work = functools.partial(works.killed_at, victim=-1, times=0, marks=str(made(tmp_path / "none")))
    alone = run_step("even", work, parts, tmp_path / "one", {})
    assert timeless(with_ray) == timeless(alone)
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "one")


def test_a_killed_worker_costs_only_its_part(tmp_path: Path, works: ModuleType, parts: list[Part]) -> None:
    marks = made(tmp_path / "marks")
    work = functools.partial(works.killed_at, victim=3, times=2, marks=str(marks))
    run_step("even", work, parts, tmp_path / "out", {}, Engine(processes=2))
    assert tries(marks) == {p.name: 3 if p.number == 3 else 1 for p in parts}
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert sum(name.startswith("kept/") for name in outputs(tmp_path / "out")) == len(parts)


def test_a_part_that_kills_every_worker_is_named_and_the_others_stay_done(
    tmp_path: Path, works: ModuleType, parts: list[Part]
) -> None:
    marks = made(tmp_path / "marks")
    killing = functools.partial(works.killed_at, victim=3, times=99, marks=str(marks))
    with pytest.raises(UserError) as error:
        run_step("even", killing, parts, tmp_path / "out", {}, Engine(processes=2))
    assert f"ended {TRIES} times, last by signal 9" in str(error.value) and parts[3].name in str(error.value)
    assert not (tmp_path / "out" / "report.json").exists()
    mended = functools.partial(works.killed_at, victim=-1, times=0, marks=str(marks))
    report = run_step("even", mended, parts, tmp_path / "out", {})
    assert tries(marks) == {p.name: TRIES + 1 if p.number == 3 else 1 for p in parts}
    assert report["documents"] == 599


@pytest.mark.parametrize("processes", [1, 2])
def test_faults_of_users_are_told_together_and_our_own_with_their_traceback(
    tmp_path: Path, works: ModuleType, parts: list[Part], processes: int
) -> None:
    engine = Engine(processes=processes)
    with pytest.raises(UserError) as error:
        run_parts(functools.partial(works.faulty, kind="user"), parts, tmp_path / "out", {}, engine)
    assert len(error.value.problems) == len(parts)
    with pytest.raises(RuntimeError, match=r"(?s)part 0000.*in faulty.*KeyError: 'our own'"):
        run_parts(functools.partial(works.faulty, kind="ours"), parts, tmp_path / "out", {}, engine)
    with pytest.raises(UserError) as error:
        run_parts(functools.partial(works.faulty, kind="disk"), parts, tmp_path / "out", {}, engine)
    assert [p.what for p in error.value.problems] == ["No space left on device"]


def test_workers_use_one_thread_each_and_stay(tmp_path: Path, works: ModuleType, parts: list[Part]) -> None:
    counts = run_parts(works.environment, parts, tmp_path / "out", {}, Engine(processes=2))
    assert {c["threads"] for c in counts} == {"1"} and 1 <= len({c["pid"] for c in counts}) <= 2


def test_too_many_bad_records_stop_the_run(tmp_path: Path, works: ModuleType) -> None:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"text": f"number {i}"}) if i % 10 else "{oops" for i in range(2000)]
    path.write_text("\n".join(lines), encoding="utf-8")
    parts = cut(path, 2e3)
    with pytest.raises(UserError, match=r"records \(.*%.*are bad: .* not JSON; write one object.*--most-bad"):
        run_step("even", works.keep_even, parts, tmp_path / "out", {})
    assert 1 < len(list((tmp_path / "out" / "parts").iterdir())) < len(parts)  # as soon as it is certain
    report = run_step("even", works.keep_even, parts, tmp_path / "out", {}, most_bad=0.2)
    assert report["bad"] == {"not JSON": 200} and report["kept"] == 800
    bad_at_the_end = tmp_path / "end.jsonl"
    bad_at_the_end.write_text("\n".join(sorted(lines, reverse=True)), encoding="utf-8")
    with pytest.raises(UserError, match=r"200 of 2,000 records"):
        run_step("even", works.keep_even, cut(bad_at_the_end, 1e9), tmp_path / "end", {}, most_bad=0.09)


def test_an_impossible_engine_is_named() -> None:
    with pytest.raises(UserError) as error:
        Engine("spark", 0, "auto")  # type: ignore[arg-type]
    assert len(error.value.problems) == 3
    assert error.value.problems[0] == Problem("no engine is called 'spark'", "--engine", "use local or ray")
