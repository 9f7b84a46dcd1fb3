"""The step clean: every document is kept or rejected for one reason, the same wherever it is done."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from speciate.corpus.clean import step as module
from speciate.corpus.clean.language import Languages
from speciate.corpus.clean.near_duplicates import Near
from speciate.corpus.clean.quality_presets import PRESETS
from speciate.corpus.clean.step import Cleaning, clean
from speciate.corpus.steps.engine import Engine
from speciate.corpus.steps.parts import cut, read_part
from speciate.errors import UserError

QUESTION = "how many of the words in this question stand in a row in a text that is read by a model"


def prose(seed: int, words: int = 150) -> str:
    rng = random.Random(seed)
    made = ["".join(rng.choices("abcdefghij", k=rng.randint(3, 9))) for _ in range(words)]
    made[::15] = [("the", "of", "and", "that")[i % 4] for i in range(len(made[::15]))]
    return " ".join(made)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """240 documents in three files: good ones, and of every fifth what has to go."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows: list[dict[str, Any]] = []
    for i in range(240):
        text = prose(i)
        if i % 5 == 1:
            kind = i // 5 % 5
            text = ["short", prose(i - 1).upper().replace(" ", "  "), f"{prose(i - 1)} and more", f"{text} {QUESTION}?",
                    text][kind]  # fmt: skip
        rows.append({"text": text, "lang": "de" if i % 25 == 21 else "en-GB", "n": i})
    for number in range(3):
        lines = [json.dumps(row) for row in rows[number * 80 : number * 80 + 80]]
        if number == 1:
            lines[3:3] = ["{oops", '{"text": " "}']
        (folder / f"{number}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "exam.jsonl").write_text(
        json.dumps({"question": QUESTION})
        + "\n"
        + json.dumps({"question": "is this one found anywhere in this text?"}),
        encoding="utf-8",
    )
    return folder


def everything(source: Path) -> Cleaning:
    exam = str(source.parent / "exam.jsonl")
    return Cleaning(languages=Languages(("en",), "lang"), evaluation=(exam,))


def tables(folder: Path) -> dict[str, Any]:
    found = {f"{f.parent.name}/{f.name}": pq.read_table(f).to_pylist() for f in sorted(folder.glob("*/*.parquet"))}
    return found | {"contamination": (folder / "contamination.jsonl").read_text(encoding="utf-8")}


def timeless(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "seconds"}


def test_each_document_goes_for_its_reason(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    report = clean(cut(source, 2e4), out, everything(source))
    assert report["documents"] == 240 and report["kept"] == 192 and report["bad"] == {"empty": 1, "not JSON": 1}
    assert report["rejected"] == {
        "contamination": 9, "exact duplicate": 10, "language": 9, "near duplicate": 10, "too few words": 10
    }  # fmt: skip
    assert (report["questions"], report["questions_found"], report["questions_too_short"]) == (2, 1, 0)
    kept = [row for file in sorted((out / "kept").iterdir()) for row in pq.read_table(file).to_pylist()]
    assert [json.loads(row["meta"])["n"] for row in kept] == [i for i in range(240) if i % 5 != 1]
    rejected = [row for file in sorted((out / "rejected").iterdir()) for row in pq.read_table(file).to_pylist()]
    ids = {json.loads(row["meta"])["n"]: row["id"] for row in [*kept, *rejected]}
    for row in rejected:
        number = json.loads(row["meta"])["n"]
        detail = {
            0: "1 words, at least 50",
            1: f"the same as {ids[number - 1]}",
            2: f" like {ids[number - 1]}",
            3: "it holds a question of the evaluation",
            4: "de by the field lang, not en",
        }
        assert detail[number // 5 % 5] in row["detail"]
    (line,) = (out / "contamination.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert told["question"] == QUESTION and told["documents"] == 9 and len(told["first_documents"]) == 5
    assert told["first_documents"][0] == ids[16] and not (out / "found").exists()
    assert len(list((out / "bad").iterdir())) == 1


def test_parts_and_processes_make_no_difference(tmp_path: Path, source: Path) -> None:
    parts = cut(source, 2e4)
    assert len(parts) > 5
    one = clean(parts, tmp_path / "one", everything(source))
    two = clean(parts, tmp_path / "two", everything(source), Engine(processes=2))
    assert timeless(one) == timeless(two) and tables(tmp_path / "one") == tables(tmp_path / "two")
    assert clean(parts, tmp_path / "two", everything(source)) == two | {"done_before": True}
    whole = clean(cut(source, 1e9), tmp_path / "whole", everything(source))
    assert whole["rejected"] == one["rejected"]


@pytest.mark.filterwarnings("ignore")  # Ray warns of its own old settings, and leaves sockets to the collector
def test_ray_leaves_the_same(tmp_path: Path, source: Path) -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}})
    try:
        with_ray = clean(cut(source, 4e4), tmp_path / "ray", everything(source), Engine("ray", 2))
    finally:
        ray.shutdown()
    alone = clean(cut(source, 4e4), tmp_path / "one", everything(source))
    assert timeless(with_ray) == timeless(alone) and tables(tmp_path / "ray") == tables(tmp_path / "one")


@pytest.mark.parametrize("stop", [3, 9])
def test_a_step_that_is_stopped_goes_on(
    tmp_path: Path, source: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = cut(source, 2e4)
    whole = clean(parts, tmp_path / "whole", everything(source))
    told: list[str] = []

    def interrupt(what: str, share: float) -> None:
        told.append(what)
        if len(told) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clean(parts, tmp_path / "out", everything(source), progress=interrupt)
    with pytest.raises(UserError, match="another request"):
        clean(parts, tmp_path / "out", Cleaning())
    before = len(told)
    again = clean(parts, tmp_path / "out", everything(source), progress=lambda what, share: told.append(what))
    assert timeless(again) == timeless(whole) and tables(tmp_path / "out") == tables(tmp_path / "whole")
    assert len(told) - before == 3 * len(parts) - before  # nothing is done twice


def test_checks_are_switched_off(tmp_path: Path, source: Path) -> None:
    parts = cut(source)
    off = Cleaning(rules=None, exact=False, near=None)
    assert clean(parts, tmp_path / "off", off)["rejected"] == {}
    assert clean(parts, tmp_path / "exact", Cleaning(None, near=None))["rejected"] == {"exact duplicate": 19}
    near = clean(parts, tmp_path / "near", Cleaning(None, exact=False, near=Near(0.8)))
    assert near["rejected"] == {"near duplicate": 29}
    assert clean(parts, tmp_path / "pt", Cleaning(PRESETS["portuguese"]))["rejected"] == {
        "stop words": 230, "too few words": 10
    }  # fmt: skip


def test_too_much_that_is_bad_stops_the_run(tmp_path: Path, source: Path) -> None:
    with pytest.raises(UserError, match="2 of|1 of"):
        clean(cut(source), tmp_path / "out", everything(source), most_bad=0.001)


def test_what_is_kept_is_read_by_the_next_step(tmp_path: Path, source: Path) -> None:
    clean(cut(source), tmp_path / "one", Cleaning())
    second = clean(cut(tmp_path / "one"), tmp_path / "two", Cleaning())
    assert second["documents"] == second["kept"]
    ids = [d.id for p in cut(tmp_path / "two") for d in read_part(p)]
    assert ids == [d.id for p in cut(tmp_path / "one") for d in read_part(p)]


def test_nothing_in_gives_nothing_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n', encoding="utf-8")
    report = clean(cut(tmp_path / "a.jsonl"), tmp_path / "out", Cleaning())
    assert report["documents"] == report["kept"] == 0 and report["bad"] == {"empty": 1}
    assert module.OWN == ("found", "contamination.jsonl")
