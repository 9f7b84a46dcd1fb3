"""A table is read as it was meant, or refused with everything that is wrong; missing stays missing."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.columns import Column, column_of
from speciate.runs.table import BY_NAME, COLUMNS, read_table, row_digests, rows_digest
from speciate.storage import digest

DATA = Path(__file__).parents[3] / "shared" / "data"


def problems_of(source: Any, **options: Any) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_table(source, **options)
    return [str(problem) for problem in caught.value.problems]


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_types_and_missing_values(tmp_path: Path) -> None:
    text = "seed,loss,run,tokens,params\n1, 3.5 ,a, ,1e6\n,NA,,5,+2.5E6\n"
    table = read_table(csv(tmp_path, text))
    assert list(table.columns) == ["run", "trunk", "params", "tokens", "loss", "seed"]
    assert [str(dtype) for dtype in table.dtypes] == ["str", "str", "float64", "float64", "float64", "Int64"]
    assert json.loads(table.to_json(orient="records")) == [
        {"run": "a", "trunk": "a", "params": 1e6, "tokens": None, "loss": 3.5, "seed": 1},
        {"run": None, "trunk": None, "params": 2.5e6, "tokens": 5.0, "loss": None, "seed": None},
    ]


def test_trunk_is_the_run_where_it_is_not_given() -> None:
    frame = pd.DataFrame({"run": [1, 2, 3], "trunk": ["t", "", None]})
    assert read_table(frame)["trunk"].tolist() == ["t", "2", "3"]
    assert frame["run"].tolist() == [1, 2, 3] and frame["trunk"].isna().tolist() == [False, False, True]
    assert "trunk" not in read_table(pd.DataFrame({"loss": [1.0]}))


def test_columns_are_mapped(tmp_path: Path) -> None:
    table = read_table(csv(tmp_path, "N,D\n1,2\n"), {"params": "N", "tokens": "D"}, require=("params", "tokens"))
    assert table.to_dict("records") == [{"params": 1.0, "tokens": 2.0}]


def test_every_problem_at_once(tmp_path: Path) -> None:
    text = "params,tokens,tokns,domain_ratio,accuracy,seed,perplexity\n"
    text += "0,-5,1,1.5,0.5,1.5,1\n1e30,-6,1,30,nan,x,0.5\n-1,-7,1,0.5,inf,,1\n2,-8,1,0,-1e400,3,true\n"
    assert [p.removeprefix(f"{tmp_path}/x.csv: ") for p in problems_of(csv(tmp_path, text), require=["loss"])] == [
        "unknown column 'tokns'; did you mean 'tokens'? rename it, map it with --columns tokens=tokns, or remove it",
        "no column 'loss'; add it (cross-entropy, nats per token) or map yours with --columns loss=YOURS",
        "params is 0 at rows 1 and 3; use a positive number, or leave it empty",
        "tokens is -5 at rows 1, 2, 3 and 1 more; use a number of at least 0, or leave it empty",
        "domain_ratio is 1.5 at rows 1 and 2; use a number between 0 and 1 (30 % is 0.3), or leave it empty",
        "perplexity is 0.5 at rows 2 and 4; use a number of at least 1, or leave it empty",
        "accuracy is nan at rows 2, 3 and 4; use a number between 0 and 1 (30 % is 0.3), or leave it empty",
        "seed is 1.5 at rows 1 and 2; use a whole number, or leave it empty",
    ]


def test_required_values_must_be_there_on_every_row(tmp_path: Path) -> None:
    text = problems_of(csv(tmp_path, "params,loss\n1,\n2,3\n,null\n"), require=("params", "loss"))
    assert "params is missing at row 3; give a positive number, or drop the row" in text[0]
    assert "loss is missing at rows 1 and 3" in text[1]
    assert problems_of(pd.DataFrame({"run": ["a", " "]}), require=["run"]) == [
        "the table: run is missing at row 2; give text, or drop the row"
    ]


def test_no_rows(tmp_path: Path) -> None:
    for source in (csv(tmp_path, "params,loss\n"), pd.DataFrame(), pd.DataFrame({"loss": []})):
        assert "has no rows" in problems_of(source)[-1]


def test_columns_of_another_kind() -> None:
    frame = pd.DataFrame({"loss": [True], "run": pd.to_datetime(["2026-01-01"]), "params": [[1]], "tokens": [1 + 2j]})
    texts = problems_of(frame)
    expected = ["run holds timestamp", "params holds list", "tokens is (1+2j) at row 1", "loss holds bool"]
    assert len(texts) == 4 and all(part in text for part, text in zip(expected, texts, strict=True))


def test_parquet_tells_nan_from_null(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(pa.table({"loss": [1.0, None]}), path)
    assert math.isnan(read_table(path)["loss"][1])
    pa.parquet.write_table(pa.table({"loss": [1.0, math.nan]}), path)
    assert "loss is nan at row 2" in problems_of(path)[0]


def test_thousands_of_columns(tmp_path: Path) -> None:
    text = ",".join(f"column {i}" for i in range(5000)) + "\n" + ",".join("1" for _ in range(5000)) + "\n"
    assert "4,980 more unknown columns" in problems_of(csv(tmp_path, text))[-1]


def test_shares_stand_by_name_after_the_domain_ratio(tmp_path: Path) -> None:
    text = "loss,share_web,LAW,domain_ratio,start_loss\n2,0.5,0.5000005,0.5,3\n2,1,,,\n2,0,0,0,\n"
    table = read_table(csv(tmp_path, text), {"share_law": "LAW"}, require=["share_web"])
    assert list(table.columns) == ["domain_ratio", "share_law", "share_web", "loss", "start_loss"]
    assert table["share_law"].tolist()[::2] == [0.5000005, 0.0] and table["share_law"].isna()[1]
    assert list(read_table(pd.DataFrame({"share_b": [0.1], "share_a": [0.2]}))) == ["share_a", "share_b"]


def test_shares_of_a_row_sum_to_one_at_most(tmp_path: Path) -> None:
    text = "share_a,share_b,share_c\n.5,.5,\n.5,.6,\n.5,.5,.000002\n1,,1\n0.2,0.2,0.2\n"
    assert problems_of(csv(tmp_path, text)) == [
        f"{tmp_path}/x.csv: the shares share_a, share_b, share_c sum to 1.1 at rows 2, 3 and 4; "
        "the shares of one mixture sum to 1 at most (30 % is 0.3)"
    ]
    percent = problems_of(pd.DataFrame({"share_a": [30.0], "share_b": [0.9], "share_c": [0.9]}))
    assert len(percent) == 1 and "share_a is 30.0 at row 1; use a number between 0 and 1" in percent[0]
    many = pd.DataFrame({f"share_{i:03}": [0.01] for i in range(200)})
    assert "share_005 and 194 more sum to 2 at row 1" in problems_of(many)[0]
    assert "unknown column 'share_a;share_b'" in problems_of(csv(tmp_path, "share_a;share_b\n1;0\n"))[0]


def test_digests_know_the_shares_and_not_their_order() -> None:
    frame = pd.DataFrame({"share_b": [0.25], "loss": [3.5], "share_a": [0.75], "start_loss": [4.0]})
    expected = digest({"loss": 3.5, "share_a": 0.75, "share_b": 0.25, "start_loss": 4.0})[:16]
    assert row_digests(frame) == row_digests(read_table(frame)) == [expected]
    assert row_digests(frame.assign(share_c=0.0)) != [expected] == row_digests(frame.assign(share_c=[None]))


@pytest.mark.parametrize(
    ("name", "sound", "odd"),
    [
        ("unique_tokens", 0, -1), ("transferred_tokens", 0, -1), ("start_loss", 0.5, 0), ("sger", 1.6, 0),
        ("share_law", 0, -0.1),
    ],
)  # fmt: skip
def test_the_columns_of_the_later_laws(name: str, sound: float, odd: float) -> None:
    assert read_table(pd.DataFrame({name: [sound]}))[name].tolist() == [sound]
    assert f"{name} is {odd}" in problems_of(pd.DataFrame({name: [odd]}))[0]


def test_other_dtypes_of_a_frame() -> None:
    frame = pd.DataFrame(
        {
            "run": pd.Categorical(["a", "b"]),
            "params": pd.array([1, None], dtype="Int64"),
            "tokens": pd.array([1.5, None], dtype="float64[pyarrow]"),
            "loss": ["1.5", 2],
            "eval_on": [3.0, None],
        },
        index=[7, 7],
    )
    expected = [{"run": "a", "trunk": "a", "params": 1.0, "tokens": 1.5, "eval_on": "3", "loss": 1.5}]
    table = read_table(frame)
    assert table[:1].to_dict("records") == expected and table.index.tolist() == [0, 1]
    assert table.loc[1, ["params", "tokens", "eval_on"]].isna().all()


# Values of every kind, sound and odd, in known and unknown columns: an answer, or one UserError.
odd_cells = st.one_of(
    st.none(),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e30, -1, 0, 1.5, 2**70, "nan", "1_0", "", "é", "1e400", True]),
    st.floats(),
    st.text(max_size=5),
)
odd_tables = st.integers(0, 4).flatmap(
    lambda rows: st.dictionaries(
        st.sampled_from([*BY_NAME, "share_a", "share_b", "share_", "tokns", "", "N"]) | st.text(max_size=5),
        st.lists(odd_cells, min_size=rows, max_size=rows),
        max_size=6,
    )
)


def check(source: Any, rows: int) -> None:
    try:
        table = read_table(source)
    except UserError as error:
        assert error.problems and all(p.what and p.where and p.fix for p in error.problems)
        return
    assert len(table) == rows
    for column in map(column_of, table):
        assert column is not None
        if column.dtype != "text":
            values = table[column.name].to_numpy(dtype=float, na_value=math.nan)
            values = values[~np.isnan(values)]
            assert np.isfinite(values).all()
            assert column.low is None or (values >= column.low).all()
            assert column.high is None or (values <= column.high).all()
    assert table.filter(regex="^share_").sum(axis="columns").le(1 + 1e-6).all()
    assert len(row_digests(table)) == rows


@given(odd_tables)
@settings(deadline=None)
def test_any_frame_is_read_or_refused(columns: dict[str, list[Any]]) -> None:
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    check(frame, len(frame))


@given(odd_tables)
@settings(deadline=None)
def test_any_csv_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, columns: dict[str, list[Any]]) -> None:
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    path = tmp_path_factory.getbasetemp() / "odd.csv"
    try:
        path.write_bytes(frame.to_csv(index=False).encode())
    except UnicodeEncodeError:
        return
    try:
        read = len(read_table(path))
    except UserError:
        return
    assert read <= len(frame)  # a line of one empty cell is a blank line


def _cells(dtype: str, low: float | None, high: float | None) -> st.SearchStrategy[Any]:
    if dtype == "text":
        return st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
    if dtype == "integer":
        return st.none() | st.integers(1, 2**53 - 1)
    least = 1 if low == 1 else 1e-30
    return st.none() | st.floats(least, high or 1e30).map(lambda v: v or 1.0)


SHARES = [Column(f"share_{name}", "", "number", "", 0, 0.5) for name in "ab"]
sound_rows = st.lists(
    st.fixed_dictionaries({}, optional={c.name: _cells(c.dtype, c.low, c.high) for c in (*COLUMNS, *SHARES)}),
    min_size=1,
    max_size=4,
)


@given(sound_rows, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_digests_survive_files_and_orders(rows: list[dict[str, Any]], random: Any) -> None:
    frame = pd.DataFrame(rows)
    if not len(frame.columns):
        return
    table = read_table(frame)
    expected = row_digests(table)
    assert row_digests(read_table(table)) == expected
    shuffled = table[random.sample(list(table.columns), len(table.columns))]
    assert row_digests(shuffled) == expected
    assert rows_digest(shuffled[::-1]) == rows_digest(table)

    buffer = io.BytesIO(shuffled.to_parquet(index=False))
    assert row_digests(read_table(pd.read_parquet(buffer))) == expected
    assert row_digests(read_table(pa.parquet.read_table(buffer).to_pandas())) == expected


@given(rows=sound_rows)
@settings(deadline=None, max_examples=30)
def test_digests_survive_csv(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame([{"run": "r", "loss": 1.0, **{k: v for k, v in row.items() if v is not None}} for row in rows])
    table = read_table(frame)
    path = tmp_path_factory.getbasetemp() / "sound.csv"
    table.to_csv(path, index=False, encoding="utf-8")
    assert row_digests(read_table(path)) == row_digests(table)


def test_a_row_digest_is_that_of_its_json() -> None:
    frame = pd.DataFrame({"run": ["é"], "trunk": ["é"], "loss": [3.25], "seed": [1], "tokens": [None]})
    expected = digest({"run": "é", "loss": 3.25, "seed": 1.0})[:16]
    assert row_digests(frame) == row_digests(read_table(frame)) == [expected]
    assert row_digests(frame.assign(trunk="t")) == [digest({"run": "é", "trunk": "t", "loss": 3.25, "seed": 1.0})[:16]]
    assert rows_digest(frame) == digest([expected])


def test_rows_digest_counts_repeats() -> None:
    once = pd.DataFrame({"loss": [1.0, 2.0]})
    assert rows_digest(pd.concat([once, once[:1]])) != rows_digest(once) != rows_digest(once[:1])


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")
def test_real_tables() -> None:
    points = read_table(DATA / "chinchilla_points.csv", require=("params", "tokens", "loss"))
    assert len(points) == 245 and list(points.columns) == ["params", "tokens", "loss", "flops"]
    assert any("unknown column 'ratio'" in text for text in problems_of(DATA / "cmr_table2.csv"))
