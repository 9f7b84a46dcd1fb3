"""What a mixture will draw is what the stream draws; repetition is counted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.corpus.tokens.mixture import Phase, draws, parse_mixture
from speciate.corpus.tokens.stream import Stream
from speciate.errors import UserError

WIDTH = 4


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[dict[str, int], list[Phase]]:
    names = [f"d{i}" for i in range(draw(st.integers(1, 6)))]
    sizes = {name: 1 + WIDTH * draw(st.integers(1, 20)) for name in names}
    phases = []
    for _ in range(draw(st.integers(1, 3))):
        parts = [draw(st.sampled_from([0, 1, 1, 30])) for _ in names]
        parts = parts if sum(parts) else [1] * len(names)
        shares = tuple((n, p / sum(parts)) for n, p in zip(names, parts, strict=True))
        phases.append(Phase(shares, draw(st.integers(WIDTH, 400))))
    return sizes, phases


@settings(max_examples=60, deadline=None)
@given(mixtures())
def test_the_report_is_what_training_reads(given: tuple[dict[str, int], list[Phase]]) -> None:
    sizes, phases = given
    told = draws(sizes, phases, WIDTH)
    whole = [(phase.shares, phase.tokens // WIDTH * WIDTH, 0) for phase in phases]
    stream = Stream({n: np.arange(size) for n, size in sizes.items()}, whole, 0, WIDTH)
    seen: dict[str, Counter[int]] = {name: Counter() for name in sizes}
    position = 0
    for phase in told["phases"]:
        drawn, again = Counter[str](), Counter[str]()
        for _ in range(phase["samples"]):
            domain, index = stream.locate(position)
            position += 1
            drawn[domain] += 1
            again[domain] += seen[domain][index] > 0
            seen[domain][index] += 1
        for row in phase["domains"]:
            assert (row["samples"], row["repeated"]) == (drawn[row["domain"]], again[row["domain"]] * WIDTH)
            assert abs(row["samples"] - row["share"] * phase["samples"]) < 1 + 1e-9
    assert told["samples"] == position == len(stream)
    assert {row["domain"]: row["epochs"] for row in told["domains"]} == stream.epochs()
    assert set(told["repeats"]) == {name for name, counts in seen.items() if max(counts.values(), default=0) > 1}
    assert sum(row["tokens"] for row in told["domains"]) == told["tokens"]
    assert sum(row["share"] for row in told["domains"]) == pytest.approx(1)


def test_a_small_domain_repeats_and_is_flagged() -> None:
    sizes = {"general": 1_000_001, "law": 10_001}
    told = draws(sizes, [Phase((("general", 1.0),), 500_000), Phase((("general", 0.9), ("law", 0.1)), 300_000)], 100)
    law = told["phases"][1]["domains"][1]
    assert told["repeats"] == ["law"] and law["epochs"] == 3.0 and law["repeated"] == 20_000
    assert told["domains"][0]["epochs"] == 0.77 and told["domains"][0]["share"] == pytest.approx(0.9625)


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(UserError) as error:
        parse_mixture("law,code=2,prose=x,math=0.5", {})
    assert [p.what for p in error.value.problems] == [f"{w!r} is no share" for w in ("law", "code=2", "prose=x")]
    with pytest.raises(UserError, match=r"phase 1: 3 tokens; give at least 4"):
        draws({"a": 9}, [Phase((("a", 1.0),), 8), Phase((("a", 1.0),), 3)], WIDTH)
    with pytest.raises(UserError, match=r"unknown domain 'lew'; did you mean law"):
        draws({"law": 9}, [Phase((("lew", 1.0),), 8)], WIDTH)
    with pytest.raises(UserError, match="less than one sample"):
        draws({"law": 4}, [Phase((("law", 1.0),), 8)], WIDTH)
