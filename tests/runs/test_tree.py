"""The tree trains what runs share once, and a node's key depends on its weights alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.runs.tree import Node, RunTree, build_tree, state_key

MODEL = ModelSpec("llama", 64, 2, 4, 160, 256, 64)
STEP = 256
GENERAL = (("code", 0.0), ("prose", 1.0))
PHASE = Phase(GENERAL, 8 * STEP, 1e-3)
RUN = RunSpec("run", MODEL, 0, (PHASE,), 4, "corpus")

phases = st.builds(
    Phase,
    mixture=st.sampled_from([GENERAL, (("code", 0.5), ("prose", 0.5))]),
    tokens=st.integers(1, 5).map(lambda steps: steps * STEP),
    learning_rate=st.just(1e-3),
    schedule=st.sampled_from(["warmup-stable", "warmup-stable", "cosine"]),
    order_seed=st.integers(0, 1),
)
runs = st.builds(
    lambda phases, seed: replace(RUN, phases=tuple(phases), init_seed=seed),
    st.lists(phases, min_size=1, max_size=3),
    st.integers(0, 1),
)
forests = st.lists(runs, max_size=8).map(lambda specs: [replace(s, name=f"run{i}") for i, s in enumerate(specs)])


def run(name: str, *phases: Phase, **changes: Any) -> RunSpec:
    return replace(RUN, name=name, phases=phases or RUN.phases, **changes)


@given(forests)
@settings(deadline=None)
def test_paths_cover_their_runs_and_sharing_never_adds(specs: list[RunSpec]) -> None:
    tree = build_tree(specs)
    assert tree.tokens <= sum(phase.tokens for spec in specs for phase in spec.phases)
    assert set(tree.runs) == {spec.name for spec in specs}
    for spec in specs:
        position, parent = (0, 0), None
        for node in tree.path(spec.name):
            assert node.parent == parent and spec.name in node.runs
            assert (node.phase_index, node.start_tokens) == position
            assert node.tokens > 0 and node.key == state_key(spec, node.phase_index, node.end_tokens)
            done = node.end_tokens == spec.phases[node.phase_index].tokens
            position = (node.phase_index + 1, 0) if done else (node.phase_index, node.end_tokens)
            parent = node.key
        assert position == (len(spec.phases), 0)


@given(forests)
@settings(deadline=None)
def test_nodes_are_topological_unique_and_used(specs: list[RunSpec]) -> None:
    tree = build_tree(specs)
    seen: set[str | None] = {None}
    for node in tree.nodes:
        assert node.parent in seen and node.key not in seen
        assert list(node.runs) == [name for name, keys in tree.runs.items() if node.key in keys] != []
        assert node in tree.children(node.parent) if node.parent else node.start_tokens == node.phase_index == 0
        seen.add(node.key)


@given(forests, st.randoms())
@settings(deadline=None)
def test_keys_do_not_depend_on_the_other_runs(specs: list[RunSpec], random: Any) -> None:
    tree = build_tree(specs)
    chosen = [spec for spec in specs if random.random() < 0.5]
    random.shuffle(chosen)
    smaller = build_tree(chosen)
    for spec in chosen:
        assert set(smaller.runs[spec.name]) <= set(tree.runs[spec.name])
        assert smaller.runs[spec.name][-1] == tree.runs[spec.name][-1]


@given(forests)
@settings(deadline=None)
def test_round_trip_through_json(specs: list[RunSpec]) -> None:
    tree = build_tree(specs)
    value = json.loads(json.dumps(tree.to_json(), allow_nan=False))
    assert RunTree.from_json(value) == tree
    for node in value["nodes"]:
        assert Node.from_json({**node, "label": "for people", "seconds": 1.5}) == tree.node(node["key"])


def test_horizons_of_warmup_stable_are_prefixes_of_each_other() -> None:
    tree = build_tree([run(str(k), replace(PHASE, tokens=k * STEP)) for k in (4, 2, 8)])
    assert tree.tokens == 8 * STEP
    assert [(n.start_tokens // STEP, n.end_tokens // STEP, n.runs) for n in tree.nodes] == [
        (0, 2, ("4", "2", "8")),
        (2, 4, ("4", "8")),
        (4, 8, ("8",)),
    ]


def test_cosine_shares_nothing_within_its_phase() -> None:
    cosine = [run(str(k), PHASE, replace(PHASE, tokens=k * STEP, schedule="cosine")) for k in (2, 4, 8)]
    tree = build_tree(cosine)
    assert tree.tokens == (8 + 2 + 4 + 8) * STEP  # the phase before is shared
    assert len({keys[-1] for keys in tree.runs.values()}) == 3
    assert len(tree.children(tree.trunk("2"))) == 3


def test_two_phase_runs_share_their_trunk() -> None:
    mixed = [replace(PHASE, mixture=(("code", r), ("prose", 1 - r))) for r in (0.25, 0.5)]
    tree = build_tree(
        [run("a", PHASE, mixed[0]), run("b", PHASE, mixed[1]), run("other", PHASE, mixed[0], init_seed=1)]
    )
    assert tree.runs["a"][0] == tree.runs["b"][0] == tree.trunk("a") != tree.trunk("other")
    assert tree.tokens == 5 * 8 * STEP
    branch = tree.path("a")[1]
    assert branch.phase == mixed[0] and branch.tokens_before_phase == 8 * STEP


def test_a_branch_in_the_middle_of_a_phase_cuts_it() -> None:
    early = replace(PHASE, tokens=3 * STEP)
    tree = build_tree([run("long"), run("branch", early, PHASE), run("cosine", replace(early, schedule="cosine"))])
    assert [node.tokens // STEP for node in tree.path("long")] == [3, 5]
    assert tree.runs["branch"][0] == tree.runs["long"][0] != tree.runs["cosine"][0]


def test_equal_runs_of_two_names_share_everything() -> None:
    tree = build_tree([run("a", PHASE, PHASE), run("b", PHASE, PHASE)])
    assert tree.runs["a"] == tree.runs["b"] and len(tree.nodes) == 2


MODEL_CHANGES = {
    "architecture": "qwen2", "hidden_size": 128, "layers": 3, "heads": 2, "intermediate_size": 192, "vocab_size": 512,
    "sequence_length": 128, "tie_embeddings": False, "init_digest": "weights", "kv_heads": 2,
    "experts": 4, "experts_per_token": 2, "expert_intermediate_size": 32, "router_aux_loss": 0.01,
}  # fmt: skip
PHASE_CHANGES = {
    "mixture": (("code", 0.5), ("prose", 0.5)), "learning_rate": 2e-3, "warmup_tokens": 256, "schedule": "cosine",
    "order_seed": 1,
}  # fmt: skip
RUN_CHANGES = {
    "init_seed": 1, "batch_sequences": 2, "corpus_digest": "other", "precision": "float32", "threads": 2, "beta1": 0.8,
    "beta2": 0.99, "weight_decay": 0.0, "grad_clip": 0.5,
}  # fmt: skip


def test_the_lists_below_name_every_field() -> None:
    assert {*MODEL_CHANGES, "init_from"} == set(MODEL.__dataclass_fields__)
    assert {*PHASE_CHANGES, "tokens", "reset_optimizer"} == set(PHASE.__dataclass_fields__)
    assert {*RUN_CHANGES, "name", "model", "phases"} == set(RUN.__dataclass_fields__)


def test_whatever_affects_weights_changes_the_key() -> None:
    changed = [replace(RUN, model=replace(MODEL, **{k: v})) for k, v in MODEL_CHANGES.items()]
    changed += [replace(RUN, phases=(replace(PHASE, **{k: v}),)) for k, v in PHASE_CHANGES.items()]
    changed += [replace(RUN, **{k: v}) for k, v in RUN_CHANGES.items()]
    keys = [state_key(spec, 0, 4 * STEP) for spec in [RUN, *changed]]
    assert len(set(keys)) == len(keys)

    second = replace(RUN, phases=(PHASE, PHASE))
    changed = [replace(second, phases=(replace(PHASE, **{k: v}), PHASE)) for k, v in PHASE_CHANGES.items()]
    changed += [replace(second, phases=(replace(PHASE, tokens=4 * STEP), PHASE))]
    changed += [replace(second, phases=(PHASE, replace(PHASE, reset_optimizer=False)))]
    keys = [state_key(spec, 1, 4 * STEP) for spec in [second, *changed]]
    assert len(set(keys)) == len(keys)


def test_what_does_not_affect_weights_leaves_the_key() -> None:
    same = [
        replace(RUN, name="other"),
        replace(RUN, phases=(replace(PHASE, tokens=16 * STEP),)),
        replace(RUN, phases=(replace(PHASE, mixture=(("prose", 1.0),)),)),
        replace(RUN, phases=(replace(PHASE, mixture=(("code", 0), ("prose", 1))),)),  # integers for floats
        replace(RUN, phases=(replace(PHASE, reset_optimizer=False),)),  # the first phase starts with a new one anyway
        replace(RUN, grad_clip=1),
        replace(RUN, model=replace(MODEL, kv_heads=MODEL.heads)),
    ]
    mixed = [replace(RUN, model=replace(MODEL, router_aux_loss=weight)) for weight in (1, 1.0)]
    assert state_key(mixed[0], 0, STEP) == state_key(mixed[1], 0, STEP)
    assert {state_key(spec, 0, 4 * STEP) for spec in same} == {state_key(RUN, 0, 4 * STEP)}
    here, there = (replace(RUN, model=replace(MODEL, init_from=p, init_digest="weights")) for p in ("a", "b"))
    assert state_key(here, 0, STEP) == state_key(there, 0, STEP) != state_key(RUN, 0, STEP)


def test_key_is_golden() -> None:
    """A changed key means that every unfinished study trains again from the start: change it knowingly."""
    assert state_key(RUN, 0, 8 * STEP) == "47be70ca5e482a55"


def test_all_problems_of_all_runs_at_once() -> None:
    odd = replace(PHASE, tokens=100)
    with pytest.raises(UserError) as caught:
        build_tree([run("a"), run("a"), run("b", odd), run("c", PHASE, replace(PHASE, tokens=-STEP))])
    where = [problem.where for problem in caught.value.problems]
    assert where == ["run a", "run b, phase 1", "run c, phase 2"]
    assert "2 runs have this name" in str(caught.value) and "-256 tokens" in str(caught.value)


def test_no_runs_make_an_empty_tree() -> None:
    assert build_tree([]) == RunTree((), {})
