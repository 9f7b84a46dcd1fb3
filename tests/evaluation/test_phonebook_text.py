"""The text of examples/phonebook: which facts two books share, and that every fact asked is one that is trained on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from speciate.corpus.build import build_corpus
from speciate.corpus.tokens.tokenizer import load_tokenizer
from speciate.evaluation.facts import Facts, read_facts

SCRIPT = Path(__file__).parents[2] / "examples" / "phonebook" / "make_text.py"
COUNT, LETTERS, DIGITS = 120, 6, 10
TOKENS = LETTERS + DIGITS + 2


@pytest.fixture(scope="module")
def script() -> ModuleType:
    found = importlib.util.spec_from_file_location("make_text", SCRIPT)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("overlap", "shared"), [(0.0, 0), (0.5, 60), (1.0, 120)])
def test_books_share_as_many_facts_as_asked(script: ModuleType, overlap: float, shared: int) -> None:
    books, unseen = script.make_books(COUNT, overlap, LETTERS, DIGITS, 0)
    first, second = (dict(books[book]) for book in script.BOOKS)
    assert len(first) == len(second) == COUNT
    assert len(first.items() & second.items()) == len(first.keys() & second.keys()) == shared
    nobody = [name for book in script.BOOKS for name, _ in unseen[book]]
    assert len(nobody) == len(set(nobody)) == 4 and not set(nobody) & (first.keys() | second.keys())


def test_every_fact_asked_is_trained_on_as_one_sequence(script: ModuleType, tmp_path: Path) -> None:
    script.write_text(tmp_path / "text", COUNT, 0.5, LETTERS, DIGITS, 0)
    sources = {book: tmp_path / "text" / book for book in script.BOOKS}
    corpus = build_corpus(
        sources, tmp_path / "corpus", held_out_share=0.01, vocab_size=257, window_tokens=TOKENS + 1, processes=1
    )
    tokenizer = load_tokenizer(corpus.path)
    for book in script.BOOKS:
        asked = read_facts(tmp_path / "text" / "facts" / f"{book}.jsonl")
        windows = np.asarray(corpus.train[book][:]).reshape(-1, TOKENS)
        trained = {tokenizer.decode(row[:-1]) for row in windows.tolist()}
        assert (windows[:, -1] == corpus.end_of_text).all()
        assert trained == {fact.prompt + fact.answer for fact in asked} and len(windows) == COUNT
        assert corpus.held_out[book].documents == 2
    Facts({b: tmp_path / "text" / "facts" / f"{b}.jsonl" for b in script.BOOKS}, corpus.path / "tokenizer.json")


def test_the_same_options_give_the_same_bytes(script: ModuleType, tmp_path: Path) -> None:
    for name in ("one", "two"):
        script.write_text(tmp_path / name, COUNT, 0.5, LETTERS, DIGITS, 3)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.jsonl"))
    assert len(files) == 2 * 21 + 2
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)
