"""Column names: the design's, the user's, and the nearest to a slip."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.columns import BY_NAME, COLUMNS, MANY, parse_columns, rename

DESIGN = (
    "run trunk params seed_tokens tokens domain_ratio train_on eval_on loss bits_per_byte perplexity accuracy chance "
    "flops samples stderr seed tokenizer eval_hash"
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
        assert set(parse_columns(text)) <= set(BY_NAME)
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
        "no column 'x' to read 'sed' from; name a column that the table has",
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
    assert len(problems) == 2 * (MANY + 1) + 1
    assert "2,980 more unknown columns" in "\n".join(map(str, problems))
