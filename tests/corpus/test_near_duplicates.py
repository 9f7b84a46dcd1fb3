"""Fingerprints of texts: the same everywhere, as similar as the texts; and who is kept of those that repeat."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from speciate.corpus.clean import ngrams
from speciate.corpus.clean.near_duplicates import Near, similarity, sketch
from speciate.corpus.clean.ngrams import ngram_hashes, normalised, word_hashes
from speciate.corpus.clean.parts import Survey
from speciate.corpus.clean.same_text import Column, alike_by_check, find_repeats, fingerprint, met
from speciate.corpus.clean.shingles import TrueSimilarity, ask
from speciate.corpus.clean.step import Cleaning, clean
from speciate.corpus.steps.parts import cut


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
    assert not empty[0].any() and empty[0].size == 18
    assert sketch(word_hashes(b"two words"), Near())[0].all()


@pytest.mark.parametrize("least", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_nearly_all_that_are_so_similar(least: float) -> None:
    near = Near(least)
    assert near.rows * near.bands <= 112
    assert (1 - least**near.rows) ** near.bands <= 0.01


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


def test_only_documents_that_share_a_band_are_asked_about(tmp_path: Path) -> None:
    columns = np.array([[1, 2, 1, 0, 0, 3], [4, 5, 6, 7, 5, 3]], np.uint64)
    asked = met(write(tmp_path, columns, [2]), np.array([True] * 5 + [False]))
    assert np.flatnonzero(asked).tolist() == [0, 1, 2, 4]


def test_fingerprints_of_two_halves() -> None:
    checks = np.array([5, 5, 6], np.uint64)
    assert alike_by_check(checks)(np.array([0, 0]), np.array([1, 2])).tolist() == [1.0, 0.0]


def test_long_documents_are_compared_without_holding_them(tmp_path: Path) -> None:
    (tmp_path / "books.txt").write_text("a")
    (part,) = cut(tmp_path / "books.txt")
    survey, books, runs = Survey(tmp_path / "found", part), 12, 500_000  # 2 MB each
    begins = np.array([0, books])
    ask([survey], begins, np.ones(books, bool))
    survey.file("runs", "u4").parent.mkdir()
    np.concatenate([np.arange(n * 1000, n * 1000 + runs, dtype="<u4") for n in range(books)]).tofile(
        survey.file("runs", "u4")
    )
    np.save(survey.file("runs", "npy"), np.arange(books + 1) * runs)
    alike = TrueSimilarity([survey], begins, np.zeros((books, 112), np.uint8), 0.8)
    tracemalloc.start()
    try:
        found = alike(np.arange(1, books), np.zeros(books - 1, np.int64))
        assert tracemalloc.get_traced_memory()[1] < 10 * runs * 4, "two of them joined and sorted, not all"
    finally:
        tracemalloc.stop()
    apart = 1000 * np.arange(1, books)
    assert found == pytest.approx((runs - apart) / (runs + apart))


@pytest.mark.parametrize("size", [1e9, 5e4])
def test_what_is_dropped_has_what_is_said_in_common(tmp_path: Path, size: float) -> None:
    """Pairs about the limit: what goes and how much it is like another is counted, not estimated."""
    rng = random.Random(5)
    texts, truth = [], {}
    for number in range(150):
        base = [f"w{rng.randrange(10**6)}" for _ in range(300)]
        other = list(base)
        for at in rng.sample(range(300), rng.randrange(0, 16)):
            other[at] = f"c{at}"
        texts += [" ".join(base), " ".join(other)]
        truth[2 * number + 1] = jaccard(*texts[-2:])
    assert sum(0.7 < value < 0.8 for value in truth.values()) > 20
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text, "n": n}) for n, text in enumerate(texts)))
    parts = cut(tmp_path / "in.jsonl", size)
    assert (len(parts) > 3) == (size < 1e9)
    report = clean(parts, tmp_path / "out", Cleaning(None, exact=False, near=Near(0.8)))
    rows = pq.read_table(tmp_path / "out" / "rejected").to_pylist()
    kept = pq.read_table(tmp_path / "out" / "kept").to_pylist()
    number_of = {row["id"]: json.loads(row["meta"])["n"] for row in rows + kept}
    found = {number_of[row["id"]]: row["detail"].split(" like ") for row in rows}
    above = {number for number, value in truth.items() if value >= 0.8}
    assert set(found) <= above and len(found) >= 0.95 * len(above) and report["rejected"]["near duplicate"] > 40
    for number, (share, other) in found.items():
        assert share == f"{truth[number]:.0%}" and number_of[other] == number - 1
