"""Files of every kind come in as columns, or are refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.load import load


def refused(source: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(source)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def write(tmp_path: Path, data: bytes, name: str = "x.csv") -> Path:
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.csv")
    assert "is a folder" in refused(tmp_path)
    assert "cannot be read" in refused(Path("a\0b.csv"))
    assert "is empty" in refused(write(tmp_path, b""))
    assert "is empty" in refused(write(tmp_path, b"\xef\xbb\xbf \n\n"))
    assert "not UTF-8 (byte 9: 0xe9)" in refused(write(tmp_path, "run\nabc\ndé".encode("latin-1")))
    assert "not UTF-8 (byte 0: 0xff)" in refused(write(tmp_path, "loss\n1\n".encode("utf-16")))
    assert "no readable Parquet" in refused(write(tmp_path, b"loss\n1\n", "x.parquet"))
    assert "no readable Parquet" in refused(write(tmp_path, b"", "x.parquet"))


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(pa.table({"loss": [1.0, 2.0]}), path)
    data = path.read_bytes()
    for length in (4, len(data) // 2, len(data) - 1):
        assert "truncated" in refused(write(tmp_path, data[:length], "cut"))


def test_parquet_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "table"
    pa.parquet.write_table(pa.table({"loss": [1.0, 2.0]}), path)
    names, columns = load(path)
    assert names == ["loss"] and columns[0].to_pylist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "data",
    [
        b"run,loss\nr,1.5\n",
        b"\xef\xbb\xbfrun,loss\nr,1.5\n",
        b"run,loss\r\nr,1.5",
        b"\n\nrun,loss\n\nr,1.5\n\n",
        b'"run","loss"\n"r","1.5"\n',
    ],
)
def test_spellings_of_one_csv(tmp_path: Path, data: bytes) -> None:
    names, columns = load(write(tmp_path, data))
    assert names == ["run", "loss"] and [column.to_pylist() for column in columns] == [["r"], ["1.5"]]


def test_header_only_quotes_and_repeated_names(tmp_path: Path) -> None:
    names, columns = load(write(tmp_path, b"run,loss"))
    assert names == ["run", "loss"] and len(columns[0]) == 0
    names, columns = load(write(tmp_path, b'run,run\n"a,\n""b""",2020-01-01\n'))
    assert names == ["run", "run"] and [column.to_pylist() for column in columns] == [['a,\n"b"'], ["2020-01-01"]]


def test_rows_of_unequal_length_are_numbered(tmp_path: Path) -> None:
    text = refused(write(tmp_path, b"run,loss\na,1\nb,1,2\nc,1\nd\n"))
    assert "3 cells at rows 2 and 4; give every row the header's 2" in text


def test_mixed_cells_of_a_frame_are_text() -> None:
    frame = pd.DataFrame({"loss": [1, "a", None, float("nan"), 2.5, pd.NA]}, dtype=object)
    assert load(frame)[1][0].to_pylist() == ["1", "a", None, None, "2.5", None]


@given(st.binary(max_size=200), st.sampled_from(["x.csv", "x.parquet"]))
@settings(deadline=None)
def test_any_bytes_load_or_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    try:
        names, columns = load(path)
        assert len(names) == len(columns)
    except UserError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("text", ['{"format": "speciate fit 2", "a": [1, 2]}', " [[1, 2], [3, 4]]"])
def test_json_is_no_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "fit.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="is JSON and no table; .* goes to speciate predict"):
        load(tmp_path / "fit.json")
