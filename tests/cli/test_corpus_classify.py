"""The verb corpus classify as its user meets it."""

from __future__ import annotations

import csv
import io
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer

from speciate.cli.corpus_classify import classify
from speciate.cli.output import DONE, STOPPED, Stopped
from speciate.errors import UserError


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(classify)
    try:
        return typer.main.get_command(app).main(
            args=[str(argument) for argument in arguments], prog_name="classify", standalone_mode=False
        )
    except Stopped:  # the code that main gives it
        return STOPPED


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """2,000 texts, one in twenty about law."""
    rng = random.Random(0)
    with (tmp_path / "texts.jsonl").open("w") as file:
        for _ in range(2000):
            law = rng.random() < 0.05
            words = [rng.choice(["court", "judge", "statute", "plea"]) for _ in range(8 * law)]
            words += [f"w{rng.randint(0, 300)}" for _ in range(30)]
            file.write(json.dumps({"text": " ".join(words), "law": law}) + "\n")
    return tmp_path / "texts.jsonl"


def fill(path: Path) -> None:
    """Grade a table of texts as a person would."""
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "score"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows([row | {"score": 5 if "court" in row["text"] else 0} for row in rows])


SMALL = ("--labels-per-round", 100)


def test_a_file_is_written_to_be_filled_and_then_learned_from(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "law"
    asked = (texts, "--topic", "law", "--out", out, "--labels", labels, *SMALL)
    assert run(*asked) == STOPPED
    assert f"fill in the column score of {labels}, 100 texts" in capsys.readouterr().out
    with pytest.raises(UserError, match="no scores in it"):
        run(*asked)
    fill(labels)
    assert run(*asked, "--threshold", 2.5) == DONE
    said = capsys.readouterr().out
    for part in ("of 2,000 documents", "learned from", "held out:", "average precision:", "scores 0 to 0.5",
                 f"Next: speciate corpus tokenize {out} --out shards"):  # fmt: skip
        assert part in said
    kept = pq.read_table(out / "kept").to_pylist()
    assert sum("court" in row["text"] for row in kept) > 0.9 * len(kept) > 50
    more = list(csv.DictReader(io.StringIO((out / "to_label.csv").read_text(), newline="")))
    known = {row["id"] for row in csv.DictReader(labels.read_text().splitlines())}
    assert len(more) == 100 and not known & {row["id"] for row in more} and sum("court" in r["text"] for r in more) > 40


def test_labels_to_judge_by_are_offered_and_then_used(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "law"
    asked = (texts, "--topic", "law", "--labels", labels, *SMALL)
    run(*asked, "--out", out)
    fill(labels)
    run(*asked, "--out", out)
    said = capsys.readouterr().out
    judge = out / "to_judge.csv"
    assert f"few of the topic are among labels at random; for more, fill in {judge}" in said
    rows = list(csv.DictReader(io.StringIO(judge.read_text(), newline="")))
    assert len(rows) == 100 and {row["held_out"] for row in rows} == {"1"} and {row["score"] for row in rows} == {""}
    more = list(csv.DictReader(io.StringIO((out / "to_label.csv").read_text(), newline="")))
    assert not {row["id"] for row in rows} & {row["id"] for row in more}
    known = list(csv.DictReader(io.StringIO(labels.read_text(), newline="")))
    with labels.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "score", "weight", "held_out"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(known + [row | {"score": 5 if "court" in row["text"] else 0} for row in rows + more])
    run(*asked, "--out", tmp_path / "again", "--json")
    told = json.loads(capsys.readouterr().out)
    held = told["labels"]["held_out"]
    assert held["drawn"] == "by weight" and held["labels"] == 100 and told["to_judge"] is None
    assert held["prevalence"] == pytest.approx(0.05, abs=0.02) and held["average_precision"]["value"] > 0.95


def test_labels_of_somebodys_choice_are_said_to_be_that(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, at, chosen = texts.read_bytes().splitlines(keepends=True), 0, []
    for line in lines[:400]:
        chosen.append(f"texts.jsonl:{at},{5 * (b'court' in line)}")
        at += len(line)
    (tmp_path / "own.csv").write_text("id,score\n" + "\n".join(chosen))
    run(texts, "--topic", "law", "--labels", tmp_path / "own.csv", "--out", tmp_path / "law", *SMALL)
    assert "nobody knows what these are a sample of" in capsys.readouterr().out
    rejected = pq.read_table(tmp_path / "law" / "rejected").to_pylist()
    assert len(rejected) > 1500 and {row["text"] for row in rejected} == {None}


def test_too_many_bad_records_stop_it_before_a_label_is_asked_for(texts: Path, tmp_path: Path) -> None:
    with texts.open("a") as file:
        file.write("{oops\n" * 40)
    asked = (texts, "--topic", "law", "--labels", tmp_path / "labels.csv", *SMALL)
    with pytest.raises(UserError, match="40 not JSON"):
        run(*asked, "--out", tmp_path / "law")
    assert not (tmp_path / "labels.csv").exists()
    assert run(*asked, "--out", tmp_path / "more", "--most-bad", 0.1) == STOPPED


def test_a_model_of_before_scores_other_text_and_a_budget_is_told(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "law"
    asked = (texts, "--topic", "law", "--labels", labels, *SMALL, "--out")
    assert run(*asked, tmp_path / "first") == STOPPED
    fill(labels)
    assert run(*asked, tmp_path / "first") == DONE
    capsys.readouterr()
    command = (texts, "--topic", "law", "--out", out, "--model", tmp_path / "first" / "model.npz", "--budget", "3k")
    assert run(*command, "--json") == DONE
    report = json.loads(capsys.readouterr().out)
    assert abs(report["tokens_kept"] - 3000) <= 30 and report["labels"] is None and not report["done_before"]
    assert run(*command) == DONE
    assert "met within" in (said := capsys.readouterr().out) and "there already" in said
    with pytest.raises(UserError, match="another request"):
        run(*command[:-1], "4k")


def test_a_person_grades_stops_and_goes_on(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [0, 120]

    def person() -> str:
        given[0] += 1
        if given[0] > given[1]:
            raise EOFError
        return "5" if "court" in capsys.readouterr().err else "0"

    monkeypatch.setattr("builtins.input", person)
    asked = (texts, "--topic", "law", "--out", tmp_path / "law", "--label-by-hand", "--rounds", 2, *SMALL)
    assert run(*asked) == STOPPED
    assert "the grades given so far are kept" in capsys.readouterr().out
    given[1] = 1000
    assert run(*asked, "--json") == DONE
    assert given[0] == 300 + 1  # each text once, and the stop
    report = json.loads(capsys.readouterr().out)
    assert report["labels"]["held_out"]["labels"] == 100 and sum(report["labels"]["grades"].values()) == 200
    assert report["labels"]["held_out"]["average_precision"]["value"] > 0.95


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """An endpoint that grades as a person would; the questions it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = body["messages"][-1]["content"].split("<<<TEXT")[1]
            asked.append(text)
            message = {"role": "assistant", "content": "5" if "court" in text else "0"}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            data = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{http.server_address[1]}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    yield asked
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_model_grades_once_agreed_to_and_is_never_asked_twice(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], served: list[str]
) -> None:
    asked = (texts, "--topic", "law", "--label-with", "m", "--cache", tmp_path / "cache", "--rounds", 2, *SMALL)
    with pytest.raises(UserError, match=r"not agreed to: about 300 calls of m at http://127.*tokens in.*--yes"):
        run(*asked, "--out", tmp_path / "a")
    assert not served
    assert run(*asked, "--out", tmp_path / "a", "--yes", "--json") == DONE
    out, err = capsys.readouterr()
    first = json.loads(out)
    assert len(served) == 300 == first["calls"]["calls"] and "about 300 calls" in err
    assert run(*asked, "--out", tmp_path / "b", "--yes", "--json") == DONE
    second = json.loads(capsys.readouterr().out)
    assert len(served) == 300 and second["calls"]["cached"] == 300 and second["calls"]["calls"] == 0
    assert first["labels"] == second["labels"] and first["kept"] == second["kept"]
    assert (tmp_path / "a" / "model.npz").read_bytes() == (tmp_path / "b" / "model.npz").read_bytes()
    assert run(*asked, "--out", tmp_path / "a", "--json") == DONE  # all is graded: nothing to agree to
    assert json.loads(capsys.readouterr().out)["done_before"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ([], "no labels"),
        (["--labels", "x.csv", "--label-by-hand"], "several ways to label"),
        (["--label-by-hand", "--topic", " "], "no topic"),
        (["--label-by-hand", "--budget", "1M", "--threshold", "2"], "a budget and a threshold"),
        (["--label-by-hand", "--budget", "lots"], "no number of tokens"),
        (["--label-by-hand", "--labels-per-round", "900", "--rounds", "3"], "a sample of 2,000 texts for 3,600 labels"),
        (["--model", "none.npz"], "none.npz: no such file"),
        (["--label-by-hand", "--tokenizer", "none.json"], "no tokenizer there"),
    ],
)
def test_what_cannot_be_is_told(texts: Path, tmp_path: Path, options: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        run(texts, "--topic", "law", "--out", tmp_path / "out", *options)


def test_no_text_at_all_is_told(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(UserError, match="no documents"):
        run(tmp_path / "e.jsonl", "--topic", "law", "--out", tmp_path / "out", "--label-by-hand")
