"""Limits of the quality rules for kinds of text; docs/corpus_clean.md says how much of which text each keeps."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from speciate.corpus.clean.quality_rules import Rules
from speciate.errors import Problem, UserError

_ENGLISH = Rules()
_TECHNICAL = replace(  # text with few sentences: no words, lines or runs are asked for that only prose has
    _ENGLISH,
    least_stop_words=None,
    most_hashes_per_word=None,
    most_ellipses_per_word=None,
    most_bullet_lines=None,
)

PRESETS: Mapping[str, Rules] = {
    "english": _ENGLISH,
    "portuguese": replace(  # looser on what repeats: under Gopher's limits a third of Brazil's statutes goes
        _ENGLISH,
        stop_words=("do", "da", "em", "um", "uma", "com", "n\u00e3o", "os"),
        most_duplicate_lines=0.45,
        most_duplicate_line_characters=0.4,
        most_duplicate_ngram_characters={5: 0.40, 6: 0.39, 7: 0.38, 8: 0.37, 9: 0.36, 10: 0.35},
    ),
    "any": replace(_ENGLISH, least_stop_words=None),  # a language with spaces between words
    "code": replace(
        _TECHNICAL,
        least_words=20,
        least_word_length=2.0,
        most_word_length=25.0,
        least_alphabetic_words=0.4,
        most_duplicate_lines=None,
        most_duplicate_line_characters=0.5,
        most_duplicate_paragraphs=None,
        most_duplicate_paragraph_characters=0.5,
        most_top_ngram_characters={},
        most_duplicate_ngram_characters={10: 0.5},
        most_line_length=1_000,
        most_mean_line_length=100,
        least_alphanumeric=0.25,
    ),
    "maths": replace(  # LaTeX: lines that are one command, formulas between spaces
        _TECHNICAL,
        least_words=20,
        least_word_length=2.0,
        most_word_length=20.0,
        least_alphabetic_words=0.4,
        most_duplicate_lines=0.5,
        most_duplicate_line_characters=0.4,
        most_top_ngram_characters={},
        most_duplicate_ngram_characters={5: 0.40, 10: 0.30},
    ),
}


def rules_of(preset: str, settings: Sequence[str] = ()) -> Rules:
    """A preset's rules, with some set otherwise: "least_words=20", "most_bullet_lines=off".

    Limits by length of runs are "5:.2,10:.1", words are "the,of". Raises ``UserError`` with all that is wrong.

    >>> rules_of("english", ["least_words=20", "most_bullet_lines=off"]).least_words
    20
    """
    problems, changed = [], dict[str, Any]()
    if preset not in PRESETS:
        fix = f"use one of {', '.join(PRESETS)}"
        problems.append(Problem(f"no preset is called {preset!r}", "--preset", fix))
    kinds = {each.name: each for each in fields(Rules)}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if name not in kinds or not equals:
            near = difflib.get_close_matches(name, kinds, 1) or list(kinds)
            fix = f"give NAME=VALUE; did you mean {near[0]}?" if len(near) == 1 else f"NAME is one of {', '.join(near)}"
            problems.append(Problem(f"no rule is set by {setting!r}", "--rule", fix))
            continue
        try:
            changed[name] = _value(str(kinds[name].type), value)
        except ValueError:
            problems.append(Problem(f"{value!r} is no value of {name}", "--rule", "give a number of 0 or more, or off"))
    if problems:
        raise UserError(problems)
    return replace(PRESETS[preset], **changed)


def _value(kind: str, text: str) -> Any:
    """The value of a setting, by the annotation of its field."""
    if kind.startswith("Mapping"):
        pairs = [pair.split(":") for pair in text.split(",")] if text != "off" else []
        limits = {int(length): _number(most) for length, most in pairs}
        if any(length < 1 for length in limits):
            raise ValueError(text)
        return limits
    if kind.startswith("tuple"):
        return tuple(word.strip() for word in text.split(",") if word.strip() and text != "off")
    if text == "off":
        return None
    return int(_number(text)) if kind.startswith("int") else _number(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError(text)
    return value
