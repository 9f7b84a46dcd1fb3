"""Every decision says its five lines in one form, decided or not."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.laws.split import PRESET, SPLIT
from speciate.planning.accuracy.plan import plan_accuracy
from speciate.planning.decide.plan import plan_decide
from speciate.planning.decide.simulate import World
from speciate.planning.decide.simulate import simulate as simulate_decide
from speciate.planning.domains.plan import plan_domains
from speciate.planning.domains.simulate import DomainSetup, simulate_domains
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, simulate
from speciate.planning.predictions import Decision
from speciate.planning.specialize.plan import plan_specialize
from speciate.planning.split.plan import plan_split
from speciate.runs.table import read_table

LABELS = ["Choice", "How sure", "Cost", "What would change it", "Next"]
SEAL = "Next: seal it before it is run: speciate plan {} ... --seal plan.json"
RUN = "Next: run it, add its rows, and plan again: "
FEW: Any = {"draws": 200}


def pairs() -> dict[str, tuple[Decision, Decision]]:
    """By command: a decision that is made, and one that is not."""
    mixed = simulate(Setup(sizes=(35_552,)), 0).table
    domains = simulate_domains(DomainSetup(domains=2), 3).table
    options = simulate_decide(World(sizes=(5e8,), ratios=(0.0, 0.5, 0.75, 1.0), points=8), seed=1)
    size, ratio = (one.ravel() for one in np.meshgrid([6e7, 1.2e8, 2.5e8, 5e8, 1e9], [10.0, 20, 40, 160]))
    exam = pd.DataFrame({"params": size, "tokens": size * ratio, "chance": 0.25})
    exam["accuracy"] = 0.25 + 0.75 * np.exp(-0.35 / (size / 1e9) ** 0.35 - 0.5 / (exam["tokens"] / 1e9) ** 0.3)
    exam["accuracy"] += np.random.default_rng(4).normal(0, 0.008, len(exam))
    budget = {"flops": 2.5e19, "pilots_sunk": True, "tolerance": 0.3, "reach": 10, **FEW}
    return {
        "mixture TABLE": (plan_mixture(mixed, **FEW), plan_mixture(mixed[mixed["domain_ratio"] < 0.6], **FEW)),
        "mixture TABLE --domains law,code": (
            plan_domains(domains, **FEW),
            plan_domains(domains, tolerances={"law": -0.45, "code": -0.45}, **FEW),
        ),
        "split TABLE": (
            plan_split(losses(0.003), total_tokens=7e11, domains=16, **FEW),
            plan_split(losses(0.01), total_tokens=6e10, domains=16, params=1.3e9, **FEW),
        ),
        "accuracy TABLE": (
            plan_accuracy(exam, params=4e9, tokens=8e10, **FEW),
            plan_accuracy(exam, params=7e11, tokens=1.4e13, **FEW),
        ),
        "decide TABLE": (
            plan_decide(options, **budget),
            plan_decide(options, sure=0.9999, bound=0.0, **budget),
        ),
        "specialize TABLE": (plan_specialize(exams(8e10)), plan_specialize(exams(2e10))),
    }


def losses(noise: float) -> pd.DataFrame:
    """Of seeds and experts, whose truth is PRESET."""
    runs = [(n, d, t) for n, d, t in product((1e8, 3.5e8, 7.6e8, 1.3e9), (0, 5e9, 2e10, 6e10), (0, 4e9, 1.6e10))]
    table = pd.DataFrame([one for one in runs if one[1] + one[2]], columns=["params", "seed_tokens", "tokens"])
    table["run"] = [f"run{i}" for i in range(len(table))]
    table["loss"] = SPLIT.predict(PRESET, table[["params", "seed_tokens", "tokens"]])
    table["loss"] += np.random.default_rng(1).normal(0, noise, len(table))
    return table


def exams(end: float) -> pd.DataFrame:
    """Perplexities of two regimes; the specialised runs end at ``end`` tokens."""
    parts = []
    for regime, least, best, last in (("general", 4e10, 2.5, 8e10), ("law", 2.5e10, 2.0, end)):
        tokens = np.linspace(4e9, last, 20)
        value = best * np.exp(0.1 * np.log(tokens / least) ** 2) * (1.3 if end < 4e10 and regime == "law" else 1)
        parts.append(pd.DataFrame({"params": 7e9, "train_on": regime, "tokens": tokens, "perplexity": value}))
    return read_table(pd.concat(parts).assign(eval_on="oab"))


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[Decision, Decision]]:
    return pairs()


COMMANDS = [
    "mixture TABLE", "mixture TABLE --domains law,code", "split TABLE", "accuracy TABLE", "decide TABLE",
    "specialize TABLE",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_decision_has_the_same_five_lines(command: str, found: dict[str, tuple[Decision, Decision]]) -> None:
    made, open_ = (one.explain().splitlines() for one in found[command])
    assert [line.split(":")[0] for line in made] == [line.split(":")[0] for line in open_] == LABELS
    assert not made[0].startswith("Choice: none") and made[4] == SEAL.format(command)
    assert open_[0].startswith("Choice: none yet; ") and "not decidable" not in open_[0]
    assert open_[4].startswith(RUN) and len(open_[4]) > len(RUN) + 10
    for line in (*made, *open_):
        assert len(line) < 260 and ".." not in line.replace(" ...", "")
        assert not re.search(r"\d,\d{3} (params|tokens)|e\+\d+ (params|tokens)", line)  # 1.3B params, 347B tokens
        assert "(6 N D)" in line or not line.startswith("Cost")
