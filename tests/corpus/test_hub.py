"""Data sets through the real package ``datasets``: folders here, as tests have no network."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speciate.corpus.steps.engine import Engine
from speciate.corpus.steps.parts import Part, cut, read_part
from speciate.corpus.steps.text_folder import PartWriter, run_step
from speciate.errors import UserError

pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files for training, one of them a table, and one for testing."""
    found = tmp_path / "set"
    found.mkdir()
    for number in range(3):
        rows = [{"text": f"text {number} {row}", "row": row} for row in range(5)]
        with gzip.open(found / f"train-{number}.jsonl.gz", "wt") as file:
            file.write("\n".join(map(json.dumps, rows)))
    (found / "test.jsonl").write_text('{"text": "for testing", "row": 0}\n{"text": "", "row": 1}\n')
    return found


def copy_part(part: Part, out: Path) -> dict[str, object]:
    with PartWriter(out, part) as writer:
        for document in read_part(part, writer.bad):
            writer.keep(document)
    return writer.counts()


def test_a_folder_by_path_is_streamed_with_its_splits(folder: Path) -> None:
    parts = cut(f"hf:{folder}")
    found = [document for part in parts for document in read_part(part)]
    assert {d.text for d in found} == {f"text {n} {row}" for n in range(3) for row in range(5)}
    assert found[0].meta == {"row": 0} and len({d.id for d in found}) == 15
    bad: list[object] = []
    tested = [d for part in cut(f"hf:{folder}:test") for d in read_part(part, bad)]  # type: ignore[arg-type]
    assert [d.text for d in tested] == ["for testing"] and len(bad) == 1
    again = [d.id for part in cut(f"hf:{folder}") for d in read_part(part)]
    assert again == [d.id for d in found]


def test_a_table_and_another_column(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table({"body": ["a", "b"], "text": [None, None]}), tmp_path / "set" / "train.parquet")
    parts = cut(f"hf:{tmp_path}/set", text_field="body")
    assert [d.text for part in parts for d in read_part(part)] == ["a", "b"]
    with pytest.raises(UserError, match="no column 'other'"):
        list(read_part(cut(f"hf:{tmp_path}/set", text_field="other")[0]))


def test_what_cannot_be_opened_is_told(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        cut(f"hf:{tmp_path}/absent")
    with pytest.raises(UserError, match="cannot be opened"):
        cut(f"hf:{folder}:validation")


def test_a_step_reads_it_as_any_text(tmp_path: Path, folder: Path) -> None:
    report = run_step("copy", copy_part, cut([f"hf:{folder}", f"hf:{folder}:test"]), tmp_path / "out", {}, Engine(),
                      most_bad=None)  # fmt: skip
    assert report["kept"] == 16 and report["bad"] == {"empty": 1}
    assert pq.read_table(tmp_path / "out" / "kept").num_rows == 16
