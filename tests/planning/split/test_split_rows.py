from __future__ import annotations

import pandas as pd
import pytest

from speciate.errors import UserError
from speciate.planning.split.rows import domains_named, of_domain, of_number


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "train_on": ["web", "web/4", "web/16", "web/16", "odd"],
            "tokens": [0.0, 1e9, 1e9, 2e9, 1e9],
        }
    )


def test_rows_of_one_number_of_domains_and_the_seeds() -> None:
    found, notes = of_number(table(), 16, several=True)
    assert found["train_on"].tolist() == ["web", "web/16", "web/16"]  # "odd" is an expert that does not say its number
    assert notes == ("2 rows of other numbers of domains were left out",)
    with pytest.raises(UserError, match="no train_on ends in /8"):
        of_number(table(), 8, several=False)


def test_rows_that_do_not_say_their_number_are_of_the_one_asked() -> None:
    silent = table().assign(train_on="web")
    assert of_number(silent, 8, several=False)[0] is silent
    assert len(of_number(silent.drop(columns="train_on"), 8, several=False)[0]) == 5
    with pytest.raises(UserError, match="web/16"):
        of_number(silent, 8, several=True)


def test_domains_by_evaluation_set() -> None:
    rows = pd.DataFrame({"eval_on": ["law", "code", "law", None], "params": [1.0, 1.0, 2.0, 2.0]})
    assert domains_named(rows, None, (), None) == {"code": 0.5, "law": 0.5}
    assert domains_named(rows, None, (), {"law": 3, "code": 1}) == {"law": 0.75, "code": 0.25}
    assert domains_named(rows, "params==2", (16,), None) is None  # one evaluation set speaks for all domains
    assert domains_named(rows.drop(columns="eval_on"), None, (16,), None) is None
    with pytest.raises(UserError, match="2 evaluation sets, 16 domains"):
        domains_named(rows, None, (16,), None)
    with pytest.raises(UserError, match="'math'"):
        domains_named(rows, None, (), {"math": 1, "law": 1})


def test_only_a_domains_own_expert_speaks_of_it() -> None:
    rows = pd.DataFrame(
        {
            "train_on": ["mix", "law", "code", "law"],
            "tokens": [0.0, 1e9, 1e9, 1e9],
            "eval_on": ["law", "law", "law", "code"],
        }
    )
    found, notes = of_domain(rows, "law")
    assert found.index.tolist() == [0, 1, 3] and notes == ("1 rows of other domains' experts were left out",)
    unnamed = rows.assign(train_on="mix")
    assert len(of_domain(unnamed, "law")[0]) == 4
