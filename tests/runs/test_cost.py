"""FLOPs agree with torch's counter; savings and times agree with sums done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.runs.cost import FASTEST, SLOWEST, estimate_seconds, flops_per_token, savings, train_flops
from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.runs.tree import build_tree

MODEL = ModelSpec("llama", 64, 2, 4, 160, 256, 64)
STEP = 256
TRUNK = Phase((("prose", 1.0),), 8 * STEP, 1e-3)
RUN = RunSpec("run", MODEL, 0, (TRUNK,), 4, "corpus")


def branch(ratio: float, steps: int, model: ModelSpec = MODEL) -> RunSpec:
    mixture = (("code", ratio), ("prose", 1 - ratio))
    name = f"{model.hidden_size}-{ratio}-{steps}"
    return replace(RUN, name=name, model=model, phases=(TRUNK, Phase(mixture, steps * STEP, 1e-3)))


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("kv_heads", [4, 1])
def test_flops_agree_with_the_counter_of_torch(architecture: str, kv_heads: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from torch.utils.flop_counter import FlopCounterMode

    spec = ModelSpec(architecture, 64, 3, 4, 160, 512, 128, kv_heads=kv_heads)
    config_class = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[architecture]
    config = config_class(
        hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=kv_heads, intermediate_size=160,
        vocab_size=512, tie_word_embeddings=True, attn_implementation="eager",
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config)
    ids = torch.randint(0, 512, (2, spec.sequence_length))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids).loss.backward()
    masked = 6 * spec.layers * spec.hidden_size * spec.sequence_length  # eager attention multiplies these too
    counted = counter.get_total_flops() / ids.numel()
    assert counted == pytest.approx(flops_per_token(spec) + masked, rel=0.01)  # we count norms and biases, torch not


def test_flops_of_a_node() -> None:
    node = build_tree([RUN]).nodes[0]
    assert train_flops(node) == 8 * STEP * flops_per_token(MODEL)


def test_savings_by_hand() -> None:
    tree = build_tree([branch(r, steps) for r in (0.25, 0.5) for steps in (2, 4)])
    result = savings(tree)
    assert result.tree_tokens == (8 + 4 + 4) * STEP
    assert result.scratch_tokens == (10 + 12 + 10 + 12) * STEP
    assert result.anew_tokens == (8 + 2 + 4 + 2 + 4) * STEP
    assert result.saved_vs_scratch == pytest.approx(1 - 16 / 44)
    assert result.saved_vs_anew == pytest.approx(1 - 16 / 20)
    per_token = flops_per_token(MODEL)
    assert (result.tree_flops, result.anew_flops) == (16 * STEP * per_token, 20 * STEP * per_token)
    assert result.flops_saved_vs_scratch == pytest.approx(result.saved_vs_scratch)  # one size only
    assert result.to_json()["saved_vs_anew"] == result.saved_vs_anew


def test_repeating_a_run_or_measuring_the_base_saves_nothing() -> None:
    runs = [branch(0.25, 2), branch(0.5, 2)]
    base, halfway = RUN, replace(RUN, name="halfway", phases=(replace(TRUNK, tokens=4 * STEP),))
    plain = savings(build_tree(runs))
    assert savings(build_tree([*runs, replace(runs[0], name="again")])) == plain
    assert plain.saved_vs_anew == 0
    assert savings(build_tree([*runs, base, halfway])).saved_vs_anew == 0


def test_flops_weigh_the_sizes() -> None:
    wide = replace(MODEL, hidden_size=128)
    result = savings(build_tree([branch(0.25, 4), branch(0.25, 4, wide), branch(0.5, 4, wide)]))
    assert result.flops_saved_vs_scratch > result.saved_vs_scratch > 0


@given(st.lists(st.tuples(st.sampled_from([0.25, 0.5]), st.integers(1, 4)), min_size=1, unique=True), st.integers(1, 4))
@settings(deadline=None)
def test_savings_and_times_stay_within_their_bounds(branches: list[tuple[float, int]], processes: int) -> None:
    tree = build_tree([branch(ratio, steps) for ratio, steps in branches])
    result = savings(tree)
    assert result.tree_tokens <= result.anew_tokens <= result.scratch_tokens
    low, expected, high = estimate_seconds(tree, {MODEL.params: float(STEP)}, processes)
    longest = max(sum(node.tokens for node in tree.path(run)) for run in tree.runs) / STEP
    total = tree.tokens / STEP
    assert max(longest, total / processes) - 1e-9 <= expected <= total / processes + longest
    assert (low, high) == (FASTEST * expected, SLOWEST * expected)


def test_seconds_by_hand() -> None:
    tree = build_tree([branch(0.25, 2), branch(0.5, 4)])
    speed = {MODEL.params: float(STEP)}  # one step a second: a trunk of 8 s, then branches of 2 s and 4 s
    assert estimate_seconds(tree, speed, 1)[1] == 14
    assert estimate_seconds(tree, speed, 2)[1] == 12
    assert estimate_seconds(tree, speed, 2, done=[tree.nodes[0].key])[1] == 4
    assert estimate_seconds(tree, speed, 2, done=[node.key for node in tree.nodes])[1] == 0
