"""The correction against the posterior computed on a grid, and what a log may hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.actuals import PRIOR, USUAL, WEIGHT, Actual, append_actuals, correction, read_actuals


def run(name: str, launch: str, ratio: float, estimated: float = 100.0) -> Actual:
    return Actual(name, launch, "H100", "7B", estimated, estimated * ratio)


def test_nothing_is_corrected_without_runs() -> None:
    assert correction([]) is None


def test_a_name_with_an_odd_line_break_is_one_line(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    runs = [run("one\u2028two\x85three", "first", 1.5), run("four", "first", 1.2)]
    append_actuals(log, runs)
    log.write_bytes(log.read_bytes().replace(b"\n", b"\r\n"))  # as an editor on Windows leaves it
    assert read_actuals(log) == runs


def test_the_formula_is_the_posterior_predictive() -> None:
    ratios = [1.3, 1.7, 1.4]
    found = correction([run(str(i), str(i), ratio) for i, ratio in enumerate(ratios)])
    assert found is not None
    logs = np.log(ratios)
    variance = (WEIGHT * USUAL**2 + ((logs - logs.mean()) ** 2).sum()) / (WEIGHT + 2)
    means = np.linspace(-3, 3, 20_001)
    density = np.exp(-(means**2) / (2 * PRIOR**2) - ((logs[:, None] - means) ** 2).sum(0) / (2 * variance))
    density /= density.sum()
    mean = (density * means).sum()
    spread = math.sqrt((density * (means - mean) ** 2).sum() + variance)
    assert math.log(found.factor) == pytest.approx(mean, abs=1e-6)
    assert math.log(found.high / found.low) == pytest.approx(2 * 1.943180 * spread, rel=1e-3)  # t of 6


def test_runs_of_one_launch_are_one_observation_weighted_by_their_seconds() -> None:
    together = correction([run("a", "first", 2.0, 300.0), run("b", "first", 1.0, 100.0)])
    alone = correction([run("a", "first", 1.75)])
    assert together is not None and alone is not None
    assert (together.low, together.factor, together.high) == pytest.approx((alone.low, alone.factor, alone.high))
    assert (together.runs, together.launches) == (2, 1)


@given(st.lists(st.floats(0.2, 5), min_size=1, max_size=6))
def test_a_shrunk_mean_within_its_interval(ratios: list[float]) -> None:
    found = correction([run(str(i), str(i), ratio) for i, ratio in enumerate(ratios)])
    assert found is not None
    assert found.low < found.factor < found.high
    mean = sum(map(math.log, ratios)) / len(ratios)
    assert abs(math.log(found.factor)) <= abs(mean) + 1e-12
    again = correction([run(str(i), str(i), math.exp(mean)) for i in range(50)])
    assert again is not None and math.log(again.factor) == pytest.approx(mean, abs=0.01)  # many launches convince


@pytest.mark.parametrize("launches", [1, 3])
def test_the_interval_holds_what_it_says(launches: int) -> None:
    """Machines drawn as the module assumes: nine in ten of next launches lie within the interval (3 s.e. is 1.3 %)."""
    draw = Random(0)
    inside, repeats = 0, 5000
    for _ in range(repeats):
        machine = draw.gauss(0, PRIOR)
        spread = USUAL * math.sqrt(WEIGHT / draw.gammavariate(WEIGHT / 2, 2))  # sqrt of a scaled inverse chi^2
        ratios = [math.exp(draw.gauss(machine, spread)) for _ in range(launches + 1)]
        found = correction([run(str(i), str(i), ratio) for i, ratio in enumerate(ratios[:-1])])
        assert found is not None
        inside += found.low <= ratios[-1] <= found.high
    assert inside / repeats == pytest.approx(0.9, abs=0.013)


def test_a_log_is_added_to_and_a_run_is_in_it_once(tmp_path: Path) -> None:
    log = tmp_path / "actuals.jsonl"
    assert read_actuals(log) == []
    first, second = run("a", "first", 1.5), run("b", "first", 2.0)
    append_actuals(log, [first, second])
    again = run("a", "second", 1.1)
    append_actuals(log, [again])
    assert read_actuals(log) == [second, again]
    log.write_text(f"\ufeff{log.read_text(encoding='utf-8')}\n\n", encoding="utf-8")  # as an editor leaves it
    assert read_actuals(log) == [second, again]


def test_every_line_at_fault_is_named(tmp_path: Path) -> None:
    log = tmp_path / "actuals.jsonl"
    good = json.loads(json.dumps(run("a", "first", 1.5).__dict__))
    lines = ["{", "[1]", good | {"actual_seconds": 0}, good | {"estimated_seconds": "1"}, good | {"name": 3},
             good | {"actual_seconds": True}, good | {"actual_seconds": 1e300},
             {name: value for name, value in good.items() if name != "launch"}]  # fmt: skip
    log.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in [good, *lines]), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_actuals(log)
    said = [(problem.where.split()[-1], problem.what) for problem in caught.value.problems]
    assert [line for line, _ in said] == ["2", "3", "4", "5", "6", "7", "8", "9"]
    assert [what for _, what in said][1:] == [
        "is a JSON list, not an object", "actual_seconds is 0", "estimated_seconds is '1'", "name is 3",
        "actual_seconds is True", "actual_seconds is 1e+300", "launch is missing",
    ]  # fmt: skip
    log.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_actuals(log)
