"""``from speciate import plan``: every decision of the command line can be asked for in Python."""

from __future__ import annotations

import inspect

import pytest

from speciate import plan
from speciate.planning.decide.simulate import World
from speciate.planning.decide.simulate import simulate as simulate_decide
from speciate.planning.domains.simulate import DomainSetup, simulate_domains
from speciate.planning.mixture.simulate import Setup, simulate


def test_mixture_repetition_and_the_next_run() -> None:
    table = simulate(Setup(sizes=(35_552,), jitter=0.002, run_sd=0.003), 0).table
    free = plan.mixture(table, horizon=2e6, draws=200)
    weighed = plan.mixture(table, horizon=2e6, draws=200, lambda_=0.5)
    assert free.critical_ratio is not None and weighed.method["lambda"] == 0.5
    assert len(free.rows) == len(table) and set(free.rows["eval_on"]) == {free.general, free.domain}
    (again,) = plan.repetition(free, unique=1e5).values()
    assert again.epochs == pytest.approx(free.critical_ratio * 2e6 / 1e5)
    bought = plan.next_run(table, kind="mixture", horizon_tokens=2e6, draws=200)
    assert bought.decided and bought.explain().startswith(
        ("Choice: carry", "Choice: buy", "Choice: a new", "Choice: one")
    )


def test_domains_and_decide() -> None:
    setup = DomainSetup(domains=2)
    found = plan.domains(simulate_domains(setup, 3).table, tolerance=0.04, draws=200)
    assert set(found.shares) == set(found.domains) and found.tolerance == 0.04
    table = simulate_decide(World(sizes=(5e8,), ratios=(0.0, 0.5, 1.0), points=8), seed=1)
    choice = plan.decide(table, flops=3e19, pilots_sunk=True, tolerance=None, regret=0.01, draws=200)
    assert choice.choice is not None and choice.choice.kind == "filtered" and choice.question.bound == 0.01


def test_all_that_is_named_is_there() -> None:
    assert all(inspect.isfunction(getattr(plan, name)) for name in plan.__all__)
