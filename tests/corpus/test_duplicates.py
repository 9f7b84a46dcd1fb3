"""Near-duplicates are dropped, short texts only if they are equal."""

from __future__ import annotations

from speciate.corpus.duplicates import Duplicates


def text(*numbers: int) -> str:
    return "\n".join(f"this is line number {n} of a text" for n in numbers)


def test_half_of_the_long_lines_decides() -> None:
    duplicates = Duplicates()
    assert duplicates.is_new(text(1, 2, 3, 4))
    assert not duplicates.is_new(text(3, 4, 5, 6))
    assert duplicates.is_new(text(4, 5, 6))  # what was dropped is not remembered
    assert not duplicates.is_new("  " + text(1, 2, 3, 4).replace("\n", "\n\t"))  # indents do not matter


def test_short_texts_are_compared_as_a_whole() -> None:
    duplicates = Duplicates()
    assert duplicates.is_new("yes\nno") and duplicates.is_new("yes\nmaybe") and not duplicates.is_new("yes no")
