from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.errors import UserError
from speciate.fitting.resample import clusters
from speciate.fitting.select import choose, listed, matching, named
from speciate.laws import LAWS

TABLE = pd.DataFrame(
    {
        "params": [1e6] * 6,
        "tokens": [0.0, 1e6, 2e6, 4e6, 8e6, 16e6],
        "loss": [3.0, 2.9, None, 2.7, 2.65, 2.6],
        "eval_on": ["law"] * 6,
    }
)
LAW = LAWS["mixture-domain"]


def test_conditions() -> None:
    assert matching(TABLE, "tokens >= 2e6, tokens<1e7", "where").tolist() == [False, False, True, True, True, False]
    assert matching(TABLE, "eval_on==law", "where").all() and not matching(TABLE, "eval_on!=law", "where").any()
    assert not matching(TABLE, "loss>1", "where")[2]  # missing is not a number


def test_every_bad_condition_is_named() -> None:
    with pytest.raises(UserError) as caught:
        matching(TABLE, "token>1, tokens, tokens>many", "holdout")
    text = str(caught.value)
    assert len(caught.value.problems) == 3 and "did you mean 'tokens'" in text and "'many' is not one" in text


def test_unusable_rows_are_left_out_and_counted() -> None:
    chosen = choose(LAW, TABLE, None, None, None)
    assert len(chosen.fitted) == 4 and chosen.left_out == {"loss is missing": 1, "tokens is 0": 1}
    assert chosen.eval_on == "law" and chosen.held_out is None


def test_several_evaluation_sets_need_a_choice() -> None:
    both = pd.concat([TABLE, TABLE.assign(eval_on="general")])
    with pytest.raises(UserError, match="general, law"):
        choose(LAW, both, None, None, None)
    assert len(choose(LAW, both, "general", None, None).fitted) == 4
    with pytest.raises(UserError, match="no row is evaluated on 'medicine'"):
        choose(LAW, both, "medicine", None, None)
    with pytest.raises(UserError, match="no column 'eval_on'"):
        choose(LAW, TABLE.drop(columns="eval_on"), "law", None, None)


def test_what_does_not_compare_is_refused_all_at_once() -> None:
    table = TABLE.assign(tokenizer=list("aaabbb"), eval_hash=list("xyxyxy"), domain_ratio=[0.1] * 3 + [0.2] * 3)
    with pytest.raises(UserError) as caught:
        choose(LAW, table, None, None, None)
    assert [problem.where for problem in caught.value.problems] == ["tokenizer", "eval_hash", "domain_ratio"]
    fine = choose(LAW, TABLE.assign(tokenizer=list("aabbbb")), None, "tokenizer==b", None)
    assert set(fine.fitted["tokenizer"]) == {"b"}


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(UserError) as caught:
        choose(LAWS["chinchilla"], pd.DataFrame({"N": [1.0]}), None, None, None)
    assert len(caught.value.problems) == 3 and "--columns" in str(caught.value)


def test_a_holdout_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="holds no rows out"):
        choose(LAW, TABLE, None, None, "tokens>1e12")


def test_laws_by_name() -> None:
    assert named("cmr") is LAWS["cmr"] and named(LAW) is LAW
    with pytest.raises(UserError, match="did you mean 'chinchilla'"):
        named("chinchila")


def test_clusters_default_to_rows() -> None:
    trunk, run = clusters(pd.DataFrame({"loss": [1.0, 2.0]}))
    assert len(set(run)) == 2 and (trunk == run).all()
    trunk, run = clusters(pd.DataFrame({"run": ["a", "a", None], "trunk": ["t", None, None]}))
    assert run[0] == run[1] != run[2] and trunk.tolist() == ["t", "a", run[2]]
    assert not np.any(trunk == "nan")


def test_listed() -> None:
    assert listed(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
