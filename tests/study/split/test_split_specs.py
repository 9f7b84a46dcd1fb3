"""The runs of a split study: one trunk, and experts of equal totals from it."""

from __future__ import annotations

import pytest

from speciate.planning.split.remedy import SplitRun as Remedy
from speciate.runs.tree import RunTree, build_tree
from speciate.study.split.config import SplitStudy
from speciate.study.split.remedy import remedy_command
from speciate.study.split.rows import mean_row, part_of_a_mean
from speciate.study.split.specs import (
    SplitRun,
    allocate,
    domain_of,
    domain_weights,
    final_options,
    final_runs,
    measured_tokens,
    pilot_options,
    pilot_runs,
    tried_options,
)
from speciate.study.split.train import unique

K = 6


@pytest.fixture(scope="module")
def config() -> SplitStudy:
    return SplitStudy()


@pytest.fixture(scope="module")
def weights(config: SplitStudy) -> dict[str, float]:
    return domain_weights(config, {name: 10 + place for place, name in enumerate(sorted(config.corpus.sources))})


@pytest.fixture(scope="module")
def pilots(config: SplitStudy, weights: dict[str, float]) -> list[SplitRun]:
    return pilot_runs(config, weights, "digest", 1024)


@pytest.fixture(scope="module")
def tree(pilots: list[SplitRun]) -> RunTree:
    return build_tree([run.spec for run in pilots])


def test_the_trunk_of_a_model_is_trained_once_and_every_seed_lies_on_it(
    config: SplitStudy, pilots: list[SplitRun], tree: RunTree
) -> None:
    for model in config.models:
        own = [run for run in pilots if run.model == model.name]
        trunk = {node.key: node for run in own for node in tree.path(run.spec.name) if domain_of(node) is None}
        assert sum(node.tokens for node in trunk.values()) == max(config.split.budgets)
        assert sum(node.parent is None for node in trunk.values()) == 1
        for run in own:
            path = tree.path(run.spec.name)
            if run.domain is None:
                assert path[-1].end_tokens == run.seed_tokens, "an unsplit run is the trunk itself"
            elif run.seed_tokens:
                seed = [node for node in path if node.key in trunk]
                assert path[: len(seed)] == tuple(seed) and seed[-1].end_tokens == run.seed_tokens
                expert = path[len(seed)]
                assert (expert.phase_index, expert.start_tokens, expert.parent) == (1, 0, seed[-1].key)
                assert expert.phase.reset_optimizer and expert.tokens_before_phase == run.seed_tokens


def test_experts_without_a_seed_start_from_the_initial_weights(pilots: list[SplitRun], tree: RunTree) -> None:
    first = [tree.path(run.spec.name)[0] for run in pilots if run.seed_tokens == 0 and run.model == "small"]
    assert {node.parent for node in first} == {None}
    assert {domain_of(node) for node in first} == {run.domain for run in pilots} - {None}
    trunk = next(node for node in tree.nodes if domain_of(node) is None and node.parent is None)
    assert {node.spec.init_seed for node in first} == {trunk.spec.init_seed}
    rates = {(node.phase.learning_rate, node.phase.warmup_tokens) for node in first}
    assert rates == {(trunk.phase.learning_rate, trunk.phase.warmup_tokens)}, "nothing is known yet, as in the trunk"


def test_every_option_spends_exactly_its_total(config: SplitStudy) -> None:
    step = config.training.tokens_per_step
    for budget, options in pilot_options(config, K).items():
        assert len(options) == len(config.split.shares)
        for option in options:
            assert option.seed_tokens + K * option.expert_tokens == budget
            assert option.seed_tokens % step == option.expert_tokens % step == 0
            assert option.seed_tokens / budget == pytest.approx(option.share, abs=0.5 * K * step / budget)
    for option in tried_options(config, K) + final_options(config, 1_234_567, K):
        assert option.seed_tokens + K * option.expert_tokens == config.plan.total_tokens
    assert allocate(config, 983_040, 0, K).seed_tokens == allocate(config, 983_040, 1, K).expert_tokens == 0


def test_every_expert_is_measured_where_each_budget_is_spent(
    config: SplitStudy, pilots: list[SplitRun], tree: RunTree
) -> None:
    for run in pilots:
        if run.domain is None:
            continue
        nodes = [node for node in tree.path(run.spec.name) if domain_of(node) is not None]
        measured = {tokens for node in nodes for tokens in measured_tokens(config, node)}
        end = nodes[-1].end_tokens
        served = {(budget - run.seed_tokens) // K for budget in config.split.budgets if budget > run.seed_tokens}
        assert {tokens for tokens in served if tokens <= end} <= measured
        assert end in measured and 0 not in measured and len(measured) > 4


def test_extra_orders_are_of_one_share_at_the_largest_budget(config: SplitStudy, pilots: list[SplitRun]) -> None:
    extra = {(run.model, run.seed_tokens, run.seed) for run in pilots if run.domain is not None and run.seed}
    assert extra == {("small", 983_040, 1), ("medium", 983_040, 1)}
    assert len([run for run in pilots if run.seed == 1 and run.domain]) == 2 * K


def test_carrying_out_trains_only_what_is_new(
    config: SplitStudy, weights: dict[str, float], pilots: list[SplitRun], tree: RunTree
) -> None:
    options = final_options(config, 0.4 * config.plan.total_tokens, K)
    assert [option.share for option in options] == [0.4, 0, 0.25, 0.5, 0.75, 1]
    finals = final_runs(config, options, weights, "digest", 1024)
    whole = build_tree([run.spec for run in unique([*pilots, *finals])], [(node, True) for node in tree.nodes])
    new = [node for node in whole.nodes if node.key not in {old.key for old in tree.nodes}]
    again = [node for node in new if domain_of(node) is None and node.end_tokens <= max(config.split.budgets)]
    assert len(again) == 1, "of the trunk's pilot part only the stretch up to the planned seed is trained again"
    experts = [node for node in new if domain_of(node) is not None and node.tokens_before_phase == 0]
    assert {node.start_tokens for node in experts} == {max(config.split.budgets) // K}, "these go on from the pilots"


def test_labels_tell_runs_apart_and_lengths_not(pilots: list[SplitRun], tree: RunTree) -> None:
    assert len({run.spec.name for run in pilots}) == len(pilots)
    run = next(run for run in pilots if run.domain == "docs_math" and run.seed_tokens == 491_520 and run.seed == 0)
    assert (run.label, run.mean, run.trunk) == ("small-d491520-docs_math-s0", "small-d491520-s0", "small-t0")
    assert len([one for one in pilots if one.label == run.label]) == 2, "half of a budget is a quarter of the other"


def test_a_mean_row_weighs_losses_and_bytes() -> None:
    rows = {
        name: {"run": name, "train_on": name, "flops": 10.0, "tokens": 5, "seed_tokens": 3, **measured}
        for name, measured in {
            "a": {"loss": 2.0, "bits_per_byte": 1.0},
            "b": {"loss": 4.0, "bits_per_byte": 4.0},
        }.items()
    }
    row = mean_row("m", rows, {"a": 0.25, "b": 0.75})
    assert (row["run"], row["train_on"], row["eval_on"], row["tokens"]) == ("m", "all/2", "mean", 5)
    assert row["loss"] == pytest.approx(3.5) and row["flops"] == 20
    assert row["bits_per_byte"] == pytest.approx(3.5 / (0.25 * 2.0 + 0.75 * 1.0))


def test_a_mean_row_of_facts_is_of_the_experts_or_of_one_seed() -> None:
    asked = {
        name: {"run": "r", "train_on": name, "flops": 10.0, "tokens": 5, "seed_tokens": 3, "loss": 2.0, **recall}
        for name, recall in {"a": {"accuracy": 1.0, "chance": 0.0}, "b": {"accuracy": 0.2, "chance": 0.0}}.items()
    }
    weights = {"a": 0.25, "b": 0.75}
    row = mean_row("m", asked, weights, "facts/mean")
    assert (row["train_on"], row["eval_on"], row["flops"]) == ("all/2", "facts/mean", 20)
    assert row["accuracy"] == pytest.approx(0.4) and row["chance"] == 0 and row["bits_per_byte"] is None
    seed = mean_row("t", {name: one | {"train_on": "all"} for name, one in asked.items()}, weights, "facts/mean")
    assert (seed["train_on"], seed["flops"], seed["accuracy"]) == ("all", 10, pytest.approx(0.4))


@pytest.mark.parametrize(
    ("train_on", "eval_on", "part"),
    [
        ("law", "code", None),  # an expert is no part of the mean on another's domain
        ("law", "facts/code", None),
        ("all", "law", None),  # the seed's own mean is measured, not made
        ("all", "mean", None),
        ("law", "facts/law", ("facts/mean", "law")),
    ],
)
def test_which_measurements_a_mean_is_made_of(train_on: str, eval_on: str, part: tuple[str, str] | None) -> None:
    assert part_of_a_mean({"train_on": train_on, "eval_on": eval_on}) == part


def test_the_remedy_keeps_what_this_launch_was_given(config: SplitStudy) -> None:
    remedy = Remedy(141_760, 0.0, 100_000, 1, 1.0, 0.01, 0.005, True)
    told = remedy_command(config, remedy, K, ["plan.level=0.8", "split.extra_seeds={0.5: [1]}"])
    assert told == "speciate run study.yaml 'plan.level=0.8' 'split.extra_seeds={0: [1], 0.5: [1]}'"
