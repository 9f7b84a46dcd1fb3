"""Cutting a corpus into parts: nothing lost, nothing twice, the same documents whatever the cuts."""

from __future__ import annotations

import gzip
import json
import pickle
import random
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from speciate.corpus.reading.documents import LONGEST, Bad, Document
from speciate.corpus.steps.parts import Part, cut, describe, read_part
from speciate.errors import UserError


def everything(parts: list[Part]) -> tuple[list[Document], list[Bad]]:
    bad: list[Bad] = []
    return [document for part in parts for document in read_part(part, bad)], bad


def said(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        call()
    return str(error.value)


def mixed(folder: Path) -> Path:
    """Text of every kind, some of it bad, large enough to be cut at 50 kB."""
    lines = [json.dumps({"text": f"line {i} ünï " + "x" * (i % 300), "n": i}, ensure_ascii=False) for i in range(1500)]
    lines[700:700] = ["{oops", "", '{"text": "  "}', '{"body": 1}']
    folder.mkdir()
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "b.txt").write_text("one line of plain text\n" * 200_000, encoding="utf-8")
    rows = {
        "text": [f"row {i} " + random.Random(i).randbytes(60).hex() for i in range(3000)],
        "when": list(range(3000)),
    }
    pq.write_table(pa.table(rows), folder / "c.parquet", row_group_size=250)
    (folder / "d.jsonl.zst").write_bytes(zstandard.compress("\n".join(lines).encode()))
    (folder / "e.jsonl.gz").write_bytes(gzip.compress("\n".join(lines[:90]).encode()))
    for i in range(40):
        (folder / f"f{i:02}.md").write_text(f"small file {i}", encoding="utf-8")
    return folder


def test_documents_and_faults_do_not_depend_on_the_cuts(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in")
    whole, fine = cut(folder, 1e12), cut(folder, 50e3)
    assert len(whole) == 1 and len(fine) > 15
    documents, bad = everything(whole)
    again, bad_again = everything(fine)
    assert again == documents
    # Within a stretch a line is named by its byte, as its number would take reading what is before.
    assert [(b.id, b.reason, b.text) for b in bad_again] == [(b.id, b.reason, b.text) for b in bad]
    assert sorted({b.reason for b in bad}) == ["empty", "no text field", "not JSON"]
    assert len({document.id for document in documents}) == len(documents) == 1500 * 2 + 3000 + 90 + 40 + 5
    assert documents[1].meta == {"n": 1} and documents[1].source == "a.jsonl"


def test_parts_are_plain_data_with_sorted_distinct_names(tmp_path: Path) -> None:
    parts = cut(mixed(tmp_path / "in"), 50e3)
    names = [part.name for part in parts]
    assert names == sorted(set(names)) and names[:2] == ["00000-00000", "00000-00001"]
    assert [part.number for part in parts] == list(range(len(parts)))
    assert pickle.loads(pickle.dumps(parts)) == parts == cut(tmp_path / "in", 50e3)
    assert max(len(part.pieces) for part in parts) >= 10  # small files are put together
    sizes = [(tmp_path / "in" / name).stat().st_size for name in ("a.jsonl", "b.txt")]
    assert sum(p.weight for part in parts for p in part.pieces if p.source in ("a.jsonl", "b.txt")) == sum(sizes)


def test_the_description_of_an_input_changes_with_it(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in")
    before = describe(cut(folder))
    assert before == describe(cut(folder)) and before["files"] == 45
    assert describe(cut(folder, text_field="body"))["digest"] != before["digest"]
    (folder / "f00.md").write_text("another text", encoding="utf-8")
    assert describe(cut(folder))["digest"] != before["digest"]


def test_several_inputs_keep_their_names_apart(tmp_path: Path) -> None:
    for name in ("law", "code", "old/law"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.txt").write_text(name, encoding="utf-8")
    documents, _ = everything(cut([tmp_path / "law", tmp_path / "code"]))
    assert [d.id for d in documents] == ["law/a.txt:0", "code/a.txt:0"]
    message = said(lambda: cut([tmp_path / "law", tmp_path / "old" / "law", tmp_path / "no", tmp_path / "nor"]))
    for part in ("2 inputs are named law", f"{tmp_path}/no: no such file", f"{tmp_path}/nor: no such file"):
        assert part in message
    assert "no input" in said(lambda: cut([]))


def test_a_file_that_changes_or_goes_after_the_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")
    (part,) = cut(path)
    path.write_text("other text", encoding="utf-8")
    assert "changed since it was listed" in said(lambda: list(read_part(part)))
    path.unlink()
    assert "gone since it was listed" in said(lambda: list(read_part(part)))


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet", "a.arrow"])
@pytest.mark.parametrize("damage", ["cut", "other", "bytes"])
def test_what_is_left_of_a_damaged_file_is_read_and_the_loss_told(tmp_path: Path, name: str, damage: str) -> None:
    rng = random.Random(0)
    texts = [f"{i} " + rng.randbytes(40).hex() for i in range(4000)]
    data = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    path, table = tmp_path / name, pa.table({"text": texts})
    if name.endswith("parquet"):
        pq.write_table(table, path, row_group_size=500)
    elif name.endswith("arrow"):
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=500)
    else:
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else zstandard.compress(data))
    good = path.read_bytes()
    middle = len(good) // 2
    broken = {"cut": good[: len(good) * 3 // 4], "other": b"\x00\x01nothing of the kind" * 99,
              "bytes": good[:middle] + bytes(3000) + good[middle + 3000 :]}  # fmt: skip
    path.write_bytes(broken[damage])
    documents, bad = everything(cut(path))
    kept = [document.text for document in documents]
    lost = [b for b in bad if b.reason == "damaged file"]
    if name == "a.arrow" and damage == "bytes" and not lost:  # a stream has no check sums: rows are there, or bad
        assert len(kept) + len(bad) == 4000
        return
    assert lost and "truncated or damaged" in lost[0].detail
    assert lost[0].size > 0 or damage != "other"  # of a file that ends too early nobody knows how much is missing
    wrong = set(kept) - set(texts)  # gzip's only check sum is at the end: text after the damage may be wrong
    assert len(kept) - len(wrong) < 4000 and (not wrong or (name == "a.jsonl.gz" and damage == "bytes"))
    if damage != "other" and not (name == "a.parquet" and damage == "cut"):  # its index is at the end
        assert len(kept) > 1000


def test_a_line_of_a_gigabyte_takes_no_memory_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    size = 1 << 30
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    with path.open("wb") as file:
        file.write(compressor.compress(b'{"text": "before"}\n{"text": "'))
        for _ in range(size >> 24):
            file.write(compressor.compress(b"x" * (1 << 24)))
        file.write(compressor.compress(b'"}\n{"text": "after"}\n') + compressor.flush())
    before = psutil.Process().memory_info().rss
    bad: list[Bad] = []
    texts, most = [], 0
    for document in read_part(cut(path)[0], bad):
        texts.append(document.text)
        most = max(most, psutil.Process().memory_info().rss - before)
    assert texts == ["before", "after"]
    assert [b.reason for b in bad] == ["too long"] and bad[0].size > size and len(bad[0].text) == 1000
    assert most < 4 * LONGEST


def test_odd_bytes_are_read_or_counted(tmp_path: Path) -> None:
    (tmp_path / "controls.txt").write_bytes(b"a\x00b\x07c\x1b[0m\x85" + "é".encode())
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "ok"}\n{"text": "gr\xfc\xdfe"}\n{"text": "after"}\n')
    (tmp_path / "mac.txt").write_bytes(b"one\rtwo\rthree")
    (tmp_path / "nul.jsonl").write_bytes(b'{"text": "a\\u0000b"}\n\x00\x00\x00\n')
    (tmp_path / "nan.jsonl").write_bytes(b'{"text": "t", "score": NaN}\n')
    (tmp_path / "utf16.txt").write_bytes("in Windows' own spelling".encode("utf-16"))
    (tmp_path / "utf16.jsonl").write_bytes('{"text": "wide ü"}\n{"text": "two"}\n'.encode("utf-16"))
    documents, bad = everything(cut(tmp_path))
    texts = [document.text for document in documents]
    assert {"ok", "after", "one\rtwo\rthree", "a\x00b", "in Windows' own spelling", "wide ü", "two", "t"} == set(texts)
    assert [(Path(b.source).name, b.reason) for b in bad] == [
        ("controls.txt", "not UTF-8"),
        ("latin.jsonl", "not UTF-8"),
        ("nul.jsonl", "not JSON"),
    ]


def test_a_folder_of_many_files_is_cut_and_described_quickly(tmp_path: Path) -> None:
    for i in range(10_000):
        folder = tmp_path / f"{i % 50:02}"
        if i < 50:
            folder.mkdir()
        (folder / f"{i}.txt").write_bytes(b"text %d" % i)
    start = time.process_time()
    parts = cut(tmp_path)
    describe(parts)
    assert time.process_time() - start < 2  # .15 s measured
    assert 2 <= len(parts) <= 4 and sum(1 for part in parts for _ in read_part(part)) == 10_000


def test_a_data_set_of_the_hub_is_read_by_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the interface of ``datasets``, as tests have no network."""

    class Rows(list[dict[str, object]]):
        num_shards = 3

        def shard(self, num_shards: int, index: int) -> Rows:
            return Rows(self[index::num_shards])

    rows = Rows({"text": f"t{i}" if i != 4 else None, "label": i} for i in range(9))
    module = types.ModuleType("datasets")
    asked = []

    def load_dataset(path: str, name: str | None, split: str, streaming: bool) -> Rows:
        asked.append((path, name, split, streaming))
        if path == "gone":
            raise FileNotFoundError("Dataset 'gone' doesn't exist on the Hub")
        return rows

    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    parts = cut("hf:org/set@v1:test")
    documents, bad = everything(parts)
    assert {d.text for d in documents} == {f"t{i}" for i in range(9) if i != 4}
    assert len({d.id for d in documents}) == 8 and documents[0].meta == {"label": 0}
    assert [b.reason for b in bad] == ["text is no string"]
    assert set(asked) == {("org/set", "v1", "test", True)}
    assert describe(parts)["files"] == 1
    assert "doesn't exist on the Hub" in said(lambda: cut("hf:gone"))
    assert "no column 'text'" in said(lambda: everything(cut("hf:org/set", text_field="body"))).replace("body", "text")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install datasets" in said(lambda: cut("hf:org/set"))
