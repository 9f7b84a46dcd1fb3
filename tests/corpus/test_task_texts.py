"""The field of an exam's records that routes them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speciate.corpus.cluster.task_texts import task_texts
from speciate.errors import UserError

EXAMS = Path(__file__).parents[3] / "shared" / "data" / "exams"


def test_the_field_is_the_tasks_or_question_or_as_named(tmp_path: Path) -> None:
    rows = [{"ctx": f"c{n}", "question": f"q{n}", "endings": ["x"]} for n in range(3)]
    lines = "\n".join(json.dumps(row) for row in rows)
    with gzip.open(tmp_path / "hellaswag_val.jsonl.gz", "wt") as file:
        file.write(lines)
    (tmp_path / "oab.jsonl").write_text(lines)
    pq.write_table(pa.table({"question": ["a", "b"]}), tmp_path / "piqa.parquet")
    assert task_texts(tmp_path / "hellaswag_val.jsonl.gz") == ["c0", "c1", "c2"]
    assert task_texts(tmp_path / "hellaswag_val.jsonl.gz", task="arc") == ["q0", "q1", "q2"]
    assert task_texts(tmp_path / "oab.jsonl") == ["q0", "q1", "q2"]
    assert task_texts(tmp_path / "oab.jsonl", field="ctx") == ["c0", "c1", "c2"]
    assert task_texts(tmp_path / "piqa.parquet") == ["a", "b"], "goal is not there"


def test_a_record_without_a_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "arc.jsonl"
    file.write_text('{"question": "q"}\n{"question": " "}\n{"other": 1}\n')
    with pytest.raises(UserError, match="(?s)line 2: no text in question.*line 3: no text in question"):
        task_texts(file)
    with pytest.raises(UserError, match="no text in stem"):
        task_texts(file, field="stem")
    file.write_text('{"question": "q"}\n{"question"\n')
    with pytest.raises(UserError, match="line 2"):
        task_texts(file)
    with pytest.raises(UserError):
        task_texts(tmp_path / "absent.jsonl")


@pytest.mark.skipif(not EXAMS.is_dir(), reason="../shared/data/exams is absent")
def test_every_shared_exam_has_texts() -> None:
    for file in sorted(EXAMS.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            assert len(task_texts(file)) == sum(1 for _ in lines), file.name
