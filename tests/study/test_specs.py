from __future__ import annotations

from dataclasses import replace

import pytest

from speciate.runs.tree import build_tree
from speciate.study.config import StudyConfig
from speciate.study.specs import (
    base_run,
    final_ratios,
    final_runs,
    measured_tokens,
    model_spec,
    pilot_runs,
    planned_model,
)


@pytest.fixture
def config() -> StudyConfig:
    return StudyConfig()


def test_pilots_are_models_times_ratios_and_the_extra_seeds(config: StudyConfig) -> None:
    runs = pilot_runs(config, "digest", 1024)
    extra = sum(len(seeds) for seeds in config.pilot.extra_seeds.values())
    assert len(runs) == len(config.models) * (len(config.pilot.ratios) + extra)
    assert len({run.spec.name for run in runs}) == len(runs)
    tree = build_tree([run.spec for run in runs])
    trunks = [node for node in tree.nodes if node.parent is None]
    assert len(trunks) == len(config.models), "all pilots of a model share one trunk"


def test_final_runs_go_on_from_their_pilots_and_the_planned_one_is_new(config: StudyConfig) -> None:
    pilots = pilot_runs(config, "digest", 1024)
    finals = final_runs(config, 0.61, "digest", 1024)
    assert [run.ratio for run in finals] == final_ratios(config, 0.61) == [0.61, 0.5, 0.75]
    tree = build_tree([run.spec for run in pilots + finals])
    beyond = {run.ratio: [node.start_tokens for node in tree.path(run.spec.name)][1:] for run in finals}
    assert beyond[0.61] == [0]
    assert beyond[0.5] == beyond[0.75] == [0, config.pilot.tokens]
    labels = {run.label for run in pilots}
    assert [run.label in labels for run in finals] == [False, True, True]


def test_a_planned_ratio_that_was_piloted_still_gets_a_run_of_its_own(config: StudyConfig) -> None:
    labels = {run.label for run in pilot_runs(config, "digest", 1024)}
    planned = final_runs(config, 0.5, "digest", 1024)[0]
    assert planned.ratio == 0.5
    assert planned.label not in labels


def test_study_seeds_share_no_run(config: StudyConfig) -> None:
    other = config.model_copy(update={"seed": 1})
    keys = [
        {node.key for node in build_tree([run.spec for run in pilot_runs(each, "digest", 1024)]).nodes}
        for each in (config, other)
    ]
    assert not keys[0] & keys[1]


def test_the_plan_is_for_the_largest_model_unless_told_otherwise(config: StudyConfig) -> None:
    assert planned_model(config, 1024)[0].name == "medium"
    small = config.model_copy(update={"plan": config.plan.model_copy(update={"model": "small"})})
    assert planned_model(small, 1024)[0].name == "small"


def test_a_trunk_trains_on_general_text_only(config: StudyConfig) -> None:
    spec = model_spec(config, config.models[0], 1024)
    base = base_run(config, config.models[0], spec, "digest", 0)
    assert config.corpus.domain not in dict(base.phases[0].mixture)
    assert sum(weight for _, weight in base.phases[0].mixture) == pytest.approx(1)


def test_both_ends_are_measured_and_a_longer_run_at_the_same_places(config: StudyConfig) -> None:
    pilot = measured_tokens(config, config.pilot.tokens, continued=True)
    longer = measured_tokens(config, config.plan.horizon_tokens, continued=True)
    assert pilot[0] == 0
    assert pilot[-1] == config.pilot.tokens
    assert longer[-1] == config.plan.horizon_tokens
    assert set(pilot) <= set(longer)
    assert all(tokens % config.training.tokens_per_step == 0 for tokens in longer)
    assert longer == sorted(set(longer))


def test_a_run_of_one_step_is_measured_at_its_end(config: StudyConfig) -> None:
    step = config.training.tokens_per_step
    assert measured_tokens(config, step, continued=True) == [0, step]


def test_labels_of_different_trunk_seeds_differ(config: StudyConfig) -> None:
    run = pilot_runs(config, "digest", 1024)[0]
    other = replace(run, trunk_seed=1)
    assert run.label != other.label
    assert run.trunk != other.trunk
