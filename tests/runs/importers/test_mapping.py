"""What the user says is read, what is usual is understood, and everything that is wrong is said at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.columns import column_of
from speciate.runs.importers.log import RunLog, Series, series_of
from speciate.runs.importers.mapping import HELPERS, Plan, parse_pairs, requested, resolve


def log(*metrics: str, **facts: str | float) -> RunLog:
    series: dict[str, Series] = {name: series_of([1.0], [2.0]) for name in metrics}
    return RunLog("r", "x", facts, series)


def plan(said: dict[str, str], *logs: RunLog, **constants: str | float) -> Plan:
    request, problems = requested(said, constants)
    assert not problems, problems
    return resolve(request, logs)


@pytest.mark.parametrize(
    ("name", "column", "eval_on"),
    [
        ("eval/loss", "loss", "eval"), ("eval_loss", "loss", "eval"), ("val-loss", "loss", "val"),
        ("Validation.Loss", "loss", "Validation"), ("eval/c4_loss", "loss", "c4"), ("eval_c4_en_loss", "loss", "c4_en"),
        ("eval/c4/en/loss", "loss", "c4/en"), ("loss/val", "loss", "val"), ("Loss/test", "loss", "test"),
        ("loss/val/c4", "loss", "c4"), ("eval/bpb", "bits_per_byte", "eval"),
        ("test_c4_bits_per_byte", "bits_per_byte", "c4"),
    ],
)  # fmt: skip
def test_usual_names_of_losses(name: str, column: str, eval_on: str) -> None:
    assert plan({}, log(name, "loss", "train/loss")).outcomes == {(column, eval_on): name}


@pytest.mark.parametrize(
    "name", ["loss", "train_loss", "train/loss", "eval_runtime", "evaluation", "loss/train", "lossy/val"]
)
def test_other_names_are_not_taken_for_losses(name: str) -> None:
    with pytest.raises(UserError, match="no metric says that it is a loss on held-out text; found"):
        plan({}, log(name))


def test_a_loss_that_is_named_is_the_only_one() -> None:
    found = plan({"loss@web": "m"}, log("m", "eval/loss"))
    assert found.outcomes == {("loss", "web"): "m"}
    assert plan({"loss": "m"}, log("m")).outcomes == {("loss", None): "m"}
    assert plan({"params": "n"}, log("eval/loss", n=1)).outcomes == {("loss", "eval"): "eval/loss"}


def test_a_star_stands_for_every_evaluation_set() -> None:
    found = plan(
        {"loss@*": "e/*/nll", "loss@law": "special", "accuracy@*": "e/*/acc"},
        log("e/a/nll", "e/law/nll", "special", "e/a/acc"),
    )
    assert found.outcomes == {("loss", "a"): "e/a/nll", ("loss", "law"): "special", ("accuracy", "a"): "e/a/acc"}


def test_usual_names_of_settings() -> None:
    found = plan(
        {}, log("eval/loss", "num_input_tokens_seen", SEED="1", n_params=1.0, share_law=0.5, params=2.0, trunk="t")
    )
    assert {target[0]: name for target, name in found.context.items()} == {
        "trunk": "trunk", "params": "params", "tokens": "num_input_tokens_seen", "seed": "SEED",
        "share_law": "share_law",
    }  # fmt: skip
    assert plan({"seed": "x"}, log("eval/loss", seed=1, x=2)).context == {("seed", None): "x"}
    assert plan({}, log("eval/loss", "tokens"), tokens_per_step=8.0).context == {}, "what is given goes first"
    for name in ("loss", "samples", "perplexity", "accuracy", "run", "num_parameters"):
        assert plan({}, log("eval/loss", **{name: 1.0})).context == {}, name


def test_every_problem_of_the_words_at_once() -> None:
    pairs, problems = parse_pairs(["a=b,c", "=x", "loss=a,loss=b"], "--columns")
    assert pairs == {"a": "b", "loss": "a"} and len(problems) == 3
    assert "say which evaluation set each is for, as in loss@c4=..." in str(problems[-1])
    said = {
        "parms": "x", "law share": "x", "run": "x", "tokens@c4": "x", "loss@": "x", "loss@*": "x", "loss@a": "x*y",
        "tokens_per_stp": "x", "seed": "s",
    }  # fmt: skip
    fixed = {"loss@c4": 3.0, "params": "many", "seed": 1, "step": 1, "chance@piqa": "0.5", "train_on": "law"}
    request, problems = requested(said, fixed)
    text = "\n".join(map(str, problems))
    expected = [
        "did you mean 'params'?", "did you mean 'share_law'?", "runs are named by their source",
        "write tokens without @", "name an evaluation set after @", "loss@*=x has a * on one side",
        "loss@a=x*y has a * on one side",
        "did you mean 'tokens_per_step'?", "loss@c4 cannot be the same everywhere", "params is many",
        "step cannot be the same everywhere", "seed is in --columns too",
    ]  # fmt: skip
    assert [part for part in expected if part not in text] == [] and len(problems) == len(expected)
    assert request.constants == {("chance", "piqa"): 0.5, ("train_on", None): "law"}


def test_every_name_that_no_log_has_at_once() -> None:
    with pytest.raises(UserError) as caught:
        plan({"loss@c4": "eval/c4_los", "params": "nparams", "accuracy@*": "*/zzz"}, log("eval/c4_loss", n_params=1.0))
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "loss@c4: no metric is called 'eval/c4_los'; did you mean 'eval/c4_loss'?" in text
    assert "params: no metric is called 'nparams'; did you mean 'n_params'?" in text


def test_no_metrics_and_many_metrics() -> None:
    with pytest.raises(UserError, match="no metrics were found"):
        plan({}, log(note="x"))
    with pytest.raises(UserError, match="found my_loss, m0, .* and 81 more; .*'loss@NAME=my_loss'"):
        plan({}, log(*(f"m{i}" for i in range(100)), "my_loss"))


@given(st.lists(st.text(max_size=8) | st.sampled_from(["loss@a=b", "params=n", "a,b=c", "loss@*=x*"]), max_size=4))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    pairs, problems = parse_pairs(words, "--columns")
    request, more = requested(pairs, {})
    assert all(problem.what and problem.fix for problem in [*problems, *more])
    assert all(column_of(column) or column in HELPERS for column, _ in request.mapped)


def test_names_with_commas_stand_in_quotes() -> None:
    pairs, problems = parse_pairs(['loss@c4="Ünï, cörps/loss",params=n', "seed"], "--columns")
    assert pairs == {"loss@c4": "Ünï, cörps/loss", "params": "n"}
    assert [problem.what for problem in problems] == ["'seed' is no pair of names"]
    assert "ours=value" in parse_pairs(["seed"], "--set")[1][0].fix


def test_a_step_has_some_tokens() -> None:
    for value in ("0", "-5", "inf"):
        _, problems = requested({}, {"tokens_per_step": value})
        assert [problem.fix for problem in problems] == ["give a positive number"]
