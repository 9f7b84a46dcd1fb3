from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.planning.specialize.curves import Curve, Names, curves_of
from speciate.planning.specialize.minimum import (
    Differences,
    Minimum,
    bound_of,
    differences_of,
    minimum_of,
    residuals,
    scatters,
    valley_of,
)

NAMES = Names("general", "law", "oab", None, None)
GRID = np.arange(1, 29) / 28 * 58.7e9
ALONE = Differences(0.0, 0.0, 0)


def curve(values: np.ndarray, tokens: np.ndarray = GRID, start: float | None = None) -> Curve:
    """Of ln perplexities (n,) of one run, or (R, n) of several."""
    values = np.atleast_2d(values)
    named = tuple(f"r{i}" for i in range(len(values)))
    count = np.full(len(tokens), float(len(values)))
    return Curve(1e9, "law", tokens, values, values.mean(axis=0), count, named, (None,) * len(values), start)


def found(one: Curve, differ: Differences = ALONE, scatter: float | None = None) -> Minimum:
    noise = scatters([one])[0] if scatter is None else scatter
    return minimum_of(one, valley_of(one, noise), differ, 0.9, 1000, np.random.default_rng(0))


def lopsided(tokens: np.ndarray, minimum: float, bend: float = 0.05, lean: float = 0.3) -> np.ndarray:
    u = np.log(tokens / minimum)
    return np.asarray(np.log(2.0) + bend * u**2 * (1 + lean * np.tanh(u)))


@pytest.mark.parametrize("minimum", [9e9, 20e9, 33.6e9, 45e9])
def test_the_minimum_lies_between_checkpoints(minimum: float) -> None:
    one = found(curve(lopsided(GRID, minimum, lean=0.0)))
    assert one.tokens == pytest.approx(minimum, rel=0.01)
    assert one.low is not None and one.high is not None and one.low < minimum < one.high
    assert one.bound == "" and not one.near


def test_it_is_better_than_the_lowest_checkpoint_and_its_interval_covers() -> None:
    rng = np.random.default_rng(5)
    inside, errors, plain = [], [], []
    for _ in range(150):
        truth = float(np.exp(rng.uniform(np.log(10e9), np.log(35e9))))
        one = found(curve(lopsided(GRID, truth, bend=0.1) + rng.normal(0, 0.008, len(GRID))))
        inside.append((one.low or 0) <= truth <= (one.high or np.inf))
        errors.append(np.log(one.tokens / truth))
        plain.append(np.log(one.checkpoint / truth))
    assert 0.82 <= np.mean(inside) <= 0.98
    assert np.std(errors) < 0.6 * np.std(plain)


def test_a_curve_that_still_falls_is_censored_at_its_end() -> None:
    one = found(curve(lopsided(GRID, 200e9)))
    assert one.censored and one.tokens == one.last == one.checkpoint and one.high is None
    assert one.low is not None and one.low <= one.tokens and not one.near


@pytest.mark.parametrize(("share", "near"), [(0.95, True), (0.5, False)])
def test_a_minimum_close_to_the_end_is_near_censored(share: float, near: bool) -> None:
    one = found(curve(lopsided(GRID, share * GRID[-1])))
    assert one.near is near and (one.high is None) is near and not one.censored


def test_noise_alone_makes_a_late_minimum_near_censored() -> None:
    quiet = lopsided(GRID, 46e9, bend=0.05)
    assert not found(curve(quiet)).near
    assert found(curve(quiet + np.random.default_rng(1).normal(0, 0.02, len(GRID))), scatter=0.02).high is None


def test_what_the_first_checkpoint_and_the_start_say() -> None:
    rising = curve(np.log(np.linspace(2.0, 3.0, 28)))
    early = found(rising)
    assert early.bound == "at most" and early.low is None and early.high is not None
    assert bound_of(curve(lopsided(GRID, 2e10), start=1.9), None) == "none"
    assert bound_of(curve(lopsided(GRID, 2e10), start=2.1), None) == ""
    assert bound_of(curve(np.array([0.5]), GRID[:1]), None) == "single"
    assert found(curve(np.array([0.6, 0.5]), GRID[:2])).bound == "at least"
    assert found(curve(np.array([0.5, 0.6]), GRID[:2])).bound == "at most"


def test_the_steep_start_of_a_run_does_not_draw_the_minimum() -> None:
    values = lopsided(GRID, 30e9, lean=0.0) + 3.0 * np.exp(-GRID / 2e9)
    assert found(curve(values)).tokens == pytest.approx(30e9, rel=0.02)


def test_scatter_is_measured_about_the_curve() -> None:
    rng = np.random.default_rng(2)
    curves = [curve(lopsided(GRID, 2e10) + rng.normal(0, 0.01, 28)) for _ in range(20)]
    assert np.mean(scatters(curves)) == pytest.approx(0.01, rel=0.2)
    assert scatters([curve(np.array([0.7, 0.5, 0.6]), GRID[:3])])[0] < 1e-3
    assert residuals(np.arange(5.0), rng.normal(size=5)).shape == (2,)


def test_runs_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    shifts = np.exp(rng.normal(0, 0.2, (12, 2)))
    curves = [
        curve(np.stack([lopsided(GRID, 2e10 * shift) + 0.05 * i for i, shift in enumerate(pair)])) for pair in shifts
    ]
    noise = scatters(curves)
    fits = [valley_of(one, scatter) for one, scatter in zip(curves, noise, strict=True)]
    differ = differences_of(curves, fits, noise)
    assert differ.freedom == 12 and differ.place == pytest.approx(0.2, rel=0.5)
    assert differ.level == pytest.approx(0.05 / np.sqrt(2), rel=0.2)
    wide, narrow = found(curves[0], differ), found(curves[0])
    assert np.log(wide.high or 0) - np.log(wide.low or 0) > 2 * (np.log(narrow.high or 0) - np.log(narrow.low or 0))


def test_runs_without_some_checkpoints_do_not_bend_the_mean() -> None:
    parts = []
    for run, level, kept in (("a", 0.0, slice(None)), ("b", 0.3, slice(0, 15))):
        tokens = GRID[kept]
        values = np.exp(lopsided(tokens, 30e9, lean=0.0) + level)
        parts.append(pd.DataFrame({"run": run, "tokens": tokens, "perplexity": values}))
    rows = pd.concat(parts).assign(params=1e9, train_on="law")
    one = curves_of(rows, NAMES)[1e9, "law"]
    assert one.runs == ("a", "b") and found(one).tokens == pytest.approx(30e9, rel=0.02)


def test_runs_named_by_checkpoint_are_joined() -> None:
    rows = pd.DataFrame({"tokens": GRID, "perplexity": np.exp(lopsided(GRID, 2e10)), "params": 1e9, "train_on": "law"})
    rows["run"] = [f"step-{i}" for i in range(len(rows))]
    assert curves_of(rows, NAMES)[1e9, "law"].runs == ("run",)
    assert curves_of(rows.assign(seed=4), NAMES)[1e9, "law"].seeds == (4,)
