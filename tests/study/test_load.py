from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.spec import EXPERT_FIELDS, ModelSpec, Phase, RunSpec, spec_problems
from speciate.study.config import StudyConfig
from speciate.study.load import load_study, parse_study, study_yaml
from speciate.study.specs import model_spec
from speciate.study.template import study_template

HERE = Path("/tmp")


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        parse_study(text, "study.yaml", HERE, overrides)
    return [str(problem) for problem in caught.value.problems]


def run_of(model: ModelSpec) -> RunSpec:
    return RunSpec("run", model, 0, (Phase((("a", 1.0),), model.sequence_length, 1e-3),), 1, "text")


def test_the_template_is_the_defaults() -> None:
    assert parse_study(study_template(), "template", HERE) == StudyConfig()


def test_every_field_has_a_sentence_in_the_template() -> None:
    text = study_template()
    config = StudyConfig().model_dump()
    for section, values in config.items():
        assert f"\n{section}:" in text
        for name in values if isinstance(values, dict) else ():
            line = text.index(f"\n  {name}:")
            assert text[:line].splitlines()[-1].lstrip().startswith("#")


def test_a_resolved_study_reads_back_as_equal(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    text = "{corpus: {sources: {a: text, docs_math: builtin}, general: [docs_math], domain: a}, name: 'é: #1'}"
    config = parse_study(text, "study.yaml", tmp_path)
    assert config.corpus.sources["a"] == str(tmp_path / "text")
    assert parse_study(study_yaml(config), "again", HERE) == config


def test_numbers_as_people_write_them() -> None:
    text = "{training: {learning_rate: 1e-3}, pilot: {tokens: 8_192}, evaluation: {tokens_per_set: 1e4}}"
    config = parse_study(text, "s", HERE, ["plan.horizon_tokens=16.384e3", "pilot.warmup_tokens=0"])
    assert config.training.learning_rate == 1e-3
    assert (config.pilot.tokens, config.plan.horizon_tokens, config.evaluation.tokens_per_set) == (8192, 16384, 10000)


def test_a_section_with_all_lines_commented_out_is_its_defaults() -> None:
    assert parse_study("pilot:\n  # tokens: 1\nname: x\n", "s", HERE).pilot == StudyConfig().pilot


def test_all_problems_at_once_each_with_its_place() -> None:
    text = """
seed: yes
corpus: {sources: {a: /nope/text, code_pyton: builtin}, general: [a, b], domain: a, cap_megabits: 3}
models: [{name: x, hidden_size: 10, heads: 3}, {name: x}]
pilot:
  ratios: [0.5, 1.5]
  tokens: 5000
  tolerence: 3
plan: {horizon_tokens: 4096, tolerance: .nan, model: zz}
ratios: [1]
"""
    found = "\n".join(problems(text, "plan.level=2", "junk", "evaluation.pionts=3"))
    for part in [
        "study.yaml line 2, seed: True is not allowed",
        "cap_megabits; did you mean cap_megabytes?",
        "/nope/text does not exist",
        "did you mean code_python?",
        "no source is called b",
        "a is both general and the specialisation",
        "hidden_size 10 is not a multiple of twice the heads 3; use 6 or 12",
        "two models are called x",
        "study.yaml line 6, pilot.ratios.1: 1.5 is not allowed",
        "study.yaml line 7, pilot.tokens: 5000 tokens are not a whole number of optimizer steps of 8192 tokens; the",
        "unknown key tolerence; did you mean plan.tolerance?",
        "no longer than a pilot",
        "nan is not allowed",
        "no model is called zz",
        "unknown key ratios; did you mean pilot.ratios?",
        "override plan.level: 2 is not allowed",
        "override 'junk': not of the form",
        "override evaluation.pionts: unknown key pionts; did you mean points?",
    ]:  # fmt: skip
        assert part in found, (part, found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("just words", "not keys and values"),
        ("[1, 2]", "not keys and values"),
        ("a: [1", "study.yaml line 1"),
        ("name: a\nname: b\n", "study.yaml line 2: name is given twice"),
        ("pilot:\n  tokens: 4096\n  tokens: 8192\n", "pilot.tokens is given twice"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("name: \x00", "not valid YAML"),
        ("name: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("seed: " + "9" * 5000, "not valid YAML"),
        ("name: 2024-13-45", "not valid YAML"),
        ("? [a, b]\n: 1", "not valid YAML"),
        ("[" * 5000, "nested too deeply"),
        ("&a [*a]", "not keys and values"),
        ("&a {name: *a}", "not allowed"),
        ("models: []", "models"),
        ("models: [{hidden_size: 8}]", "models.0.name: missing"),
        ("models: 3", "models"),
        ("models: [{name: ../x}]", "models.0.name"),
        ("decide: merge", "decide: 'merge' is not allowed: no question is called so; use one of mixture, split"),
        ("pilot: {ratios: []}", "pilot.ratios"),
        ("pilot: {ratios: [0]}", "pilot.ratios.0"),
        ("pilot: {ratios: [0.5, 0.5]}", "a ratio is given twice"),
        ("pilot: {extra_seeds: {0.4: [1]}}", "0.4 is not one of pilot.ratios"),
        ("pilot: {extra_seeds: {0.5: [0]}}", "a seed is given twice"),
        ("trunk: {seeds: [1, 1]}", "a seed is given twice"),
        ("corpus: {general: {docs_math: 0}}", "all weights are 0"),
        ("corpus: {general: {docs_math: -1}}", "corpus.general.docs_math"),
        ("corpus: {general: [docs_math, docs_math]}", "a domain is named twice"),
        ("corpus: {tokenizer: nowhere.json}", "nowhere.json does not exist"),
        ("training: {learning_rate: .inf}", "learning_rate"),
        ("training: {learning_rate: fast}", "'fast' is not allowed"),
        ("pilot: {warmup_tokens: 9e9}", "does not end within pilot.tokens"),
        ("evaluation: {tokens_per_set: 10}", "less than one sequence"),
        ("models: [{name: x, init_from: nowhere}]", "not a folder with a config.json"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    assert any(message in problem for problem in problems(text)), problems(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    for name, message in [("latin.yaml", "byte 6 is not UTF-8"), ("absent.yaml", "no such file"), ("", "folder")]:
        with pytest.raises(UserError, match=message):
            load_study(tmp_path / name)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("plan.tolerance", "not of the form"),
        ("=3", "not of the form"),
        ("plan..level=3", "not of the form"),
        ("plan.level=[", "not valid YAML"),
        ("plan.level.x=1", "plan.level has no part called x"),
        ("models.7.layers=1", "models has no part called 7"),
        ("nothing.at.all=1", "override nothing: unknown key nothing"),
    ],
)
def test_wrong_overrides(override: str, message: str) -> None:
    assert any(message in problem for problem in problems("name: x", override)), problems("name: x", override)


def test_overrides_change_one_value_and_keep_the_rest() -> None:
    config = parse_study(
        "name: x",
        "s",
        HERE,
        ["models.1.layers=2", "pilot.ratios=[0.1, 0.5]", "corpus.general={docs_math: 1}", "name=5.0 b"],
    )
    assert config.models[1].layers == 2 and config.models[0] == StudyConfig().models[0]
    assert config.pilot.ratios == [0.1, 0.5] and config.corpus.general == {"docs_math": 1.0} and config.name == "5.0 b"


CHECKPOINT = "{models: [{name: x, init_from: .}], corpus: {tokenizer: .}}"


def write_config(folder: Path, **found: object) -> None:
    sizes = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    (folder / "config.json").write_text(json.dumps(sizes | {"intermediate_size": 80} | found), encoding="utf-8")


def test_a_checkpoint_gives_its_sizes(tmp_path: Path) -> None:
    sizes = {"model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    found = sizes | {"intermediate_size": 80, "num_key_value_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(found), encoding="utf-8")
    text = "{models: [{name: x, init_from: .}], corpus: {tokenizer: .}}"
    model = parse_study(text, "s", tmp_path).models[0]
    assert (model.architecture, model.hidden_size, model.layers, model.intermediate_size) == ("qwen2", 32, 2, 80)
    config = parse_study(text, "s", tmp_path)
    assert parse_study(study_yaml(config), "s", tmp_path) == config
    with pytest.raises(UserError, match=r"hidden_size is 64, but the checkpoint's is 32"):
        parse_study("{models: [{name: x, init_from: ., hidden_size: 64}], corpus: {tokenizer: .}}", "s", tmp_path)
    with pytest.raises(UserError, match="no tokenizer is given"):
        parse_study("models: [{name: x, init_from: .}]", "s", tmp_path)
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="does not describe a model"):
        parse_study(text, "s", tmp_path)


@pytest.mark.parametrize(
    ("found", "kv_heads"), [({"num_key_value_heads": 2}, 2), ({"num_key_value_heads": None}, 4), ({}, 4)]
)
def test_a_checkpoint_may_share_keys_between_heads(found: dict[str, object], kv_heads: int, tmp_path: Path) -> None:
    write_config(tmp_path, **found, head_dim=8, rope_scaling={"rope_type": "llama3", "factor": 8.0})
    config = parse_study(CHECKPOINT, "s", tmp_path)
    assert config.models[0].kv_heads == kv_heads
    assert parse_study(study_yaml(config), "s", tmp_path) == config
    again = parse_study(CHECKPOINT, "s", tmp_path, ["models.0.kv_heads=null"])
    assert again.models[0].kv_heads == kv_heads, "null leaves it to the checkpoint"
    with pytest.raises(UserError, match=f"kv_heads is 1, but the checkpoint's is {kv_heads}"):
        parse_study(CHECKPOINT, "s", tmp_path, ["models.0.kv_heads=1"])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"head_dim": 16}, "4 attention heads of size 16, which do not make up its hidden_size of 32"),
        ({"num_attention_heads": 5}, "5 attention heads, which do not make up its hidden_size of 32"),
        ({"num_key_value_heads": 3}, "heads 4 is not a multiple of kv_heads 3; use a divisor of heads, for instance 1"),
        ({"attention_bias": True, "mlp_bias": True}, "has attention_bias(.|\n)*has mlp_bias"),
        ({"num_attention_heads": 0}, "does not describe a model"),
        ({"hidden_size": "wide"}, "does not describe a model"),
        ({"num_key_value_heads": "2"}, "does not describe a model"),
        ({"model_type": "mistral"}, "architecture mistral"),
    ],
)
def test_a_checkpoint_that_cannot_be_continued_says_why(found: dict[str, object], message: str, tmp_path: Path) -> None:
    write_config(tmp_path, **found)
    with pytest.raises(UserError, match=message):
        parse_study(CHECKPOINT, "s", tmp_path)


def test_a_model_of_ones_own_may_share_keys_between_heads() -> None:
    assert parse_study("models: [{name: x, kv_heads: 2}]", "s", HERE).models[0].kv_heads == 2
    assert "heads 2 is not a multiple of kv_heads 6" in problems("models: [{name: x, kv_heads: 6}]")[0]
    assert "key and value heads" in problems("models: [{name: x, kv_heads: 0}]")[0]
    assert "not allowed" in problems("models: [{name: x, kv_heads: yes}]")[0]


MIXED = "{name: x, architecture: qwen2_moe, experts: 4, experts_per_token: 2, expert_intermediate_size: 40}"


def test_a_model_of_ones_own_may_be_a_mixture_of_experts() -> None:
    config = parse_study(f"models: [{MIXED}]", "s", HERE)
    assert parse_study(study_yaml(config), "s", HERE) == config
    spec = model_spec(config, config.models[0], 1024)
    assert spec.router_aux_loss == 0.001 and spec_problems(run_of(spec)) == []
    config = parse_study(f"models: [{MIXED}]", "s", HERE, ["models.0.router_aux_loss=0"])
    assert model_spec(config, config.models[0], 1024).router_aux_loss == 0
    assert "experts is 4, but a llama has no experts" in problems("models: [{name: x, experts: 4}]")[0]
    missing = problems("models: [{name: x, architecture: qwen2_moe, experts: 4}]")
    assert [text.split("; ")[0].split(": ", 1)[1] for text in missing] == [
        "experts_per_token is missing: a qwen2_moe needs it",
        "expert_intermediate_size is missing: a qwen2_moe needs it",
    ]
    more = problems(f"models: [{MIXED}]", "models.0.experts_per_token=5")
    assert "experts_per_token 5 are more than the experts 4; use at most 4" in more[0]


def test_a_dense_models_spec_has_nothing_of_experts() -> None:
    config = StudyConfig()
    spec = model_spec(config, config.models[0], 1024)
    assert {getattr(spec, name) for name in EXPERT_FIELDS} == {None}


EXPERTS: dict[str, object] = {
    "num_key_value_heads": 4,
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 20,
    "shared_expert_intermediate_size": 64,
    "model_type": "qwen2_moe",
    "router_aux_loss_coef": 0.02,
}


def test_a_checkpoint_may_be_a_mixture_of_experts(tmp_path: Path) -> None:
    write_config(tmp_path, **EXPERTS)
    model = parse_study(CHECKPOINT, "s", tmp_path).models[0]
    assert [getattr(model, name) for name in EXPERT_FIELDS] == [6, 2, 20, 0.02] and model.intermediate_size == 64
    own = parse_study(CHECKPOINT, "s", tmp_path, ["models.0.router_aux_loss=0.1"]).models[0]
    assert own.router_aux_loss == 0.1, "how it is trained is the study's to say"
    cases: list[tuple[dict[str, object], str]] = [
        ({"mlp_only_layers": [0]}, "some of the checkpoint's layers have no experts"),
        ({"decoder_sparse_step": 2}, "some of the checkpoint's layers have no experts"),
        ({"qkv_bias": False}, "no qkv_bias"),
        ({"num_experts": "6"}, "does not describe a model"),
    ]
    for changed, message in cases:
        write_config(tmp_path, **EXPERTS | changed)
        with pytest.raises(UserError, match=message):
            parse_study(CHECKPOINT, "s", tmp_path)


@given(st.text(max_size=200))
def test_any_text_is_a_study_or_a_user_error(text: str) -> None:
    try:
        parse_study(text, "study.yaml", HERE)
    except UserError as error:
        assert error.problems


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "ratios", "0", "x"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*StudyConfig.model_fields, "x"]), JSON, min_size=1, max_size=4))
def test_any_values_in_known_places_are_a_study_or_a_user_error(values: dict[str, object]) -> None:
    try:
        parse_study(json.dumps(values), "study.yaml", HERE)
    except UserError as error:
        assert error.problems


def test_mixtures_sum_to_one_and_are_sorted() -> None:
    for ratio in (0.0, 0.3, 1.0):
        mixture = StudyConfig().mixture(ratio)
        assert sum(weight for _, weight in mixture) == pytest.approx(1)
        assert [name for name, _ in mixture] == sorted(name for name, _ in mixture)
    assert StudyConfig().mixture(1.0) == (("code_cpp", 1.0),)
