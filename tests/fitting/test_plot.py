"""Figures and the notebook's table: what is drawn is what was fitted, and nothing of the user's text is markup."""

from __future__ import annotations

import builtins
import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.errors import UserError
from speciate.fitting.fit import Fit, fit
from speciate.fitting.plot import BARS, DARK, LIGHT, figure
from speciate.laws import LAWS

go = pytest.importorskip("plotly.graph_objects")


@pytest.fixture(scope="module")
def curve() -> Fit:
    tokens = np.tile(np.geomspace(1e6, 1e8, 8), 6)
    loss = LAWS["mixture-domain"].with_scale("tokens", 1e7).predict([3.0, -0.05, -0.1], {"tokens": tokens})
    loss += np.random.default_rng(0).normal(0, 0.002, 48)
    rows = {"tokens": tokens, "loss": loss, "run": np.repeat(list("abcdef"), 8), "eval_on": "<i>law</i>"}
    return fit("mixture-domain", pd.DataFrame(rows), bootstrap=60)


@pytest.fixture(scope="module")
def plane() -> Fit:
    params, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 1e10, 8), np.geomspace(1e9, 1e11, 8)))
    exact = 1.8 + 480 / params**0.35 + 2100 / tokens**0.37
    loss = exact * np.exp(np.random.default_rng(0).normal(0, 0.003, 64))
    return fit("chinchilla", pd.DataFrame({"params": params, "tokens": tokens, "loss": loss}), bootstrap=60)


def named(drawn: Any, part: str) -> Any:
    found = [trace for trace in drawn.data if trace.name and part in trace.name]
    assert found, [trace.name for trace in drawn.data]
    return found[0]


def test_a_law_of_one_input_is_a_curve_with_its_band(curve: Fit) -> None:
    drawn = curve.plot()
    line, band, points = (named(drawn, part) for part in ("mixture-domain", "90% of new", "measured"))
    np.testing.assert_allclose(line.y, curve.predict(tokens=np.array(line.x)).value)
    assert curve.shown is not None
    np.testing.assert_array_equal(points.y, curve.shown.y)
    upper, lower = np.split(np.array(band.y), 2)
    assert (upper > np.array(line.y)).all() and (lower[::-1] < np.array(line.y)).all()
    guess = curve.predict(tokens=np.array(line.x))
    width = np.mean(upper - lower[::-1]) / np.mean(guess.high - guess.low)
    assert width == pytest.approx(1, abs=0.02), "a running mean keeps the width"
    assert drawn.layout.xaxis.type == "log" and drawn.layout.coloraxis.colorbar.title.text is None


def test_a_law_of_several_is_measured_against_predicted(plane: Fit) -> None:
    drawn = plane.plot()
    points = [trace for trace in drawn.data if trace.mode == "markers"]
    assert plane.shown is not None and len(points) == 2
    np.testing.assert_array_equal(points[0].x, plane.shown.predicted)
    np.testing.assert_allclose(points[1].y, 100 * (plane.shown.y / plane.shown.predicted - 1))
    np.testing.assert_allclose(10 ** np.array(points[1].marker.color), plane.shown.x["tokens"])
    assert drawn.layout.coloraxis.colorbar.title.text == "tokens" and "%" in drawn.layout.yaxis2.title.text
    bars = named(drawn, f"at {BARS} rows")
    assert len(bars.x) == 3 * BARS and np.isnan(bars.x[2::3]).all()
    assert (np.array(bars.y[0::3]) < np.array(bars.x[0::3])).all(), "about the diagonal"


def test_residuals_that_have_no_share_are_in_the_outputs_unit() -> None:
    tokens = np.geomspace(1e8, 1e10, 12)
    change = LAWS["mixture-general"].predict([0.0, 0.02, -0.02, 0.4], {"tokens": tokens})
    assert change.min() < 0 < change.max()
    change += np.random.default_rng(0).normal(0, 1e-3, 12)
    result = fit("mixture-general", pd.DataFrame({"tokens": tokens, "loss": change}), bootstrap=0)
    drawn = figure(result)
    assert drawn.layout.yaxis2.title.text == "measured less predicted loss" and drawn.layout.yaxis.type == "linear"
    assert not any(trace.fill for trace in drawn.data), "no interval, no band"


def test_both_grounds_are_legible(plane: Fit, curve: Fit) -> None:
    for result in (plane, curve):
        for dark, paint in ((False, LIGHT), (True, DARK)):
            drawn = result.plot(dark=dark)
            assert drawn.layout.paper_bgcolor == drawn.layout.plot_bgcolor == paint.ground
            assert contrast(paint.ink, paint.ground) > 7 and contrast(paint.muted, paint.ground) > 4.5
            assert min(contrast(colour, paint.ground) for colour in paint.scale) > 3


def contrast(one: str, two: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_status_and_names_are_text_not_markup(curve: Fit) -> None:
    worse = replace(curve, status="<script>alert(1)</script> & <b>bold</b>")
    drawn = worse.plot()
    assert "<script>" not in drawn.layout.title.text and "&lt;script&gt;" in drawn.layout.title.text
    assert drawn.layout.yaxis.title.text == "loss on &lt;i&gt;law&lt;/i&gt;"
    page = worse._repr_html_()
    assert "<script>" not in page and "<i>" not in page and "&lt;script&gt;" in page and "&lt;i&gt;law" in page


class Nesting(HTMLParser):
    """Fails on tags that do not close in order, and on colours that only one ground can take."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.cells += tag in ("td", "th")
        style = dict(attrs).get("style") or ""
        assert "color:" not in style.replace("background-color:", "") and "#" not in style, style

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_notebooks_table_is_well_formed_and_holds_everything(plane: Fit, curve: Fit) -> None:
    for result in (plane, curve, replace(plane, draws=None)):
        page, found = result._repr_html_(), Nesting()
        found.feed(page)
        assert not found.open and found.cells == 5 * (1 + len(result.law.parameters))
        for parameter in result.law.parameters:
            assert f"{result.parameters[parameter.name]['value']:.4g}" in page and parameter.meaning in page
        assert result.status in page and "fitted to" in page


def test_without_plotly_the_extra_is_named(plane: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("plotly"):
            raise ModuleNotFoundError("No module named 'plotly'", name="plotly")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UserError, match=r"pip install 'speciate\[report\]'"):
        plane.plot()


def test_a_fit_without_rows_says_so(plane: Fit) -> None:
    with pytest.raises(UserError, match="no rows to draw"):
        replace(plane, shown=None).plot()


def test_many_rows_stay_a_small_figure() -> None:
    tokens = np.geomspace(1e6, 1e9, 50_000)
    table = pd.DataFrame({"tokens": tokens, "loss": 3 - 0.05 * np.log(tokens)})
    table["loss"] += np.random.default_rng(0).normal(0, 0.01, len(table))
    drawn = fit("mixture-domain", table, bootstrap=0).plot()
    assert max(len(trace.x) for trace in drawn.data) == 2000
    assert len(json.dumps(drawn.to_plotly_json(), default=lambda value: value.tolist())) < 1_000_000
