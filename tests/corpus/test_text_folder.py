"""The folder that a step leaves: whole, told what it is, and the input of the next step and of a study."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from speciate.corpus.reading.documents import Bad, Document
from speciate.corpus.reading.read import read_documents
from speciate.corpus.steps.parts import Part, cut, read_part
from speciate.corpus.steps.text_folder import PartWriter, add_counts, begin, run_step
from speciate.errors import UserError


def halves(part: Part, folder: Path) -> dict[str, Any]:
    with PartWriter(folder, part, {"score": "double"}) as out:
        for number, document in enumerate(read_part(part, out.bad)):
            if number % 2:
                out.reject(document, "odd", "every second one", score=0.5)
            else:
                out.keep(document, score=number / 4)
    return out.counts(lines=out.counts()["documents"] * 2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.jsonl"
    path.parent.mkdir()
    rows: list[Any] = [{"text": f"text {i} ü", "url": f"http://x/{i}"} for i in range(10)]
    path.write_text("\n".join(json.dumps(row) for row in rows) + '\n{oops\n{"text": ""}\n', encoding="utf-8")
    return path.parent


def said(call: Any) -> str:
    with pytest.raises(UserError) as error:
        call()
    return str(error.value)


def test_what_becomes_of_every_document_stands_in_the_folder(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    report = run_step("halve", halves, cut(source), out, {"share": 0.5}, most_bad=0.2)
    assert report["kept"] == 5 and report["rejected"] == {"odd": 5} and report["bad"] == {"empty": 1, "not JSON": 1}
    assert report["lines"] == 20 and report["parts"] == 1 and report["step"] == "halve"
    kept = pq.read_table(out / "kept" / "00000-00000.parquet").to_pylist()
    assert kept[1] == {"id": "a.jsonl:94", "text": "text 2 ü", "source": "a.jsonl", "score": 0.5,
                       "meta": '{"url": "http://x/2"}'}  # fmt: skip
    rejected = pq.read_table(out / "rejected" / "00000-00000.parquet").to_pylist()
    assert (rejected[0]["reason"], rejected[0]["detail"], rejected[0]["score"]) == ("odd", "every second one", 0.5)
    bad = pq.read_table(out / "bad" / "00000-00000.parquet").to_pylist()
    assert [(row["reason"], row["text"].strip()) for row in bad] == [("not JSON", "{oops"), ("empty", '{"text": ""}')]
    assert report["bytes_in"] == 2 * report["bytes_out"] == 10 * len("text 0 ü".encode())
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["request"]["share"] == 0.5


def test_a_step_reads_what_a_step_left_and_so_does_a_study(tmp_path: Path, source: Path) -> None:
    run_step("halve", halves, cut(source), tmp_path / "one", {}, most_bad=0.2)
    documents = [d for part in cut(tmp_path / "one") for d in read_part(part)]
    assert documents[1] == Document("a.jsonl:94", "text 2 ü", "a.jsonl", {"url": "http://x/2", "score": 0.5})
    report = run_step("halve", halves, cut(tmp_path / "one"), tmp_path / "two", {})
    assert report["kept"] == 3 and report["bytes_bad"] == 0
    assert [d.text for d in read_documents(tmp_path / "two")] == ["text 0 ü", "text 4 ü", "text 8 ü"]


def test_the_same_command_again_is_told_and_another_is_refused(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    first = run_step("halve", halves, cut(source), out, {"share": 0.5}, most_bad=0.2)
    again = run_step("halve", halves, cut(source), out, {"share": 0.5}, most_bad=0.2)
    assert again == first | {"done_before": True} and not first["done_before"]
    message = said(lambda: run_step("halve", halves, cut(source), out, {"share": 0.6}))
    assert "another request (share was 0.5, is 0.6)" in message and "give a new folder" in message
    (source / "b.txt").write_text("more", encoding="utf-8")
    assert "input was 1 files of" in said(lambda: run_step("halve", halves, cut(source), out, {"share": 0.5}))
    (out / "report.json").unlink()
    assert "parts of another request" in said(lambda: run_step("halve", halves, cut(source), out, {"share": 0.6}))


def test_a_folder_that_is_not_for_us_is_left_alone(tmp_path: Path, source: Path) -> None:
    parts = cut(source)
    assert "stands in it" in said(lambda: begin(source, {}, parts))
    assert "it holds other things, such as in" in said(lambda: begin(tmp_path, {}))
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert begin(tmp_path, {}, own=["in", "file"]) is None
    (tmp_path / "parts").mkdir()
    assert begin(tmp_path, {}) is None  # a step's, with something beside it
    assert "a file, not a folder" in said(lambda: begin(tmp_path / "file", {}))
    (tmp_path / "odd").mkdir()
    for text in ("{", "[]", "{}"):
        (tmp_path / "odd" / "report.json").write_text(text, encoding="utf-8")
        assert "not a report of ours" in said(lambda: begin(tmp_path / "odd", {}))


def test_nothing_appears_of_a_part_that_fails(tmp_path: Path, source: Path) -> None:
    (part,) = cut(source)
    with pytest.raises(KeyError), PartWriter(tmp_path / "out", part) as out:
        for i in range(3000):
            out.keep(Document(f"a:{i}", "x" * 5000, "a"))
        raise KeyError("in the middle")
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_whatever_a_document_carries_can_be_written(tmp_path: Path, source: Path) -> None:
    (part,) = cut(source)
    meta = {"half": "\ud800", "when": datetime.date(2020, 1, 2), "nan": [float("inf")], "raw": b"\xff", "deep": {1: 2}}
    with PartWriter(tmp_path / "out", part) as out:
        out.keep(Document("a:0", "text\x00\u2028", "a", meta))
        out.keep(Document("a:1", "text", "a", {"half": "\ud800"}))
        out.bad.append(Bad("a:2", "a", "/data/\udcff.txt", "not JSON", "not JSON (\udcff)", "", 3))
    rows = pq.read_table(tmp_path / "out" / "kept" / f"{part.name}.parquet").to_pylist()
    told = {"half": "\ud800", "when": "2020-01-02", "nan": [None], "raw": "b'\\xff'", "deep": {"1": 2}}
    assert json.loads(rows[0]["meta"]) == told and rows[0]["text"] == "text\x00\u2028"
    assert json.loads(rows[1]["meta"]) == {"half": "\ud800"}
    assert (
        pq.read_table(tmp_path / "out" / "bad" / f"{part.name}.parquet").to_pylist()[0]["where"] == "/data/\\udcff.txt"
    )
    with pytest.raises(AssertionError, match="not declared"), PartWriter(tmp_path / "out", part) as out:
        out.keep(Document("a:0", "text", "a"), score=1.0)


def test_counts_add_up() -> None:
    assert add_counts([{"a": 1, "b": {"c": 1.5}}, {"a": 2, "b": {"d": 1}}]) == {"a": 3, "b": {"c": 1.5, "d": 1}}
