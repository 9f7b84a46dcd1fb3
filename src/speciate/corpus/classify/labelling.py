"""Grades of texts by a person in a terminal, who may stop at any text and go on another day."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from speciate.corpus.classify.labels import HIGHEST
from speciate.corpus.classify.sampling import Candidate

PAGE = 1_200  # characters shown at a time
KEPT = "the grades given so far are kept"
HELP = "0 nothing of it ... 5 about nothing else; m more of the text, s cannot tell, u undo, q stop for now"


class LabellingStopped(Exception):
    """Grades are still missing; says what becomes of those given, or what to do."""


def label_by_hand(
    candidates: Sequence[Candidate],
    topic: str,
    why: str,
    note: Callable[[str, int | None], None],
    ask: Callable[[str], str] = input,
    show: Callable[[str], None] = print,
) -> None:
    """Show each text, ask for its grade, and hand it to ``note``; a grade that is undone is noted again.

    Raises ``LabellingStopped`` at q, Ctrl-C, and the end of the input.
    """
    show(f"\nTopic: {topic}  ({why}, {len(candidates)} texts)\n{HELP}")
    number = 0
    while number < len(candidates):
        answer = _answer(candidates[number], f"[{number + 1}/{len(candidates)}] grade 0-5, m, s, u, q: ", ask, show)
        if answer == "u":
            number = max(0, number - 1)
            continue
        note(candidates[number].id, None if answer == "s" else int(answer))
        number += 1


def _answer(candidate: Candidate, prompt: str, ask: Callable[[str], str], show: Callable[[str], None]) -> str:
    """A digit, "s" or "u"."""
    grades = {str(grade) for grade in range(HIGHEST + 1)}
    shown = PAGE
    show("\n" + "-" * 72 + "\n" + _page(candidate.text, 0))
    while True:
        try:
            answer = ask(prompt).strip().lower()
        except (EOFError, KeyboardInterrupt) as error:
            raise LabellingStopped(KEPT) from error
        if answer == "q":
            raise LabellingStopped(KEPT)
        if answer in grades | {"s", "u"}:
            return answer
        if answer == "m":
            show(_page(candidate.text, shown) if shown < len(candidate.text) else "(that is all of it)")
            shown += PAGE
        else:
            show(f"{answer!r} is none of these. {HELP}")


def _page(text: str, first: int) -> str:
    """A stretch of a text that cannot play tricks with a terminal."""
    page = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text[first : first + PAGE])
    return page + (" ..." if len(text) > first + PAGE else "")
