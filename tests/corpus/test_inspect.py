"""What a corpus is said to hold is what it holds, whatever the parts and processes."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.corpus.reading.inspect import count_duplicates, inspect_corpus
from speciate.corpus.reading.lengths import bin_of, largest_of, quantiles
from speciate.corpus.steps.engine import Engine
from speciate.corpus.steps.parts import cut


def corpus(folder: Path) -> list[str]:
    """A file of texts of very different lengths, a tenth of them twice, and what is wrong with it."""
    rng = random.Random(0)
    texts = [f"{i} " + "wörd " * int(rng.lognormvariate(3, 1.5)) for i in range(900)]
    texts += rng.sample(texts, 100)
    texts[7] = texts[7] + "\x1b[0m"
    folder.mkdir()
    lines = [json.dumps({"text": text, "n": 1}, ensure_ascii=False) for text in texts]
    lines[40:40] = ["{oops", '{"body": 1}', '{"text": ""}', "{oops again", *["{"] * 5]
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "picture.png").write_bytes(b"x")
    return texts


def test_the_report_is_what_is_there(tmp_path: Path) -> None:
    texts = corpus(tmp_path / "in")
    report = inspect_corpus(cut(tmp_path / "in", 2e4), tmp_path / "notes")
    sizes = sorted(len(text.encode()) for text in texts)
    assert report["documents"] == 1000 and report["bytes"] == sum(sizes)
    assert report["characters"] == sum(map(len, texts))
    assert (report["shortest"], report["longest"]) == (sizes[0], sizes[-1])
    assert report["duplicates"] == len(texts) - len(set(texts)) >= 99
    assert report["bad"] == {"no text field": 1, "not JSON": 7} and report["empty"] == 1
    assert len(report["bad_examples"]["not JSON"]) == 3 and report["control_characters"] == 1
    assert report["fields"] == {"n": 1000} and report["languages"] is None
    for level, told in report["quantiles"].items():
        assert told == pytest.approx(np.quantile(sizes, float(level), method="inverted_cdf"), rel=0.0101)


def test_processes_and_parts_do_not_matter_and_notes_are_used_again(tmp_path: Path) -> None:
    corpus(tmp_path / "in")
    parts = cut(tmp_path / "in", 2e4)
    assert len(parts) > 3
    whole = inspect_corpus(cut(tmp_path / "in", 1e9), tmp_path / "whole")
    one = inspect_corpus(parts, tmp_path / "one")
    two = inspect_corpus(parts, tmp_path / "two", engine=Engine(processes=2))
    assert one == two
    del whole["bad_examples"], one["bad_examples"]  # lines are named by their byte in a later stretch
    assert one == whole
    (tmp_path / "two" / "parts" / f"{parts[1].name}.json").unlink()
    told: list[str] = []
    again = inspect_corpus(parts, tmp_path / "two", progress=lambda what, share: told.append(what))
    assert again == two and len(told) == 1  # the missing part only


def test_languages_are_told(tmp_path: Path) -> None:
    pytest.importorskip("py3langid")
    english = "The court held that the law did not apply to contracts made before it was passed."
    portuguese = "O tribunal decidiu que a lei não se aplica aos contratos celebrados antes da sua publicação."
    lines = "\n".join(json.dumps({"text": text}) for text in (english, portuguese, english + " So it is."))
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    report = inspect_corpus(cut(tmp_path / "a.jsonl"), tmp_path / "notes", languages=True)
    assert report["languages"] == {"en": 2, "pt": 1}


def test_duplicates_are_counted_in_several_passes_as_in_one(tmp_path: Path) -> None:
    corpus(tmp_path / "in")
    parts = cut(tmp_path / "in", 2e4)
    report = inspect_corpus(parts, tmp_path / "notes")
    assert count_duplicates(parts, tmp_path / "notes", at_once=50) == report["duplicates"]


def test_text_without_documents_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n{oops\n", encoding="utf-8")
    report = inspect_corpus(cut(tmp_path / "a.jsonl"), tmp_path / "notes")
    assert report["documents"] == 0 and report["bad"] == {"not JSON": 1}
    assert report["longest"] is report["example"] is report["duplicate_share"] is None
    json.dumps(report, allow_nan=False)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), st.floats(0, 1))
def test_quantiles_are_within_a_percent(lengths: list[int], level: float) -> None:
    (told,) = quantiles(Counter(map(bin_of, lengths)), [level])
    exact = np.quantile(lengths, level, method="inverted_cdf")
    assert told is not None and abs(told - exact) <= 0.0101 * exact + 1


@given(st.integers(1, 10**12))
def test_a_bin_holds_its_lengths(length: int) -> None:
    assert largest_of(bin_of(length) - 1) <= length <= largest_of(bin_of(length)) + 1
