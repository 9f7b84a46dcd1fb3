"""Choices across kinds and sizes on simulated ledgers whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
from speciate.planning.decide.continued import continued_from, fresh
from speciate.planning.decide.decision import DecideDecision
from speciate.planning.decide.ledger import ledger_of
from speciate.planning.decide.plan import plan_decide
from speciate.planning.decide.question import Question
from speciate.planning.decide.simulate import World, simulate
from speciate.runs.table import read_table, row_digests

SMALL = World(sizes=(2.5e8, 5e8), ratios=(0.0, 0.5, 0.75, 1.0), points=10)
BUDGET: dict[str, Any] = {"flops": 2.5e19, "pilots_sunk": True, "domains": 4, "draws": 200, "reach": 10}


@cache
def ledger(world: World = SMALL, seed: int = 1) -> pd.DataFrame:
    return read_table(simulate(world, seed))


def decided(table: pd.DataFrame, **options: Any) -> DecideDecision:
    return plan_decide(table, **{**BUDGET, **options})


@cache
def usual() -> DecideDecision:
    return decided(ledger())


@pytest.mark.parametrize(
    ("kind", "world", "options"),
    [
        ("general", replace(SMALL, jump=0.3, steep=0.15, recovery=0.06), {"flops": 1.5e19}),
        ("filtered", SMALL, {"tolerance": 0.3}),
        ("mixture", SMALL, {}),
        ("split", replace(SMALL, sharing=0.15, removal=0.6), {"keep_seed": True}),
    ],
)
def test_the_best_kind_is_chosen(kind: str, world: World, options: dict[str, Any]) -> None:
    found = decided(ledger(world), **options)
    assert found.choice is not None and found.choice.kind == kind and found.choice.params == 5e8
    limit = options.get("tolerance", 0.05)
    kept = [one for one in found.options if world.true_forgetting(one, found.question.keep_seed) <= limit]
    assert min(kept, key=world.true_loss) is found.choice
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["choice"]["kind"] == kind and told["decided"] and len(found.explain().splitlines()) == 5
    assert sum(one["p_best"] for one in told["options"]) <= 1 + 1e-9
    assert {one["kind"] for one in told["options"]} == {"general", "filtered", "mixture", "split"}


def test_curves_that_bend_late_are_followed() -> None:
    world = World(sizes=(1.25e8,), experts=False)  # its starting model knows 2.5B tokens' worth of the domain
    found = decided(ledger(world), flops=2e19, tolerance=None)
    filtered = next(one for one in found.options if one.kind == "filtered")
    assert filtered.beyond > 6
    assert filtered.loss == pytest.approx(world.true_loss(filtered), abs=0.1)  # .17 with the shapes of plan mixture


def test_pilots_are_charged_unless_sunk_and_serving_is() -> None:
    sunk = usual()
    pilots = sunk.ledger.pilot_flops
    runs = 5  # of either size: four ratios, one of them twice
    experts = sum(6 * n * (2.5e8 + 1e9 + 4e9) * 4 + 6 * n * 20 * n for n in SMALL.sizes)  # longest seed: twice the base
    assert pilots == pytest.approx(sum(6 * n * 4e9 * runs for n in SMALL.sizes) + experts)
    charged = decided(ledger(), pilots_sunk=False, flops=2.5e19 + pilots)
    assert charged.choice is not None and sunk.choice is not None
    assert charged.choice.tokens == pytest.approx(sunk.choice.tokens)
    assert charged.to_json()["cost"]["pilots"] == "charged"
    served = decided(ledger(), serve_tokens=1.2e10)
    at = {one.params: one.tokens for one in served.options}
    assert at[5e8] == pytest.approx((2.5e19 - 2 * 5e8 * 1.2e10) / (6 * 5e8))
    assert served.leader is not None and sunk.leader is not None
    assert served.leader.loss > sunk.leader.loss
    with pytest.raises(NotDecidable, match=r"leave nothing of the budget of 1e\+19"):
        decided(ledger(), pilots_sunk=False, flops=1e19)


def test_what_a_size_cannot_serve_is_not_considered() -> None:
    found = decided(ledger(), flops=6e19, serve_tokens=7e10)
    assert found.leader is not None and {one.params for one in found.options} == {2.5e8}
    assert {one.kind for one in found.missing if one.params == 5e8} == {"general", "filtered", "mixture", "split"}
    assert any("serving of 7e+19 FLOPs leave nothing" in one.reason for one in found.missing)


def test_no_option_within_the_limit_is_no_choice() -> None:
    found = decided(ledger(replace(SMALL, recovery=-0.05)), tolerance=0.0)
    assert found.choice is None and found.leader is None and not found.decided
    assert "no option keeps the general loss within 0 nats" in found.status
    assert len(found.explain().splitlines()) == 5 and found.to_json()["regret"] == {"nats": None, "flops": None}


def test_close_options_are_not_decided() -> None:
    asked = {"tolerance": 0.3, "sure": 0.99, "bound": 0.0}
    found = decided(ledger(), **asked)
    assert found.leader is not None and found.choice is None and found.status.startswith("not decidable: ")


def test_without_a_second_seed_nobody_knows_how_surely() -> None:
    table = ledger()
    found = decided(table[~table["run"].str.endswith("-1")])
    assert found.leader is not None and found.p_best is None and not found.decided
    assert "second seed" in found.status and "another seed" in found.explain()


def test_kinds_without_rows_are_named_with_a_remedy() -> None:
    table = ledger()
    found = decided(table[(table["domain_ratio"] != 1) & table["domain_ratio"].notna()], domains=None)
    told = {(one.kind, one.params): (one.reason, one.remedy) for one in found.missing}
    assert told[("filtered", 5e8)][0] == "no run on filtered text only (domain_ratio 1) was tried"
    assert "1.2e+19 FLOPs" in told[("filtered", 5e8)][1]
    assert told[("split", None)][0] == "the number of domains is not given"
    alone = decided(table[table["eval_on"] == "domain"], tolerance=None, general="general")
    assert {one.kind for one in alone.options} == {"split"}
    assert "no row is measured on a general set" in {one.reason for one in alone.missing}
    with pytest.raises(NotDecidable, match="what seed and experts forget is unknown"):
        decided(table[table["eval_on"] == "domain"])


def test_curves_are_not_followed_too_far() -> None:
    found = decided(ledger(), flops=1e20, domains=None)
    assert {one.params for one in found.options} == {5e8}
    assert "16.7 times the longest pilot" in next(one.reason for one in found.missing if one.params == 2.5e8)
    with pytest.raises(NotDecidable, match="times the longest pilot, more than 2"):
        decided(ledger(), flops=1e20, domains=None, reach=2)


def test_seeds_are_not_followed_too_far_either() -> None:
    table = ledger()
    seeds = table[(table["params"] == 5e8) & (table["eval_on"] == "domain") & table["domain_ratio"].isna()]
    asked: dict[str, Any] = {"tolerance": None, "flops": 1e20, "reach": 1.5}  # 33B tokens; seeds of 20B at most
    with pytest.raises(NotDecidable, match="tokens of (the seed|each expert) are .* times the longest, more than 1.5"):
        decided(seeds, **asked)
    found = decided(seeds, **{**asked, "reach": 10})
    split = next(one for one in found.options if one.kind == "split")
    assert split.seed_tokens is not None and split.expert_tokens is not None
    assert split.beyond == pytest.approx(max(split.seed_tokens / 2e10, split.expert_tokens / 4e9))
    far = replace(World(), sizes=(5e8,), longest=6e10, removal=0.0, bias=0.05)  # experts gain little: a long seed
    with pytest.raises(NotDecidable, match="tokens of the seed are .* times the longest, more than 10"):
        decided(ledger(far)[lambda rows: rows["domain_ratio"].isna()], **{**asked, "flops": 1.5e21, "reach": 10})


def test_an_untried_size_and_little_text() -> None:
    world = World()
    plenty = decided(ledger(world), sizes=(1e9,), flops=4e19, domains=None)
    assert all(one.untried and one.params == 1e9 for one in plenty.options)
    for one in plenty.options:
        low, high = plenty.interval(one)
        assert low is not None and high is not None and low < world.true_loss(one) < high
    little = decided(ledger(world), sizes=(1e9,), flops=4e19, domains=None, unique_tokens=2e8)
    filtered = [next(one for one in found.options if one.kind == "filtered") for found in (plenty, little)]
    assert filtered[1].loss > filtered[0].loss and filtered[1].epochs == pytest.approx(4e19 / 6e9 / 2e8)


def test_a_run_like_a_pilot_that_repeats_its_text_ends_where_the_pilot_did() -> None:
    world = World(sizes=(5e8,), ratios=(0.0, 0.25, 0.5, 1.0), unique_tokens=1e8, experts=False)
    question = Question(1.2e19, unique_tokens=1e8, draws=200)
    made = continued_from(ledger_of(ledger(world), "general", None, None), {5e8: 4e9}, question)
    ratios, tokens = np.array([0.25, 0.5, 1.0]), np.full(3, 4e9)
    found, _ = made.at(5e8, ratios, tokens, question)
    surface, (counted, _) = made.domain[5e8], fresh(tokens, ratios, 1e8)
    pilots = surface.level + surface.levels.mean_draws(counted).mean(axis=0)[[1, 2, 3], [0, 1, 2]]
    assert found.expected == pytest.approx(pilots, abs=1e-9)  # .01 off where a pilot's share counts in full


def test_pilots_that_read_more_than_there_is_are_told_and_the_column_is_believed() -> None:
    table = ledger()
    assumed = decided(table, unique_tokens=2.5e9)
    said = f"{2 * 2} runs read more domain text than --unique-tokens"  # ratios .75 and 1, at both sizes
    assert any(note.startswith(said) for note in assumed.notes)
    told = decided(table.assign(unique_tokens=table["tokens"]), unique_tokens=2.5e9)
    assert not any("--unique-tokens" in note for note in told.notes)
    losses = [next(one.loss for one in found.options if one.kind == "filtered") for found in (assumed, told)]
    assert losses[0] != losses[1]


def test_seeds_are_paid_whether_their_trunk_is_named_or_empty() -> None:
    table = simulate(SMALL, 1)  # the experts have no trunk: NaN in a table that nobody has read
    flops = [ledger_of(one, "general", None, 4).pilot_flops for one in (table, ledger())]
    assert table["trunk"].isna().any() and flops[0] == flops[1]


def test_the_same_rows_give_the_same_answer_in_any_order() -> None:
    table, first = ledger(), usual()
    again = decided(table.sample(frac=1, random_state=0))
    assert first.choice is not None and again.choice is not None
    assert first.choice.plan() == again.choice.plan() and first.p_best == pytest.approx(again.p_best, abs=0.05)
    assert first.to_json() == decided(table).to_json()
    assert set(row_digests(first.rows)) <= set(row_digests(table))


def test_what_is_promised_names_rows_and_holds_a_new_run() -> None:
    world, found = SMALL, usual()
    promised = found.to_json()["predictions"]
    chosen = [one for one in promised if one["chosen"]]
    assert len(chosen) == 1 and chosen[0]["eval_on"] == "domain" and found.choice is not None
    low, high = found.interval(found.choice)
    assert low is not None and high is not None
    assert chosen[0]["high"] - chosen[0]["low"] > 0.98 * (high - low)
    assert [one["feasible"] for one in promised if one.get("domain_ratio") == 1] == [
        False,
        False,
    ]  # they break the limit
    general = next(one for one in promised if one["eval_on"] == "general")
    start = 3.0 + 482 / 5e8**0.3478
    assert general["low"] < start + world.true_forgetting(found.choice) < general["high"]


def test_faulty_tables_are_refused() -> None:
    table = ledger()
    with pytest.raises(UserError, match="column run is missing"):
        decided(table.drop(columns="run"))
    with pytest.raises(UserError, match="no rows for the domain set 'law'"):
        decided(table, domain="law")
    other = table.assign(eval_on=table["eval_on"].where(table["eval_on"] != "general", "web"))
    with pytest.raises(UserError, match="no rows for the general set"):
        decided(other)
    assert decided(other, general="web").leader is not None
    assert np.isfinite(decided(table, tolerance=None).verdict.regret or 0.0)
