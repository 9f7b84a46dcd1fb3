from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from speciate.fitting.fit import Fit, fit
from speciate.fitting.noise import Noise
from speciate.fitting.profile import Interval
from speciate.fitting.words import evidence, explain
from speciate.laws import LAWS


@pytest.fixture(scope="module")
def mixed() -> Fit:
    """A law that has other constants in its source, with notes, noise, rows left out and a hold-out."""
    shares = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], 40).T
    x = {f"share_{i + 1}": shares[i] for i in range(3)}
    loss = LAWS["mixing"].predict([3.2, 0.6, 1.9, -0.7], x) * np.exp(np.random.default_rng(1).normal(0, 2e-3, 40))
    table = pd.DataFrame({**{f"share_{n}": shares[i] for i, n in enumerate(("code", "law", "web"))}, "loss": loss})
    table.loc[3, "loss"] = np.nan
    return fit("mixing", table, holdout="share_web>.7", noise_by="share_law", bootstrap=50)


def line(lines: list[str], start: str) -> str:
    found = [one for one in lines if one.strip().startswith(start)]
    assert len(found) == 1, lines
    return found[0]


def test_all_that_matters_on_one_screen(mixed: Fit) -> None:
    lines = mixed.explain()
    assert len(lines) <= 24 and lines[0].startswith("mixing: loss = base + k (exp((w_code share_code")
    assert "nats/token" in line(lines, "base ") and " .. " in line(lines, "base ")
    own = lines.index("as the source writes it:")
    assert [one.split()[0] for one in lines[own + 1 : own + 6]] == ["c", "k", "t_code", "t_law", "t_web"]
    k = mixed.published["k"]
    assert f"{k['value']:.4g}" in lines[own + 2] and f"{k['low']:.4g} .. {k['high']:.4g}" in lines[own + 2]
    assert "changes with share_law" in line(lines, "noise:")
    assert line(lines, "left out:") == "left out: 1 row where loss is missing"
    assert mixed.holdout is not None and f"{mixed.holdout.rows} rows" in line(lines, "held out:")
    assert "without row" in line(lines, "sensitivity:")
    assert lines[-1] == f"status: {mixed.status}"


def test_columns_are_aligned(mixed: Fit) -> None:
    meanings = [p.meaning for p in mixed.law.parameters]
    rows = mixed.explain()[1 : 1 + len(meanings)]
    assert len({row.index(meaning) for row, meaning in zip(rows, meanings, strict=True)}) == 1


def test_constants_that_are_parameters_are_told_once() -> None:
    params, tokens = (grid.ravel() for grid in np.meshgrid([1e8, 4e8, 1e9], [2e9, 8e9, 3e10]))
    x = {"params": params, "tokens": tokens}
    loss = LAWS["kaplan"].predict([8.8e13**0.8, 5.4e13, 0.8, 0.095], x)
    lines = fit("kaplan", pd.DataFrame({**x, "loss": loss}), bootstrap=0).explain()
    assert sum(one.strip().startswith("D_c ") for one in lines) == 1
    assert sum(one.strip().startswith("N_c ") for one in lines) == 1


def test_noise_and_notes_in_words(mixed: Fit) -> None:
    told = explain(replace(mixed, noise=Noise(stderr=True, between=0.0012), notes=("flops were taken as 6 N D",)))
    assert line(told, "noise:") == "noise: rows count by their stderr, beside run-to-run noise of 0.0012"
    assert line(told, "note:") == "note: flops were taken as 6 N D"
    assert not any(one.startswith("noise") for one in explain(replace(mixed, noise=Noise())))


def test_rows_without_runs_are_not_called_runs_on_trunks(mixed: Fit) -> None:
    assert evidence(mixed).startswith(f"fitted to {mixed.rows} rows, each a run of its own; typical error")
    assert "rows, each a run of its own on 3 trunks" in evidence(replace(mixed, trunks=3))
    assert evidence(replace(mixed, runs=7, trunks=3)).startswith(f"fitted to {mixed.rows} rows of 7 runs on 3 trunks")


def test_what_no_interval_holds_is_not_claimed(mixed: Fit) -> None:
    assert evidence(mixed).endswith("intervals hold 90%")
    assert "hold" not in evidence(replace(mixed, draws=None))
    profiles = {name: Interval(None, 1.0, "no end below") for name in mixed.law.names}
    told = explain(replace(mixed, profiles=profiles, draws=None))
    assert "profile intervals hold 90%" in "\n".join(told) and "at most 1 " in line(told, "base ")
