"""Labels as people write them, and a person at the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from speciate.corpus.classify.labelling import LabellingStopped, label_by_hand
from speciate.corpus.classify.labels import (
    Label,
    read_labels,
    write_labels,
    write_questions,
    write_questions_to_judge,
)
from speciate.corpus.classify.sampling import Candidate
from speciate.errors import UserError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    labels = [Label('a, "b"\n:0', 5, 1.25, True), Label("ü", None), Label("c", 0, 1e9 / 7)]
    write_labels(tmp_path / "l.csv", labels)
    assert read_labels(tmp_path / "l.csv") == labels


def test_a_table_to_fill_is_read_with_what_was_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "l.csv"
    write_questions(file, [("a", 'text, of\n"lines"'), ("b", "x")])
    assert read_labels(file) == [Label("a", None), Label("b", None)]
    file.write_text("\ufeff" + file.read_text(encoding="utf-8").replace("b,,", "b, 4.0 ,"), encoding="utf-8")
    assert read_labels(file) == [Label("a", None), Label("b", 4)]


def test_rows_of_one_table_go_into_the_other(tmp_path: Path) -> None:
    write_questions(tmp_path / "labels.csv", [("a", "x")])
    write_questions_to_judge(tmp_path / "to_judge.csv", [("b", "y", 2.5)])
    added = (tmp_path / "to_judge.csv").read_text().splitlines()[1].replace("b,,", "b,4,")
    with (tmp_path / "labels.csv").open("a") as file:
        file.write(added + "\n")
    assert read_labels(tmp_path / "labels.csv") == [Label("a", None), Label("b", 4, 2.5, held_out=True)]
    (tmp_path / "own.csv").write_text(f"id,score\na,1\n{added}\n")
    with pytest.raises(UserError, match=r"own.csv line 3: more fields than columns \(id, score\)"):
        read_labels(tmp_path / "own.csv")


def test_a_label_given_twice_counts_once_and_a_score_beats_none(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("id,score\na,\na,3\na,\na,3\n")
    assert read_labels(tmp_path / "l.csv") == [Label("a", 3)]


def test_all_that_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "l.csv"
    file.write_text("id,score,weight,held_out\na,6,,\nb,two,,\n,1,,\nc,2.5,0,\nd,1,nan,maybe\ne,1,,\ne,2,,\nf,nan,,\n")
    with pytest.raises(UserError) as told:
        read_labels(file)
    said = str(told.value)
    expected = [(2, "'6'"), (3, "'two'"), (4, "no id"), (5, "'2.5'"), (5, "weight of '0'"), (6, "weight of 'nan'")]
    for line, what in [*expected, (6, "held_out is 'maybe'"), (8, "e is graded 1 and 2"), (9, "'nan'")]:
        assert any(f"line {line}:" in part and what in part for part in said.splitlines()), (line, what)


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"name,score\n", "no column id"), (b"", "no column id and no column score"), (b"id,score\n\xff,1", "not UTF-8")],
)
def test_what_is_no_table_of_labels_is_told(tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "l.csv").write_bytes(data)
    with pytest.raises(UserError, match=what):
        read_labels(tmp_path / "l.csv")
    with pytest.raises(UserError, match="no such file"):
        read_labels(tmp_path / "m.csv")


def typed(*answers: str | type[BaseException]) -> Callable[[str], str]:
    left = list(answers)

    def ask(_: str) -> str:
        answer = left.pop(0)
        if not isinstance(answer, str):
            raise answer
        return answer

    return ask


TEXTS = [Candidate("a", "first " * 500), Candidate("b", "\x1b[2Jsecond"), Candidate("c", "third")]


def test_a_person_grades_looks_further_undoes_and_cannot_tell() -> None:
    noted: list[tuple[str, int | None]] = []
    shown: list[str] = []
    answers = typed("9", "m", "m", "m", " 3 ", "U", "4", "S", "0")
    label_by_hand(TEXTS, "law", "round 1", lambda *note: noted.append(note), answers, shown.append)
    assert noted == [("a", 3), ("a", 4), ("b", None), ("c", 0)]
    said = "\n".join(shown)
    assert "'9' is none of these" in said and "(that is all of it)" in said and "\x1b" not in said
    assert said.count("first") == 500 + 200  # the whole text, and its beginning again after the undo


@pytest.mark.parametrize("end", ["q", EOFError, KeyboardInterrupt])
def test_a_person_may_stop(end: str | type[BaseException]) -> None:
    noted: dict[str, int | None] = {}
    with pytest.raises(LabellingStopped, match="kept"):
        label_by_hand(TEXTS, "law", "round 1", noted.__setitem__, typed("1", end), lambda _: None)
    assert noted == {"a": 1}
