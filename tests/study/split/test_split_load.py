"""A study.yaml with decide: split: what is read, and everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.study.config import StudyConfig
from speciate.study.create import create_study
from speciate.study.load import load_study, parse_study, study_yaml
from speciate.study.split.config import SplitStudy
from speciate.study.template import study_template
from speciate.study.validate import describe

HERE = Path("/tmp")


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        parse_study(text, "study.yaml", HERE, overrides)
    return [str(problem) for problem in caught.value.problems]


def split(text: str) -> str:
    return f"decide: split\n{text}\n"


def test_the_template_is_the_defaults_and_says_what_every_field_is(tmp_path: Path) -> None:
    file = create_study(tmp_path, "split")
    assert load_study(file) == SplitStudy()
    text = file.read_text(encoding="utf-8")
    for section, values in SplitStudy().model_dump().items():
        for name in values if isinstance(values, dict) else ():
            line = text.index(f"\n  {name}:", text.index(f"\n{section}:"))
            assert text[:line].splitlines()[-1].lstrip().startswith("#")


def test_a_question_that_there_is_not() -> None:
    with pytest.raises(UserError, match="use one of mixture, split"):
        study_template("merge")
    assert problems("decide: spilt") == [
        "study.yaml line 1, decide: 'spilt' is not allowed: no question is called so; did you mean split?"
    ]
    assert "override decide" in problems("decide: split", "decide=merge")[0]


def test_the_question_may_be_an_override() -> None:
    assert isinstance(parse_study("name: x", "s", HERE, ["decide=split", "split.shares=[0.2, 0.5]"]), SplitStudy)
    assert isinstance(parse_study("decide: split", "s", HERE, ["decide=mixture"]), StudyConfig)


def test_a_resolved_study_reads_back_as_equal(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "facts.jsonl").write_text("{}", encoding="utf-8")
    text = split("corpus: {sources: {a: text, docs_math: builtin}, weights: {a: 1, docs_math: 3}}")
    text += "split: {budgets: [819200, 1638400]}\nplan: {total_tokens: 2457600}\nevaluation: {facts: {a: facts.jsonl}}"
    config = parse_study(text, "study.yaml", tmp_path)
    assert isinstance(config, SplitStudy)
    assert config.corpus.sources["a"] == str(tmp_path / "text")
    assert config.evaluation.facts == {"a": str(tmp_path / "facts.jsonl")}
    assert parse_study(study_yaml(config), "again", HERE) == config


def test_all_problems_at_once_each_with_its_place() -> None:
    text = """
decide: split
corpus: {sources: {all: /nope/text, code_pyton: builtin}, weights: {a: 0, all: 1}}
models: [{name: x, init_from: nowhere}, {name: x}]
split:
  budgets: [5000]
  shares: [0.5, 1.5]
  extra_seeds: {0.4: [1]}
plan: {options: [-1], horizon_tokens: 3}
pilot: {ratios: [1]}
"""
    found = "\n".join(problems(text, "trunk.seeds=[1,1]", "evaluation.facts={b: nowhere.jsonl}"))
    for part in [
        "the name all is taken",
        "/nope/text does not exist",
        "did you mean code_python?",
        "corpus.weights.a: 0 is not allowed",
        "two models are called x",
        "5000 tokens are not a whole number of steps of 2048 tokens for each of 2 domains; the nearest is 4096",
        "split.shares.1: 1.5 is not allowed",
        "plan.options.0: -1 is not allowed",
        "unknown key horizon_tokens",
        "unknown key pilot",
        "trunk.seeds: a seed is given twice",
        "no domain is called b",
        "nowhere.jsonl does not exist",
    ]:
        assert part in found, (part, found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corpus: {sources: {docs_math: builtin}}", "nothing to split"),
        ("corpus: {clusters: 1}", "corpus.clusters"),
        ("corpus: {weights: {docs_math: 1}}", "no weight for code_cpp"),
        ("corpus: {weights: {docs_maths: 1}}", "did you mean docs_math?"),
        ("corpus: {prepared: nowhere}", "speciate corpus tokenize"),
        ("corpus: {prefix: 256}", "nothing beyond the 256"),
        ("models: [{name: x, init_from: .}]", "trains its seeds itself"),
        ("training: {schedule: cosine}", "training.schedule: 'cosine' is not allowed"),
        ("training: {warmup_tokens: 2000000}", "does not end within the smallest budget"),
        ("split: {shares: [0, 0.5, 1]}", "fewer than two seeds"),
        ("split: {shares: [0.5, 0.5, 0.2]}", "a value is given twice"),
        ("split: {shares: [0.5, 0.501, 0.2]}", "the same number of steps"),
        ("split: {extra_seeds: {0.4: [1]}}", "0.4 is not one of split.shares"),
        ("split: {extra_seeds: {1: [1]}}", "share 1 has no experts"),
        ("split: {extra_seeds: {0.5: [0]}}", "a seed is given twice"),
        ("split: {warmup_tokens: 30000}", "less than twice their warmup"),
        ("plan: {total_tokens: 1966080}", "no more than the largest pilot budget"),
        ("plan: {total_tokens: 3000000}", "the nearest is 2998272"),
        ("plan: {model: huge}", "no model is called huge"),
        ("evaluation: {tokens_per_set: 10}", "less than one sequence"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    assert any(message in problem for problem in problems(split(text))), problems(split(text))


def test_totals_are_whole_steps_of_as_many_domains_as_clusters() -> None:
    found = problems(split("corpus: {clusters: 7}"))
    assert all("each of 7 domains" in problem for problem in found) and len(found) == 3
    text = "corpus: {clusters: 8}\nsplit: {budgets: [1048576]}\nplan: {total_tokens: 2097152}"
    assert parse_study(split(text), "s", HERE).corpus.clusters == 8


def test_a_study_is_described(tmp_path: Path) -> None:
    found = describe(create_study(tmp_path, "split"))
    assert (found["decide"], len(found["domains"]), found["pilot_experts"]) == ("split", 6, 2 * (8 * 6 + 3 * 6))


@given(st.dictionaries(st.sampled_from([*SplitStudy.model_fields, "x"]), st.none() | st.integers() | st.text()))
def test_any_values_in_known_places_are_a_study_or_a_user_error(values: dict[str, object]) -> None:
    import json

    try:
        parse_study(json.dumps({**values, "decide": "split"}), "study.yaml", HERE)
    except UserError as error:
        assert error.problems


@pytest.mark.parametrize("name", ["base", "auto", "_own", "a" * 101])
def test_a_domain_whose_expert_could_not_be_kept_is_refused_before_training(name: str, tmp_path: Path) -> None:
    said = problems(split(f"corpus: {{sources: {{{name}: {tmp_path}, docs_math: builtin}}}}"))
    part = "is taken" if name in ("base", "auto") else "an expert cannot be called"
    assert [one for one in said if f"corpus.sources.{name}: " in one and part in one]


def test_many_domains_without_a_weight_are_one_problem() -> None:
    said = problems(split("corpus: {clusters: 900, weights: {docs_math: 1}}"))
    found = [one for one in said if "weight" in one]
    assert len(found) == 2 and max(map(len, found)) < 300
    assert "and 892 more" in found[1]
