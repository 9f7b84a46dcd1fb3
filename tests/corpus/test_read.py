"""Readers: the same text from every kind of file, in constant memory, and every fault named."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.corpus.reading.documents import Piece
from speciate.corpus.reading.parse import records
from speciate.corpus.reading.read import list_files, read_documents, read_file
from speciate.errors import UserError

TEXTS = ["first ünïcode\nline two", "second", "third \u2028 separator", "  ", "fourth\r\nline"]
KEPT = [text for text in TEXTS if text.strip()]


def jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts).encode()


def said(path: Path) -> str:
    with pytest.raises(UserError) as error:
        list(read_documents(path))
    return str(error.value)


def write(path: Path, texts: list[str]) -> Path:
    name = path.name
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), path, row_group_size=2)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(jsonl(texts)))
    elif name.endswith(".zst"):
        two = [zstandard.ZstdCompressor().compress(jsonl(part)) for part in (texts[:2], texts[2:])]
        path.write_bytes(b"".join(two))  # several frames, as parallel compressors write
    else:
        path.write_bytes(jsonl(texts))
    return path


KINDS = ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, TEXTS)
    assert [(d.text, d.source) for d in read_documents(path)] == [(t, name) for t in KEPT]


@pytest.mark.parametrize("name", KINDS[1:])
def test_truncated_files_are_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [str(i) * 50 for i in range(200)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 20])
    assert f"{path}: truncated or damaged" in said(path)


@pytest.mark.parametrize("name", KINDS[1:])
def test_files_of_another_kind_under_the_name_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"this is neither an archive nor a table" * 9)
    assert f"{path}: truncated or damaged" in said(path)


def test_a_folder_is_read_recursively_in_order_without_hidden_or_empty_files(tmp_path: Path) -> None:
    for name in ("b/deep/2.txt", "a/1.txt", ".hidden/3.txt", "a/.4.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    write(tmp_path / "z.parquet", ["in a table"])
    assert [d.source for d in read_documents(tmp_path)] == ["a/1.txt", "b/deep/2.txt", "z.parquet"]


def test_every_fault_of_a_folder_is_named_after_the_good_files(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_bytes("Grüße".encode("latin1"))
    (tmp_path / "2.jsonl").write_text('{"text": "ok"}\n{"txt": 1}\n[1]\n{"text": 3}\n{oops\n{"text": "\\ud800"}\n')
    (tmp_path / "3.txt").write_text("good", encoding="utf-8")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "4.parquet")
    pq.write_table(pa.table({"text": ["x", None]}), tmp_path / "5.parquet")
    texts = []
    with pytest.raises(UserError) as error:
        for document in read_documents(tmp_path):
            texts.append(document.text)
    assert texts == ["ok", "good", "x"]
    message = str(error.value)
    for part in (
        "1.txt: not UTF-8: byte 0xfc at offset 2",
        "2.jsonl line 2: no field 'text' (found 'txt')",
        "2.jsonl line 3: no field 'text' (found list)",
        "2.jsonl line 4: 'text' is int",
        "2.jsonl line 5: not JSON",
        "2.jsonl line 6: 'text' holds half a surrogate",
        "4.parquet: no column 'text' (found 'body')",
        "5.parquet row 1: 'text' is NoneType",
    ):
        assert part in message
    assert len(error.value.problems) == 8


@pytest.mark.parametrize("name", ("a.txt", *KINDS))
def test_an_empty_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert any(part in said(path) for part in ("empty", "truncated"))


def test_what_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    assert "no such file" in said(tmp_path / "no.txt")
    assert "nothing to read" in said(tmp_path)
    (tmp_path / "a.csv").write_text("x")
    assert "unknown kind, .csv" in said(tmp_path / "a.csv")
    with pytest.raises(UserError):
        list_files(tmp_path / "nothing")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_byte_offset_counts_from_the_start_of_the_file(tmp_path: Path, mark: bytes) -> None:
    text = mark + ("aé\n" * 500_000).encode()
    path = tmp_path / "a.txt"
    path.write_bytes(text + b"\xff" + text)
    assert f"byte 0xff at offset {len(text)}" in said(path)
    lines = mark + jsonl(["ok"] * 3)
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines + b'{"text": "\xff"}\n')
    assert f"byte 0xff at offset {len(lines) + 10}" in said(path)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), min_size=1, max_size=60), st.integers(4, 16))
def test_long_plain_text_is_cut_between_characters(
    tmp_path_factory: pytest.TempPathFactory, text: str, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("plain") / "a.txt"
    path.write_bytes(text.encode())
    found = list(records(Piece(str(path), "a.txt"), plain_bytes=chunk))
    offsets = [int(record.id.rpartition(":")[2]) for record in found]
    texts = {record.id: record.text for record in found}  # a blank piece shows its text too
    assert "".join(texts[record.id] for record in found) == text
    for offset in offsets:  # a part that begins at any cut gives the rest of the same pieces
        again = records(Piece(str(path), "a.txt", first=offset), plain_bytes=chunk)
        assert [record.id for record in again] == [record.id for record in found if int(record.id[6:]) >= offset]


@pytest.mark.parametrize("name", ("a.txt", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"))
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    def peak(documents: int) -> int:
        texts = [f"{i} " * 400 for i in range(documents)]
        path = tmp_path / name
        if name == "a.txt":
            path.write_text("\n".join(texts))
        elif name == "a.parquet":
            pq.write_table(pa.table({"text": texts}), path, row_group_size=200)
        else:
            write(path, texts)
        del texts
        tracemalloc.start()
        count(read_file, path)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    small, large = peak(1000), peak(6000)  # 2 and 14 MB
    assert large < small + 3e6


def count(reader: Callable[[Path], object], path: Path) -> int:
    return sum(1 for _ in reader(path))  # type: ignore[attr-defined]


def test_the_shared_corpora_are_read() -> None:
    path = Path(__file__).parents[2].parent / "shared" / "data" / "corpora" / "law_pt.jsonl.zst"
    if not path.exists():
        pytest.skip("the shared data folder is not beside this checkout")
    assert next(iter(read_documents(path))).text.startswith("I - ")
