"""What repeated text is worth, and how the plans count it."""

from __future__ import annotations

import numpy as np
import pytest

from speciate.errors import UserError
from speciate.laws.repetition import effective
from speciate.planning.domains.plan import plan_domains
from speciate.planning.domains.simulate import DomainSetup, simulate_domains
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.repetition import LASTING, at_critical_ratio, effective_share, published, repeated
from speciate.planning.mixture.simulate import Setup, simulate


def test_the_effective_share_is_the_papers_effective_tokens() -> None:
    shares = np.array([0.05, 0.1, 0.2, 0.5, 1.0])
    horizon, unique = 20e9, 2e9
    read = shares * horizon
    again = np.maximum(read / unique - 1, 0)
    law = np.where(read <= unique, read, effective(np.full(5, unique), again, np.array([LASTING]))) / horizon
    assert effective_share(shares, unique / horizon, LASTING) == pytest.approx(law)
    assert effective_share(shares, np.inf, LASTING) == pytest.approx(shares)
    fine = effective_share(np.linspace(0, 1, 201), 0.02, 5.0)
    assert (np.diff(fine) >= 0).all() and (np.diff(fine, 2) <= 1e-12).all()  # it flattens, and never falls
    assert fine[-1] <= 0.02 * (1 + 5.0)


def test_epochs_cost_and_a_smaller_share_that_is_enough() -> None:
    lasting = published(np.random.default_rng(0), 500)
    found = repeated("law", 1e8, 0.5, 1e10, lasting, lambda at: 3.0 - 2.0 * at, 0.9, 1.0)
    assert found.epochs == pytest.approx(50) and found.tokens == pytest.approx(5e9)
    assert found.cost == pytest.approx(2 * (0.5 - found.effective_share)) and found.extrapolated
    assert found.low is not None and found.high is not None and found.cost is not None
    assert found.low < found.cost < found.high
    assert found.enough_share is not None and found.enough_share < 0.5
    assert found.warning is not None and "no measured run repeats it" in found.warning
    fresh = repeated("law", 1e10, 0.5, 1e10, lasting, lambda at: 3.0 - 2.0 * at, 0.9, 1.0)
    assert fresh.epochs == 0.5 and fresh.cost == 0 and fresh.warning is None and not fresh.extrapolated


def test_scarce_text_moves_the_best_shares_to_the_other_domain() -> None:
    one = simulate_domains(DomainSetup(run_sd=0, jitter=0), 3)
    table = one.table  # its runs say that nothing repeats: unique_tokens = tokens
    free = plan_domains(table, draws=100)
    scarce = plan_domains(table, unique={"law": 5e3}, draws=100)
    assert scarce.shares["law"] < free.shares["law"] - 0.01 and scarce.shares["code"] > free.shares["code"]
    law = scarce.repetition[0]
    assert law.epochs == pytest.approx(scarce.shares["law"] * 1e6 / 5e3) and law.extrapolated
    assert scarce.lasting is not None and "as published" in scarce.lasting
    assert scarce.objective > free.objective
    general = [decision.losses[0].value for decision in (free, scarce)]
    assert general[0] == pytest.approx(general[1], abs=1e-3)  # repeated text displaces as much general text as fresh


@pytest.mark.parametrize("lasting", [5.0, 40.0])
def test_runs_that_repeat_are_planned_to_the_true_best(lasting: float) -> None:
    setup = DomainSetup(run_sd=0.001, jitter=0.0005, unique=(2e4, 2e4), lasting=lasting)
    one = simulate_domains(setup, 3)
    found = plan_domains(one.table, unique={"law": 2e4, "code": 2e4}, draws=300)
    mine = np.array(list(found.shares.values()))
    assert one.objective(mine) == pytest.approx(one.objective(one.best), abs=0.003)
    assert found.lasting is not None and "from the pilots that repeat" in found.lasting
    low, high = (float(part) for part in found.lasting.split("(90% ")[1].split(")")[0].split(" to "))
    assert low <= lasting <= high
    assert not any(one.extrapolated for one in found.repetition)


def test_a_single_domain_run_tells_its_repeats_by_unique_tokens() -> None:
    one = simulate_domains(DomainSetup(domains=1, unique=(3e4,), run_sd=0.001, jitter=0.0005), 3)
    told = plan_domains(one.table, draws=100)
    assert any("say how much with --unique" in note for note in told.notes)
    silent = plan_domains(one.table.drop(columns="unique_tokens"), unique={"law": 3e4}, draws=100)
    assert any("taken to repeat them" in note for note in silent.notes)
    both = plan_domains(one.table, unique={"law": 3e4}, draws=100)
    assert both.shares["law"] == pytest.approx(silent.shares["law"], abs=0.01)


def test_repeats_of_unknown_text_are_taken_as_fresh_and_told() -> None:
    table = simulate_domains(DomainSetup(unique=(2e4, 2e4)), 3).table
    found = plan_domains(table, draws=100)
    assert any("whose cannot be told" in note for note in found.notes)


def test_epochs_at_the_critical_ratio() -> None:
    table = simulate(Setup(sizes=(141_760,), horizon=1e6), 3).table
    decision = plan_mixture(table, draws=100)
    assert decision.critical_ratio is not None
    found = at_critical_ratio(decision, table[table["eval_on"] == "code"], 5e4)[141_760]
    assert found.epochs == pytest.approx(decision.critical_ratio * decision.largest.horizon_tokens / 5e4)
    assert found.cost is not None and found.cost > 0.01
    assert found.seen_epochs == pytest.approx(0.9 * table["tokens"].max() / 5e4) and not found.extrapolated
    plenty = at_critical_ratio(decision, table[table["eval_on"] == "code"], 1e9)[141_760]
    assert plenty.cost == pytest.approx(0, abs=1e-6) and plenty.warning is None
    with pytest.raises(UserError, match="unique tokens"):
        at_critical_ratio(decision, table, 0)
