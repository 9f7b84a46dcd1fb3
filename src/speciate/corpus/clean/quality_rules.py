"""Rules on words, signs and lines: Gopher's (Rae et al. 2022, A1.1), and Codex's (Chen et al. 2021) for code.

A rule looks at a text and answers True, or (False, why). Its limits are settings; None switches it off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

Verdict = Literal[True] | tuple[Literal[False], str]
BULLETS = ("\u2022", "\u2023", "\u25b6", "\u25c0", "\u25e6", "\u25a0", "\u25a1", "\u25aa", "\u25ab", "\u2013", "-", "*")
GOPHER_TOP = {2: 0.20, 3: 0.18, 4: 0.16}
GOPHER_DUPLICATE = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


@dataclass(frozen=True)
class Rules:
    """Limits of every rule; the defaults are Gopher's for English. Shares are 0..1, lengths are in characters."""

    least_words: int | None = 50
    most_words: int | None = 100_000
    least_word_length: float | None = 3.0  # mean of the document
    most_word_length: float | None = 10.0
    most_hashes_per_word: float | None = 0.1
    most_ellipses_per_word: float | None = 0.1
    most_bullet_lines: float | None = 0.9
    most_ellipsis_lines: float | None = 0.3
    least_alphabetic_words: float | None = 0.8  # words with at least one letter
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    least_stop_words: int | None = 2  # different ones
    most_duplicate_lines: float | None = 0.30
    most_duplicate_paragraphs: float | None = 0.30
    most_duplicate_line_characters: float | None = 0.20
    most_duplicate_paragraph_characters: float | None = 0.20
    most_top_ngram_characters: Mapping[int, float] = field(default_factory=lambda: dict(GOPHER_TOP))
    most_duplicate_ngram_characters: Mapping[int, float] = field(default_factory=lambda: dict(GOPHER_DUPLICATE))
    most_line_length: int | None = None  # Codex (Chen et al. 2021): 1,000, mean 100; against generated files
    most_mean_line_length: float | None = None
    least_alphanumeric: float | None = None  # share of characters that are letters or digits


class Text:
    """A text and what the rules count in it, each counted once, when a rule asks."""

    def __init__(self, text: str, most_words: int | None = None) -> None:
        self.text = text
        self._most = -1 if most_words is None else most_words + 1

    @cached_property
    def words(self) -> list[str]:
        """Stretches between white space; of a text with too many words only the first, and one long rest."""
        return self.text.split(None, self._most)

    @cached_property
    def lines(self) -> list[str]:
        """Lines that are not blank, without white space at their ends."""
        return [line for line in map(str.strip, self.text.splitlines()) if line]

    @cached_property
    def paragraphs(self) -> list[str]:
        """Stretches between blank lines."""
        return [part for part in map(str.strip, _BLANK_LINES.split(self.text)) if part]

    @cached_property
    def letters(self) -> int:
        """Characters in words."""
        return len("".join(self.words))


_BLANK_LINES = re.compile(r"\n[ \t\r\f\v]*\n")
_LETTER = re.compile(r"[^\W\d_]")
Rule = Callable[[Text, Rules], Verdict]


def few_words(text: Text, rules: Rules) -> Verdict:
    """At least so many words."""
    count = len(text.words)
    if rules.least_words is None or count >= rules.least_words:
        return True
    return False, f"{count} words, at least {rules.least_words} are asked for"


def many_words(text: Text, rules: Rules) -> Verdict:
    """At most so many words."""
    if rules.most_words is None or len(text.words) <= rules.most_words:
        return True
    return False, f"more than {rules.most_words:,} words"


def word_length(text: Text, rules: Rules) -> Verdict:
    """Words of a usual length, in the mean."""
    mean = text.letters / max(len(text.words), 1)
    if rules.least_word_length is not None and mean < rules.least_word_length:
        return False, f"words of {mean:.1f} characters in the mean, at least {rules.least_word_length:g} are asked for"
    if rules.most_word_length is not None and mean > rules.most_word_length:
        return False, f"words of {mean:.1f} characters in the mean, at most {rules.most_word_length:g} are allowed"
    return True


def symbols(text: Text, rules: Rules) -> Verdict:
    """Few hashes and few ellipses for each word."""
    for kind, most, signs in (
        ("#", rules.most_hashes_per_word, ("#",)),
        ("...", rules.most_ellipses_per_word, ("...", "\u2026")),
    ):
        if most is not None:
            ratio = sum(map(text.text.count, signs)) / max(len(text.words), 1)
            if ratio > most:
                return False, f"{ratio:.2f} {kind} for each word, at most {most:g} are allowed"
    return True


def bullet_lines(text: Text, rules: Rules) -> Verdict:
    """Not a list alone."""
    return _at_most(
        "lines begin with a bullet",
        rules.most_bullet_lines,
        text,
        lambda: sum(line.startswith(BULLETS) for line in text.lines),
    )


def ellipsis_lines(text: Text, rules: Rules) -> Verdict:
    """Not a page of openings ("read more ...")."""
    return _at_most(
        "lines end with an ellipsis", rules.most_ellipsis_lines, text,
        lambda: sum(line.endswith(("...", "\u2026")) for line in text.lines),
    )  # fmt: skip


def _at_most(what: str, most: float | None, text: Text, count: Callable[[], int]) -> Verdict:
    if most is None:
        return True
    share = count() / max(len(text.lines), 1)
    return True if share <= most else (False, f"{share:.0%} of {what}, at most {most:.0%} are allowed")


def line_length(text: Text, rules: Rules) -> Verdict:
    """Lines as people write them (off for prose, where a paragraph may be one line)."""
    if rules.most_line_length is not None:
        longest = max(map(len, text.lines), default=0)
        if longest > rules.most_line_length:
            return False, f"a line of {longest:,} characters, at most {rules.most_line_length:,} are allowed"
    if rules.most_mean_line_length is not None:
        mean = sum(map(len, text.lines)) / max(len(text.lines), 1)
        if mean > rules.most_mean_line_length:
            limit = rules.most_mean_line_length
            return False, f"lines of {mean:.0f} characters in the mean, at most {limit:g} are allowed"
    return True


def alphabetic_words(text: Text, rules: Rules) -> Verdict:
    """Most words hold a letter."""
    least, count = rules.least_alphabetic_words, len(text.words)
    if least is None or sum(map(str.isalpha, text.words)) >= least * count:  # letters only: a bound that is quick
        return True
    share = sum(word.isalpha() or _LETTER.search(word) is not None for word in text.words) / max(count, 1)
    return (
        True if share >= least else (False, f"{share:.0%} of words hold a letter, at least {least:.0%} are asked for")
    )


def alphanumeric(text: Text, rules: Rules) -> Verdict:
    """Not a table of signs, nor data in letters."""
    least = rules.least_alphanumeric
    if least is None:
        return True
    share = sum(map(str.isalnum, text.text)) / max(len(text.text), 1)
    return True if share >= least else (False, f"{share:.0%} letters and digits, at least {least:.0%} are asked for")


def stop_words(text: Text, rules: Rules) -> Verdict:
    """Some of the words that sentences of the language cannot do without."""
    if not rules.least_stop_words or not rules.stop_words:
        return True
    found = set(rules.stop_words).intersection(text.words)  # as most texts have them: quick
    if len(found) >= rules.least_stop_words:
        return True
    for match in _any_of(rules.stop_words).finditer(text.text):
        found.add(match.group().lower())
        if len(found) >= rules.least_stop_words:
            return True
    return (
        False,
        f"{len(found)} of the words {', '.join(rules.stop_words)}, at least {rules.least_stop_words} are asked for",
    )


@lru_cache(maxsize=16)
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
