"""Fingerprints of texts: the same everywhere, as similar as the texts; and who is kept of those that repeat."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speciate.corpus.clean import ngrams
from speciate.corpus.clean.near_duplicates import Near, similarity, sketch
from speciate.corpus.clean.ngrams import ngram_hashes, normalised, word_hashes
from speciate.corpus.clean.same_text import Column, alike_by_check, alike_by_sketch, find_repeats, fingerprint


def test_words_are_told_apart_whatever_stands_between() -> None:
    hashes = word_hashes(normalised("The court's “ruling”—the COURT S ruling: não NÃO 3-2"))
    words = ["the", "court", "s", "ruling", "the", "court", "s", "ruling", "não", "não", "3", "2"]
    assert len(hashes) == len(words)
    for one, first in zip(words, hashes, strict=True):
        for other, second in zip(words, hashes, strict=True):
            assert (one == other) == (first == second)
    assert word_hashes(b"").size == word_hashes(b"   ").size == 0
    assert normalised("e\u0301") == normalised("\u00e9")  # the same letter, composed or not
    long = "x" * 300 + "y" + "x" * 300
    assert len(set(word_hashes(f"{long} {'x' * 601} {'x' * 600 + 'y'} {'x' * 602}".encode()).tolist())) == 4


def test_pieces_of_a_long_text_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    data = normalised(" ".join(str(i) for i in range(3000)))
    whole = word_hashes(data)
    monkeypatch.setattr(ngrams, "AT_ONCE", 100)
    assert np.array_equal(word_hashes(data), whole) and len(set(whole.tolist())) == 3000


def test_runs_of_words() -> None:
    words = word_hashes(b"a b c a b d")
    two = ngram_hashes(words, 2)
    assert two.size == 5 and two[0] == two[3] and len(set(two.tolist())) == 4
    assert np.array_equal(ngram_hashes(words, 1), words) and ngram_hashes(words, 7).size == 0


def test_another_process_finds_the_same_numbers() -> None:
    code = (
        "from speciate.corpus.clean.near_duplicates import *; from speciate.corpus.clean.ngrams import *;"
        "a, b = sketch(word_hashes(normalised('one two three four five six seven')), Near());"
        "print(a.tolist(), b.sum())"
    )
    names = {"PYTHONPATH": str(Path(ngrams.__file__).parents[3]), "PYTHONHASHSEED": "7"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=names).stdout
    bands, numbers = sketch(word_hashes(normalised("one two three four five six seven")), Near())
    assert told.split() == f"{bands.tolist()} {numbers.sum()}".split()


def jaccard(one: str, other: str) -> float:
    a, b = (set(ngram_hashes(word_hashes(normalised(text)), 5).tolist()) for text in (one, other))
    return len(a & b) / len(a | b)


def test_sketches_are_as_similar_as_the_texts() -> None:
    rng = random.Random(1)
    base = [f"w{rng.randrange(10**6)}" for _ in range(600)]
    errors = []
    for changes in range(0, 100, 2):
        other = list(base)
        for at in rng.sample(range(600), changes):
            other[at] = "changed"
        true = jaccard(" ".join(base), " ".join(other))
        one, two = (sketch(word_hashes(normalised(" ".join(words))), Near())[1] for words in (base, other))
        errors.append(float(similarity(one, two)) - true)
    assert np.std(errors) < 0.06 and abs(np.mean(errors)) < 0.03 and errors[0] == 0.0
    empty = sketch(word_hashes(b""), Near())
    assert not empty[0].any() and empty[0].size == 16
    assert sketch(word_hashes(b"two words"), Near())[0].all()


@pytest.mark.parametrize("least", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_nearly_all_that_are_so_similar(least: float) -> None:
    near = Near(least)
    assert near.rows * near.bands <= 112
    assert (1 - least**near.rows) ** near.bands <= 0.03


def test_the_same_words_have_the_same_fingerprint() -> None:
    assert fingerprint("A  text\n") == fingerprint("a text") != fingerprint("a text!")


def write(tmp_path: Path, columns: np.ndarray, cuts: list[int]) -> list[list[Column]]:
    pieces = np.split(columns, cuts, axis=1)
    for part, piece in enumerate(pieces):
        if piece.size:  # a part that leaves nothing has no file
            piece.astype("<u8").tofile(tmp_path / str(part))
    return [[Column(tmp_path / str(part), n, len(columns)) for part in range(len(pieces))] for n in range(len(columns))]


@pytest.mark.parametrize("at_once", [7, 10**6])
@pytest.mark.parametrize("cuts", [[], [3, 3, 50]])
def test_in_order_a_document_goes_if_one_that_is_alike_stays(tmp_path: Path, at_once: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 40, 120)  # documents of a kind are alike, and only they share bands (and some that are not)
    noise = rng.integers(0, 3, 120)
    columns = np.stack([(kind * 7919 + 1) << 40, (kind // 2 * 104729 + noise + 1) << 35]).astype(np.uint64)
    columns[:, 5] = 0  # without words
    alive = np.ones(120, bool)
    alive[[0, 1]] = False  # were left out before
    found = find_repeats(
        write(tmp_path, columns, cuts), alive, lambda a, b: (kind[a] == kind[b]).astype(float), 0.9, at_once
    )
    first: dict[int, int] = {}
    wanted = {}
    for number in range(120):
        if number not in (0, 1, 5):
            if kind[number] in first:
                wanted[number] = first[int(kind[number])]
            first.setdefault(int(kind[number]), number)
    assert dict(zip(found.which.tolist(), found.of.tolist(), strict=True)) == wanted
    assert np.flatnonzero(~alive).tolist() == sorted([0, 1, *wanted])


def test_a_chain_keeps_what_is_not_like_a_kept_one(tmp_path: Path) -> None:
    place = np.array([0.0, 0.15, 0.3, 0.45])  # each is like its neighbours only
    columns = np.ones((1, 4), np.uint64)
    found = find_repeats(write(tmp_path, columns, []), np.ones(4, bool), lambda a, b: 1 - abs(place[a] - place[b]), 0.8)
    assert found.which.tolist() == [1, 3] and found.of.tolist() == [0, 2]


def test_two_kinds_of_similarity() -> None:
    sketches = np.array([[1] * 112, [1] * 112, [1] * 56 + [2] * 56], np.uint8)
    alike = alike_by_sketch(sketches)(np.array([0, 0]), np.array([1, 2]))
    assert alike.tolist() == pytest.approx([1.0, 0.498], abs=1e-3)
    checks = np.array([5, 5, 6], np.uint64)
    assert alike_by_check(checks)(np.array([0, 0]), np.array([1, 2])).tolist() == [1.0, 0.0]
