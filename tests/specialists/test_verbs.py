from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pages import verb
from specialists.tiny import DOMAINS, domain_texts
from speciate.cli.experts import generate, route
from speciate.errors import UserError
from speciate.specialists.experts import Specialists

ROUTE, GENERATE = verb(route, "route"), verb(generate, "generate")
TEXTS = [domain_texts(domain, 1)[0] for domain in DOMAINS]


def test_texts_are_routed_from_arguments_a_file_and_stdin(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = ROUTE(str(tiny), *TEXTS)
    lines = said.splitlines()
    assert code == 0 and lines[0].split() == ["expert", "probability", "text"]
    assert [line.split()[0] for line in lines[1:]] == list(DOMAINS)
    (tmp_path / "t.txt").write_text("\n\n".join(TEXTS) + "\n", encoding="utf-8")
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in TEXTS), encoding="utf-8")
    for file in ("t.txt", "t.jsonl"):
        assert ROUTE(str(tiny), "--file", str(tmp_path / file)) == (0, said)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(TEXTS)))
    assert ROUTE(str(tiny)) == (0, said)


def test_route_as_json(tiny: Path) -> None:
    _, said = ROUTE(str(tiny), *TEXTS, "--json", "--top", "2")
    held = json.loads(said)
    assert held["prefix_tokens"] == 32
    assert [each["expert"] for each in held["routes"]] == list(DOMAINS)
    for each in held["routes"]:
        assert len(each["scores"]) == 2 and next(iter(each["scores"])) == each["expert"]
    _, said = ROUTE(str(tiny), *TEXTS, "--json", "--experts", "law, code")
    assert {each["expert"] for each in json.loads(said)["routes"]} == {"law", "code"}


def test_more_experts_of_a_text_stand_below_it(tiny: Path) -> None:
    _, said = ROUTE(str(tiny), TEXTS[2], "--top", "9")
    rows = [line.split() for line in said.splitlines()[1:]]
    assert sorted(row[0] for row in rows) == sorted(DOMAINS) and rows[0][0] == "law"
    assert len(rows[0]) > 2 and all(len(row) == 2 for row in rows[1:])


def test_routing_needs_no_torch() -> None:
    code = "import speciate.specialists.folder, speciate.specialists.routing, speciate.cli.experts, sys; "
    code += "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"}, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("lines", "said"), [("", "no records"), ('{"text": "a"}\n{"other": 1}\nnot json', "line 2"), (None, "no such file")]
)
def test_files_that_hold_no_text_are_refused(tiny: Path, tmp_path: Path, lines: str | None, said: str) -> None:
    file = tmp_path / "t.jsonl"
    if lines is not None:
        file.write_text(lines, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        ROUTE(str(tiny), "--file", str(file))


def test_text_and_a_file_are_one_too_many(tiny: Path) -> None:
    with pytest.raises(UserError, match="texts and a file"):
        ROUTE(str(tiny), "law", "--file", "x")


def test_a_prompt_goes_on(tiny: Path, specialists: Specialists, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = TEXTS[2][:60]
    wanted = specialists.generate(prompt, max_new_tokens=20)
    assert GENERATE(str(tiny), prompt, "--max-new-tokens", "20") == (0, wanted.text + "\n")
    assert capsys.readouterr().err.startswith("law: 20 tokens after ")
    _, said = GENERATE(str(tiny), prompt, "--max-new-tokens", "20", "--json")
    held = json.loads(said)
    assert held["seconds"] > 0 and next(iter(held["scores"])) == "law"
    assert (held["text"], held["expert"], held["tokens"], held["finish"]) == (wanted.text, "law", 20, "length")


def test_options_of_generate_are_those_of_specialists(
    tiny: Path, specialists: Specialists, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"expert": "code", "temperature": 1.2, "top_p": 0.9, "seed": 3, "stop": ["e", "zz"], "max_new_tokens": 30}
    wanted = specialists.generate(TEXTS[0][:40], **options)  # type: ignore[arg-type]
    monkeypatch.setattr("sys.stdin", io.StringIO(TEXTS[0][:40]))
    said = GENERATE(
        str(tiny), "-", "--expert", "code", "--temperature", "1.2", "--top-p", "0.9", "--seed", "3", "--stop", "e",
        "--stop", "zz", "--max-new-tokens", "30",
    )  # fmt: skip
    assert said == (0, wanted.text + "\n")


def test_what_the_shell_closed_and_bytes_that_are_no_text(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UserError, match="it is closed"):
        ROUTE(str(tiny))
    with pytest.raises(UserError, match="it is closed"):
        GENERATE(str(tiny), "-")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"law \xff"), encoding="utf-8"))
    with pytest.raises(UserError, match="give UTF-8 text"):
        ROUTE(str(tiny))
    with pytest.raises(UserError, match="text 2: it is not Unicode"):
        ROUTE(str(tiny), "law", "\udcff")


def test_a_file_that_begins_with_a_mark_of_its_encoding(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text(TEXTS[2] + "\n", encoding="utf-8")
    wanted = ROUTE(str(tiny), "--file", str(file))
    file.write_text(TEXTS[2] + "\n", encoding="utf-8-sig")
    assert ROUTE(str(tiny), "--file", str(file)) == wanted


def test_generate_outlives_a_closed_stdout(tiny: Path) -> None:
    command = f"{sys.executable} -m speciate generate {tiny} 'the court of appeal' --max-new-tokens 2 >&-"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    ended = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stderr.startswith("law: 2 tokens")
