"""The verb corpus cluster as its user meets it."""

from __future__ import annotations

import json
import re
import shlex
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import typer

from speciate.cli.corpus_cluster import cluster
from speciate.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "corpus_cluster.md"
WORDS = ("law court judge appeal", "cell gene protein tissue")


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(cluster)
    return typer.main.get_command(app).main(
        args=[str(argument) for argument in arguments], prog_name="cluster", standalone_mode=False
    )


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "some texts.jsonl"
    lines = [json.dumps({"text": f"{WORDS[i % 2]} number {i} of {WORDS[i % 2]}"}) for i in range(60)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_a_person_is_told_what_was_found(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my clusters"
    assert run(texts, "--out", out, "--clusters", 2, "--held-out", 0.3) == 0
    said = capsys.readouterr().out
    for part in (
        f"60 windows of at most 2,048 tokens in 2 clusters, in {out}/kept (column cluster)",
        "embedding: tfidf, which reads every word of a window",
        "largest cluster over the mean, clustered text: 1.0",
        "held-out windows: is the whole window's cluster first, or in five?",
        "Retrieval: is the window itself first, or in five, of 60 (paper 001, table 5)?",
        f"Cards: {out}/cards.html",
        f"Next: speciate corpus tokenize '{out}'",
    ):
        assert part in said
    assert "court" in said and "gene" in said and "\x1b" not in said
    assert run(texts, "--out", out, "--clusters", 2, "--held-out", 0.3) == 0
    assert capsys.readouterr().out.startswith("already there")


def test_json_is_one_object_on_stdout(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(texts, "--out", tmp_path / "o", "--clusters", 2, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["documents"] == 60 and len(told["clusters"]["clusters"]) == 2 and told["next"].startswith("speciate")


@pytest.mark.parametrize(("options", "field"), [((2, 0.3), True), ((12, 0.05), False), ((2, 0.0), False)])
def test_the_next_command_goes_by_held_out_windows_where_every_cluster_has_some(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[int, float], field: bool
) -> None:
    assert run(texts, "--out", tmp_path / "o", "--clusters", options[0], "--held-out", options[1], "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert ("--held-out-field held_out" in told["next"]) == field
    assert all(card["held_out"] for card in told["clusters"]["clusters"]) == field


def test_more_clusters_than_windows_is_told(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="windows for 100 clusters"):
        run(texts, "--out", tmp_path / "o", "--clusters", 100)


def test_a_model_that_is_not_there_is_told(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sentence model"):
        run(texts, "--out", tmp_path / "o", "--clusters", 2, "--embedding", "/no/such model")


def test_the_page_says_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    ((line, said),) = re.findall(r"```console\n\$ speciate corpus cluster (.*?)\n(.*?)```", page, re.DOTALL)
    with chdir(tmp_path):
        exec(code, {})
        assert run(*shlex.split(line)) == 0
    assert capsys.readouterr().out == said
