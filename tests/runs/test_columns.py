"""Column names: the design's, the user's, and the nearest to a slip."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.columns import COLUMNS, MANY, column_of, nearest, parse_columns, rename

DESIGN = (
    "run trunk params seed_tokens tokens unique_tokens transferred_tokens domain_ratio train_on eval_on loss "
    "start_loss bits_per_byte perplexity accuracy chance flops sger samples stderr seed tokenizer eval_hash"
)


def test_the_columns_are_those_of_the_design() -> None:
    assert [column.name for column in COLUMNS] == DESIGN.split()
    assert {column.dtype for column in COLUMNS} == {"text", "number", "integer"}
    assert all(column.meaning and column.bounds for column in COLUMNS)


def test_parse_columns() -> None:
    assert parse_columns("params=N, tokens = D ,loss=val loss") == {"params": "N", "tokens": "D", "loss": "val loss"}
    assert parse_columns(None) == parse_columns("") == parse_columns(" ") == {}
    assert parse_columns("params=a=b") == {"params": "a=b"}


def test_parse_columns_names_every_problem() -> None:
    with pytest.raises(UserError) as caught:
        parse_columns("N,=D,params=,params=n,params=m,tokns=d,loss=n")
    text = str(caught.value)
    assert len(caught.value.problems) == 6
    expected = ["'N' is no pair", "'=D'", "'params='", "'params' is given twice", "did you mean 'tokens'?"]
    assert [part for part in [*expected, "'n' is mapped to params and loss"] if part not in text] == []


@given(st.text())
@settings(deadline=None)
def test_parse_columns_answers_or_explains(text: str) -> None:
    try:
        assert all(column_of(name) for name in parse_columns(text))
    except UserError as error:
        assert all(problem.where == "--columns" for problem in error.problems)


def test_rename() -> None:
    assert rename([" N", "\ufefftokens "], {"params": "N"}, ["params", "tokens"], "x.csv") == (["params", "tokens"], [])


def test_rename_names_every_problem() -> None:
    names = ["tokns", "loss", "loss", "val loss", "a;b", "params"]
    mapping = {"perplexity": "val_loss", "params": "tokns", "tokens": "tokns", "sed": "x"}
    _, problems = rename(names, mapping, ["flops", "tokens"], "x.csv")
    text = "\n".join(map(str, problems))
    expected = [
        "no column 'sed' is known to map to; did you mean 'seed'?",
        "'tokns' is mapped to params and tokens",
        "no column 'val_loss' to read 'perplexity' from; did you mean 'val loss'?",
        "no column 'x' to read 'sed' from; the table has 'tokns', 'loss', 'loss', 'val loss', 'a;b', 'params'",
        "'params' is both a column and mapped from 'tokns'",
        "column 'loss' appears 2 times",
        "unknown column 'val loss'",
        "unknown column 'a;b'; separate columns with commas",
        "no column 'flops'; add it (FLOPs of this stage, FLOPs) or map yours with --columns flops=YOURS",
    ]
    assert [part for part in expected if part not in text] == []


def test_the_fields_short_names_are_understood() -> None:
    _, problems = rename(["N", ""], {}, [], "x.csv")
    assert str(problems[0]).endswith("did you mean 'params'? rename it, map it with --columns params=N, or remove it")
    assert str(problems[1]) == "x.csv: a column has no name; name it, or remove it"


def test_thousands_of_unknown_columns_are_counted() -> None:
    _, problems = rename([f"c{i}" for i in range(3000)] * 2, {}, ["loss"], "x.csv")
    assert len(problems) == MANY + 1 + 2 + 1  # repeated ones; the unknown in one, and how many more; the missing one
    assert "2,980 more unknown columns" in "\n".join(map(str, problems))


def test_columns_that_resemble_none_are_told_together() -> None:
    _, problems = rename(["subset", "width", "step", "run_name", "N, total"], {}, [], "x.csv")
    assert [problem.what for problem in problems] == ["unknown column 'run_name'", "unknown columns 'subset', 'width', "
                                                      "'step', 'N, total'"]  # fmt: skip
    assert "map it with --columns run=run_name" in problems[0].fix and "remove them, or map them" in problems[1].fix


def test_a_name_with_a_comma_stands_in_quotes() -> None:
    assert parse_columns('params="N, total",loss=val=loss ✓') == {"params": "N, total", "loss": "val=loss ✓"}
    _, problems = rename(["loss, mean"], parse_columns('loss="loss, mean"'), ["loss"], "x.csv")
    assert problems == []
    _, problems = rename(["tokens,"], {}, [], "x.csv")
    assert """--columns 'tokens="tokens,"'""" in problems[0].fix


def test_any_domain_has_a_share_column() -> None:
    share = column_of("share_law_us")
    assert share is not None and (share.dtype, share.low, share.high) == ("number", 0, 1)
    assert "law_us" in share.meaning
    assert column_of("share_código.v2-a") is not None
    for name in (
        "share_",
        "share",
        "share_a b",
        "share_a;share_b",
        "share_a\tb",
        "share_a,b",
        "share_a=b",
        "Share_law",
    ):
        assert column_of(name) is None, name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("share law", "share_law"), ("law_share", "share_law"), ("Share-Law", "share_law"), ("law share", "share_law"),
        ("shares_law", "share_law"), ("share_law us", "share_law_us"), ("law/us share", "share_law_us"),
        ("domain_share", "domain_ratio"), ("U", "unique_tokens"), ("unique tokens", "unique_tokens"),
        ("startloss", "start_loss"), ("tranferred_tokens", "transferred_tokens"), ("SGER", "sger"),
    ],
)  # fmt: skip
def test_the_nearest_name(typed: str, meant: str) -> None:
    assert nearest(typed) == meant
    _, problems = rename([typed], {}, [], "x.csv")
    assert f"did you mean {meant!r}?" in str(problems[0])


def test_shares_are_mapped_and_required() -> None:
    assert parse_columns("share_law=LAW") == {"share_law": "LAW"}
    with pytest.raises(UserError, match="did you mean 'share_law'"):
        parse_columns("law share=LAW")
    assert rename(["LAW"], {"share_law": "LAW"}, ["share_law"], "x.csv") == (["share_law"], [])
    _, problems = rename(["loss"], {}, ["share_law"], "x.csv")
    assert "no column 'share_law'; add it (share of law in this stage's mixture, 0..1)" in str(problems[0])


@given(st.text(max_size=12).map("share{}".format))
def test_no_name_is_too_odd(name: str) -> None:
    meant = nearest(name)
    assert meant is None or column_of(meant) is not None
