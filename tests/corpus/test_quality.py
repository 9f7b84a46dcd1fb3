"""Every rule on a text that breaks it alone; what is counted quickly is what is counted slowly; presets."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.corpus.clean.quality import RULES, judge, judge_all
from speciate.corpus.clean.quality_presets import PRESETS, rules_of
from speciate.corpus.clean.quality_rules import Rules, Text
from speciate.corpus.clean.repetition import Runs, _duplicate_share, duplicate_ngrams, top_ngrams
from speciate.corpus.steps.parts import cut, read_part
from speciate.errors import UserError

CORPORA = Path(__file__).parents[3] / "shared" / "data" / "corpora"
rng = random.Random(0)
WORDS = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(3, 9))) for _ in range(5000)]


def sentence(count: int, seed: int = 0) -> str:
    words = random.Random(seed).sample(WORDS, count)
    words[::10] = [("the", "of")[number % 2] for number in range(len(words[::10]))]
    return " ".join(words)


GOOD = "\n".join(sentence(20, seed) for seed in range(10))
BROKEN = {
    "too few words": sentence(49),
    "too many words": "the and of " * 34_000,
    "word length": sentence(60) + " supercalifragilistic" * 60,
    "symbols": GOOD + " #hash" * 40,
    "stop words": GOOD.replace("the", "teh").replace("of", "fo"),
    "alphabetic words": GOOD + " 1234" * 60,
    "alphanumeric": GOOD + "=" * 9_000,
    "bullet lines": "\n".join(f"- {sentence(20, seed)}" for seed in range(10)),
    "ellipsis lines": GOOD.replace("\n", "...\n"),
    "line length": GOOD.replace("\n", " "),
    "duplicate lines": "\n".join([GOOD, *GOOD.splitlines()[:5]]),
    "duplicate paragraphs": "\n\n".join([*GOOD.splitlines()[:4], *[GOOD.splitlines()[9] + "\n" + sentence(9)] * 3]),
    "top n-grams": " ".join(f"{a} united nations" for a in GOOD.split()[:60]),
    "duplicate n-grams": GOOD + " " + GOOD.replace("\n", " ")[:600],
}  # fmt: skip


def test_a_good_text_keeps_every_rule() -> None:
    assert judge(GOOD, Rules()) is True
    assert judge(GOOD, PRESETS["code"]) is not True  # lines of prose
    assert set(BROKEN) == set(RULES)


@pytest.mark.parametrize("name", BROKEN)
def test_a_rule_answers_false_and_why_and_can_be_switched_off(name: str) -> None:
    rules = replace(Rules(), most_line_length=500, least_alphanumeric=0.3)
    if name == "alphanumeric":
        rules = replace(rules, most_word_length=None, most_line_length=None)
    text = BROKEN[name]
    verdict = RULES[name](Text(text, rules.most_words), rules)
    assert verdict is not True and verdict[0] is False and any(sign.isdigit() for sign in verdict[1])
    off: dict[str, Any] = {each.name: None for each in fields(Rules)} | {
        "stop_words": (), "most_top_ngram_characters": {}, "most_duplicate_ngram_characters": {}
    }  # fmt: skip
    assert RULES[name](Text(text), Rules(**off)) is True
    assert judge("", Rules(**off)) is True


def test_the_first_rule_that_is_broken_is_told() -> None:
    only = {"too few words", "too many words", "word length", "stop words", "bullet lines", "top n-grams"}
    for name in only:
        assert judge(BROKEN[name], Rules())[0] == name  # type: ignore[index]


texts = st.lists(st.sampled_from(["aa", "bbb", "cc", "the", "of", "dddd", "e", "\n", "\n\n"]), max_size=120).map(
    " ".join
)


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, max_size=6))
def test_many_at_once_are_judged_as_one_by_one(many: list[str]) -> None:
    rules = replace(Rules(), least_words=1, least_word_length=1, most_duplicate_lines=None,
                    most_duplicate_line_characters=None, least_stop_words=None)  # fmt: skip
    assert judge_all(many, rules) == [judge(text, rules) for text in many]
    loose = replace(rules, most_top_ngram_characters={2: 0.5, 3: 0.4}, most_duplicate_ngram_characters={3: 0.6, 4: 0.3})
    assert judge_all(many, loose) == [judge(text, loose) for text in many]


@settings(max_examples=100, deadline=None)
@given(texts, st.integers(2, 6))
def test_repeated_runs_are_those_counted_by_hand(text: str, length: int) -> None:
    words = text.split()
    runs = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    total = sum(map(len, words))
    covered = {j for i, run in enumerate(runs) if run in runs[:i] for j in range(i, i + length)}
    share = sum(len(words[j]) for j in covered) / max(total, 1)
    assert _duplicate_share(Runs(words), length) == pytest.approx(share)
    counts = Counter(runs)
    often = max(counts.values(), default=0)
    top = max((often * len("".join(run)) for run in runs if counts[run] == often), default=0) if often > 1 else 0
    for most in (0.05, 0.3, 0.8):
        seen = Text(text)
        told = top_ngrams(seen, replace(Rules(), most_top_ngram_characters={length: most}))
        assert (told is True) == (top <= most * total)
        told = duplicate_ngrams(seen, replace(Rules(), most_duplicate_ngram_characters={length: most}))
        assert (told is True) == (share <= most)


def test_what_repeats_in_longer_runs_alone_is_found() -> None:
    words = [f"w{i}" for i in range(100)]
    text = " ".join(words + words[:13])
    rules = replace(Rules(), most_duplicate_ngram_characters={5: 0.5, 10: 0.05}, least_stop_words=None)
    verdict = duplicate_ngrams(Text(text), rules)
    assert verdict is not True and "runs of 10 words" in verdict[1]


def test_rules_are_set_by_name() -> None:
    words = ["least_words=7", "stop_words=der, die", "most_bullet_lines=off"]
    rules = rules_of("english", [*words, "most_duplicate_ngram_characters=5:.2,6:0.1", "most_top_ngram_characters=off"])
    assert (rules.least_words, rules.stop_words, rules.most_bullet_lines) == (7, ("der", "die"), None)
    assert rules.most_duplicate_ngram_characters == {5: 0.2, 6: 0.1} and rules.most_top_ngram_characters == {}
    with pytest.raises(UserError) as error:
        rules_of("inglish", ["least_word=7", "least_words=many", "least_words=-1", "most_bullet_lines=nan",
                             "most_top_ngram_characters=2", "most_top_ngram_characters=0:1"])  # fmt: skip
    assert len(error.value.problems) == 7


@pytest.mark.skipif(not CORPORA.exists(), reason="../shared/data/corpora is absent")
@pytest.mark.parametrize(
    ("corpus", "preset", "least", "english"),
    [("law_pt", "portuguese", 0.9, 0.01), ("arxiv_math", "maths", 0.99, 0.9), ("arxiv_cs", "english", 0.97, 1.0)],
)
def test_a_preset_keeps_its_own_text(corpus: str, preset: str, least: float, english: float) -> None:
    (part,) = cut(CORPORA / f"{corpus}.jsonl.zst")
    texts = [document.text for number, document in zip(range(500), read_part(part), strict=False)]

    def share(name: str) -> float:
        return sum(verdict is True for verdict in judge_all(texts, PRESETS[name])) / len(texts)

    assert share(preset) >= least and share("english") <= english
