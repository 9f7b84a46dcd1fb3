"""What is held out: whole sources, about the share, and never everything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.corpus.split import choose_held_out, shuffled

SIZES = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 1000), min_size=2, max_size=40)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.floats(0.01, 0.5), st.integers(0, 3))
def test_something_is_held_out_and_something_is_left(sizes: dict[str, int], share: float, seed: int) -> None:
    chosen = choose_held_out(sizes, share, seed)
    assert 0 < len(chosen) < len(sizes) and chosen <= set(sizes)
    held, total = sum(sizes[name] for name in chosen), sum(sizes.values())
    assert held <= 2 * share * total or chosen == {min(sizes, key=lambda name: (sizes[name], name))}
    assert chosen == choose_held_out(dict(reversed(sizes.items())), share, seed)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9))
def test_the_share_is_met_when_sources_are_small(seed: int) -> None:
    sizes = {str(i): 10 for i in range(1000)}
    assert len(choose_held_out(sizes, 0.05, seed)) == 50


def test_one_source_cannot_be_split() -> None:
    assert choose_held_out({"a": 5}, 0.05, 0) == set()


def test_a_new_name_moves_no_other() -> None:
    names = [str(i) for i in range(50)]
    assert [n for n in shuffled([*names, "new"], "s") if n != "new"] == shuffled(names, "s") != names
