"""Quality of texts by plain counts: every rule in its order, on one text or on many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from speciate.corpus.clean.quality_rules import (
    Rule,
    Rules,
    Text,
    alphabetic_words,
    alphanumeric,
    bullet_lines,
    ellipsis_lines,
    few_words,
    line_length,
    many_words,
    stop_words,
    symbols,
    word_length,
)
from speciate.corpus.clean.repetition import clears, duplicate_lines, duplicate_ngrams, duplicate_paragraphs, top_ngrams

__all__ = ["RULES", "Judgement", "Rules", "judge", "judge_all"]

Judgement = Literal[True] | tuple[str, str]

PLAIN: Mapping[str, Rule] = {
    "too few words": few_words,
    "too many words": many_words,
    "word length": word_length,
    "symbols": symbols,
    "stop words": stop_words,
    "alphabetic words": alphabetic_words,
    "alphanumeric": alphanumeric,
    "bullet lines": bullet_lines,
    "ellipsis lines": ellipsis_lines,
    "line length": line_length,
    "duplicate lines": duplicate_lines,
    "duplicate paragraphs": duplicate_paragraphs,
}
RUNS: Mapping[str, Rule] = {"top n-grams": top_ngrams, "duplicate n-grams": duplicate_ngrams}
RULES: Mapping[str, Rule] = {**PLAIN, **RUNS}


def judge(text: str, rules: Rules) -> Judgement:
    """True, or the name of the first rule that the text breaks, and why.

    >>> judge("A text of six short words.", Rules())
    ('too few words', '6 words, at least 50 are asked for')
    """
    return _first_broken(Text(text, rules.most_words), rules, RULES)


def judge_all(texts: Sequence[str], rules: Rules) -> list[Judgement]:
    """``judge`` on each text, twice as fast on short ones: runs of words are counted for all together."""
    seen = [Text(text, rules.most_words) for text in texts]
    told = [_first_broken(text, rules, PLAIN) for text in seen]
    left = [number for number, verdict in enumerate(told) if verdict is True]
    clear = clears([seen[number] for number in left], rules)
    for at, number in enumerate(left):
        doubtful = {name: rule for name, rule in RUNS.items() if not clear[name][at]}
        told[number] = _first_broken(seen[number], rules, doubtful)
    return told


def _first_broken(text: Text, rules: Rules, asked: Mapping[str, Rule]) -> Judgement:
    for name, rule in asked.items():
        verdict = rule(text, rules)
        if verdict is not True:
            return name, verdict[1]
    return True
