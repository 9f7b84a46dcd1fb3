from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
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


def test_a_condition_may_speak_of_any_name_and_any_text() -> None:
    runs = ["small, second", "large", "a=b", "it's"]
    table = pd.DataFrame({"run": runs, "share_us-law": [0.1, 0.2, 0.3, 0.4]})
    assert matching(table, 'run=="small, second", share_us-law<.3', "where").tolist() == [True, False, False, False]
    assert matching(table, "run == 'large'", "where").tolist() == [False, True, False, False]
    assert matching(table, "run!=a=b", "where").tolist() == [True, True, False, True]
    assert matching(table, "run=it's", "where").tolist() == [False, False, False, True]


@pytest.mark.parametrize("text", ["tokens>1 and tokens<9", "1<tokens<9", "tokens=>1", "tokens>", "1<tokens", ",", "x"])
def test_what_cannot_be_read_is_said_with_how_to_write_it(text: str) -> None:
    with pytest.raises(UserError, match="cannot read .*several with commas between them"):
        matching(TABLE, text, "where")


def test_text_has_no_order() -> None:
    with pytest.raises(UserError, match="eval_on holds text, which has no order; write eval_on=="):
        matching(TABLE, "eval_on>law", "where")


def test_conditions_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="no row has tokens>1e12"):
        choose(LAW, TABLE, None, "tokens>1e12", None)
    with pytest.raises(UserError, match="holds all rows out"):
        choose(LAW, TABLE, None, None, "tokens>=0")


def test_another_output_has_its_own_unit() -> None:
    law = choose(LAWS["mixture-domain"], TABLE.assign(bits_per_byte=1.0), None, None, None, "bits_per_byte").law
    assert {parameter.unit for parameter in law.parameters} & {"bits/byte", "nats/token"} == {"bits/byte"}
    assert law.formula.startswith("bits_per_byte = ")


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


def test_a_law_of_shares_is_made_for_the_domains_of_the_table() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1, 1], 20)
    table = pd.DataFrame(shares, columns=["share_web", "share_code", "share_law"]).assign(loss=3 - shares[:, 1])
    chosen = choose(LAWS["mixing"], table, None, None, None)
    assert chosen.law.domains == ("web", "code", "law") and "w_web" in chosen.law.names
    with pytest.raises(UserError, match="0 columns share_NAME"):
        choose(LAWS["mixing"], table[["loss"]], None, None, None)
    many = pd.DataFrame({f"share_{i}": [0.01] * 3 for i in range(99)}).assign(loss=3.0)
    with pytest.raises(UserError, match="at most 50"):
        choose(LAWS["mixing"], many, None, None, None)


def test_a_law_of_losses_can_be_fitted_to_bits_per_byte_but_not_to_accuracy() -> None:
    table = TABLE.rename(columns={"loss": "bits_per_byte"})
    assert choose(LAW, table, None, None, None, "bits_per_byte").law.output == "bits_per_byte"
    with pytest.raises(UserError, match="no law of 'accuracy'"):
        choose(LAW, TABLE, None, None, None, "accuracy")


def test_flops_and_the_starting_loss_follow_from_other_columns() -> None:
    ladder = pd.DataFrame({"params": [1e8, 2e8, 4e8], "tokens": [2e9, 4e9, 8e9], "loss": [3.5, 3.2, 3.0]})
    chosen = choose(LAWS["loss-compute"], ladder, None, None, None)
    np.testing.assert_allclose(chosen.fitted["flops"], 6 * ladder["params"] * ladder["tokens"])
    assert chosen.notes == ("flops were taken as 6 params tokens",)
    runs = pd.DataFrame(
        [
            (n, t, r, start + t / 1e9 * r)
            for n, start in ((1e8, 3.0), (4e8, 2.5))
            for r in (0.5, 0.9)
            for t in (0, 1e8, 4e8)
        ],
        columns=["params", "tokens", "domain_ratio", "loss"],
    )
    chosen = choose(LAWS["forgetting"], runs, None, None, None)
    assert chosen.left_out == {"tokens is 0": 4} and set(chosen.fitted["start_loss"]) == {3.0, 2.5}
    assert "rows of 0 tokens" in chosen.notes[0]
    named_in_part = runs.assign(trunk=["a", None] * 6, eval_on="general")
    assert set(choose(LAWS["forgetting"], named_in_part, None, None, None).fitted["start_loss"]) == {3.0, 2.5}


def test_accuracies_near_chance_are_left_out_and_alone_are_not_decidable() -> None:
    flops = np.geomspace(1e19, 1e22, 8)
    table = pd.DataFrame({"flops": flops, "chance": 0.25, "accuracy": [0.26, 0.28, 0.31, 0.4, 0.5, 0.6, 0.7, 0.75]})
    assert choose(LAWS["accuracy-compute"], table, None, None, None).left_out == {"accuracy is not 5 % above chance": 2}
    with pytest.raises(NotDecidable, match="left out: 8 where accuracy is not 5 % above chance"):
        choose(LAWS["accuracy-compute"], table.assign(accuracy=0.26), None, None, None)


def test_shares_that_leave_a_rest_get_it_as_a_domain() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1, 1], 20)
    table = pd.DataFrame(shares[:, :2], columns=["share_web", "share_code"]).assign(loss=3 - shares[:, 1])
    chosen = choose(LAWS["mixing"], table, None, None, None)
    assert chosen.law.domains == ("web", "code", "rest") and "share_rest" in chosen.notes[0]
    np.testing.assert_allclose(chosen.fitted["share_rest"], shares[:, 2])


def test_rows_where_the_law_has_no_value_are_left_out() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"params": 1e8, "seed_tokens": rng.uniform(1e9, 1e10, 20), "tokens": 1e9, "loss": 3.0})
    rows.loc[0, ["seed_tokens", "tokens"]] = 0.0
    rows.loc[:9, "params"] = 4e8
    rows.loc[5:, "tokens"] = 3e9
    assert choose(LAWS["split"], rows, None, None, None).left_out == {"the law has no value there": 1}
