"""Questions that stand in a text are found, by a run of words of theirs that is not the wording of the exam."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speciate.corpus.clean.contamination import Question, index, load, read_questions
from speciate.corpus.clean.ngrams import normalised, word_hashes
from speciate.errors import UserError

LONG = "A lei que altera o processo eleitoral entrará em vigor na data de sua publicação, salvo disposição em contrário"
SHORT = "Who proposed the theory of evolution by natural selection?"


def found(text: str, *searched: tuple[str, ...], run: int = 13) -> list[int]:
    questions = [Question("f", str(number), each[0], each) for number, each in enumerate(searched)]
    return index(questions, run)[0].questions_in(word_hashes(normalised(text)))


def test_a_question_is_found_whatever_its_case_and_signs() -> None:
    text = f"Art. 16. {LONG.upper().replace(',', ' –')}; e mais."
    assert found(text, (LONG,), ("another question",)) == [0]
    assert found(text, ("what?", "a", LONG)) == [0]  # a choice
    words = LONG.split()
    assert found(" ".join(words[:12]), (LONG,)) == []  # a run of twelve
    assert found(" ".join(words[2:15]), (LONG,)) == [0]
    assert found(" ".join(words[:9] + ["não"] + words[9:15]), (LONG,)) == []


def test_short_questions_are_looked_for_whole() -> None:
    assert found(f"Exercise: {SHORT.lower()} Darwin.", (SHORT,)) == [0]
    assert found("who proposed the theory of evolution by natural", (SHORT,)) == []
    evaluation, told = index([Question("f", "0", "too short", ("too short", "a"))])
    assert told == {"too_short": 1, "common_runs": 0} and evaluation.questions_in(word_hashes(b"too short")) == []


def test_the_wording_of_an_exam_is_no_question() -> None:
    wording = "which of the following is the most likely diagnosis in this patient with these symptoms"
    ten, eleven = ([(f"{wording} {i}",) for i in range(n)] for n in (10, 11))
    assert len(found(wording, *ten)) == 10 and found(wording, *eleven) == []
    questions = [Question("f", str(i), each[0], each) for i, each in enumerate(eleven)]
    assert index(questions)[1]["common_runs"] == 3


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    evaluation, _ = index([Question("f", "0", LONG, (LONG,)), Question("f", "1", SHORT, (SHORT,))])
    evaluation.save(tmp_path / "e.npz")
    words = word_hashes(normalised(f"{SHORT} {LONG}"))
    assert load(tmp_path / "e.npz").questions_in(words) == evaluation.questions_in(words) == [0, 1]
    assert load(tmp_path / "e.npz") is load(tmp_path / "e.npz")


def test_evaluations_of_many_kinds_are_read(tmp_path: Path) -> None:
    rows = [{"question": "q1", "choices": ["a", "b"], "year": 2}, {"question": "q2", "choices": {"text": ["c"]}}]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.table({"prompt": ["p1"], "other": ["o1"]}), tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text("one question\n\nanother question\n", encoding="utf-8")
    read = read_questions([tmp_path / name for name in ("a.jsonl.gz", "b.parquet", "c.txt")])
    assert [each.searched for each in read] == [
        ("q1", "a", "b"), ("q2", "c"), ("p1",), ("one question",), ("another question",)
    ]  # fmt: skip
    assert len({(each.file, each.id) for each in read}) == 5
    assert read_questions([tmp_path / "b.parquet"], ["other", "prompt"])[0].searched == ("o1", "p1")
    (tmp_path / "bad.jsonl").write_text('{"question": "q"}\n{oops\n', encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_questions([tmp_path / name for name in ("none", "bad.jsonl", "b.parquet")], ["question"])
    told = str(error.value)
    assert "no such file" in told and "bad.jsonl line 2" in told and "no question in a field 'question'" in told
