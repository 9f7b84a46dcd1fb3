"""The verb cost and docs/cost.md. As a script (PYTHONPATH=src:tests), it writes the page's outputs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pages import Page, Played, verb, write_anew
from speciate.cli.cost import cost
from speciate.cli.output import DONE
from speciate.errors import UserError
from speciate.runs.actuals import read_actuals

called = verb(cost, "speciate cost")
PAGE = Page("docs/cost.md", called, "speciate cost")


def files() -> None:
    """The page's config and table of devices, in the folder of now."""
    Path("config.json").write_text(PAGE.blocks("json")[0], encoding="utf-8")
    Path("devices.csv").write_text(PAGE.blocks("csv")[0], encoding="utf-8")


def made() -> list[Played]:
    """What the page's commands and its Python print now."""
    files()
    return [*PAGE.commands(), Played("text", PAGE.blocks("text")[0], PAGE.python(0))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files()
    return tmp_path


def problems(*arguments: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        called(*arguments)
    return [f"{problem.where}: {problem.what}" for problem in caught.value.problems]


@pytest.mark.usefixtures("folder")
def test_the_page_shows_what_the_commands_print() -> None:
    found = made()
    assert [one.kind for one in found] == ["console"] * 5 + ["text"]
    for one in found:
        assert one.now == one.shown and set(one.codes) <= {DONE}


@pytest.mark.usefixtures("folder")
def test_json_has_every_number_and_null_where_unknown() -> None:
    code, said = called("config.json", "--tokens", "1e10", "--json")
    found = json.loads(said)
    assert code == DONE and len(said.splitlines()) == 1
    assert found["flops"] == 1e10 * found["flops_per_token"] > 1e10 * found["flops_per_token_six_n"]
    for name in ("device", "seconds", "device_hours", "money", "correction", "recorded"):
        assert found[name] is None
    _, said = called(
        "config.json", "--tokens", "1e10", "--json", "--device", "h200", "--price", "0", "--mfu", ".1,.2,.3"
    )
    found = json.loads(said)
    assert (found["device"], found["mfu"], found["money"]["high"]) == ("H200", [0.1, 0.2, 0.3], 0)
    hours = found["device_hours"]
    assert hours["expected"] == pytest.approx(found["flops"] / (989e12 * 0.2 * 3600))
    assert hours["low"] == pytest.approx(hours["expected"] * 2 / 3) and hours["high"] == 2 * hours["expected"]


@pytest.mark.usefixtures("folder")
def test_what_runs_took_corrects_the_runs_of_that_device_alone() -> None:
    options = ("config.json", "--tokens", "1e10", "--actuals", "log.jsonl", "--json", "--device")
    before = json.loads(called(*options, "H100")[1])
    hours = 2 * before["device_hours"]["expected"]
    told = json.loads(called(*options, "H100", "--took-hours", str(hours))[1])
    assert told["device_hours"] == before["device_hours"] and told["correction"] is None  # it was not known before
    (logged,) = read_actuals(Path("log.jsonl"))
    assert logged.name == told["recorded"]
    assert logged.actual_seconds / logged.estimated_seconds == pytest.approx(2)
    after = json.loads(called(*options, "h100")[1])
    assert after["correction"]["factor"] == pytest.approx(1.94, abs=0.01)
    assert after["device_hours"]["expected"] == pytest.approx(before["device_hours"]["expected"] * 1.94, rel=0.01)
    other = called(*options[:-2], "--device", "H200")[1]
    assert "log.jsonl has no run on H200" in other and "assumed" in other
    told = json.loads(called(*options, "H100", "--devices", "2", "--took-hours", str(hours / 2))[1])
    ratios = [run.actual_seconds / run.estimated_seconds for run in read_actuals(Path("log.jsonl"))]
    assert ratios == pytest.approx([2, 2])  # to the estimate without a correction


@pytest.mark.usefixtures("folder")
def test_a_duration_that_cannot_be_is_not_logged() -> None:
    options = ("config.json", "--device", "H100", "--actuals", "log.jsonl", "--tokens")
    assert "times their peak" in problems(*options, "1e10", "--took-hours", ".1")[0]
    assert "too short to learn from" in problems(*options, "1e-6", "--took-hours", "1")[0]
    assert not Path("log.jsonl").exists()


@pytest.mark.usefixtures("folder")
def test_every_wrong_option_at_once() -> None:
    wrong = ("--price", "-1", "--mfu", ".5,.4,.6", "--took-hours", "nan", "--sequence", "9")
    assert problems("7e9", "--tokens", "inf", "--device", "H10", *wrong) == [
        "--device: no device is called 'H10'",
        "--price: the price is -1.0",
        "--mfu: '.5,.4,.6' is no utilisation",
        "--tokens: inf tokens",
        "--took-hours: nan hours",
        "--took-hours: there is no log to add it to",
        "--sequence: a number of parameters does not say what attention costs",
    ]
    assert problems("7e9", "--tokens", "1e9", "--device", "H100", "--mfu", "a,b,c") == [
        "--mfu: 'a,b,c' is no utilisation"
    ]
    lonely = problems("7e9", "--tokens", "1e9", "--price", "2", "--mfu", ".1,.2,.3", "--actuals", "log.jsonl")
    assert [line.partition(":")[0] for line in lonely] == ["--price", "--mfu", "--actuals", "--mfu"]
    for text, said in (("0", "0 parameters"), ("-7e9", "parameters"), ("nan", "nan parameters"), ("1e400", "1e400 par"),
                       ("7B", "neither a file nor a number"), ("no.json", "no such file")):  # fmt: skip
        assert said in problems("--tokens", "1e9", "--", text)[0]
    for value in ("1e308", "0", "-5"):
        assert "tokens" in problems("7e9", "--tokens", value)[0]
    Path("config.json").write_text('{"model_type": "mamba"}', encoding="utf-8")
    assert "'mamba' are not known" in problems(".", "--tokens", "1e9")[0]


def test_a_file_named_like_a_number_is_read(folder: Path) -> None:
    (folder / "7").mkdir()
    (folder / "config.json").rename(folder / "7" / "config.json")
    assert "8,030,261,248" in called("7", "--tokens", "1e9")[1]


def test_no_torch_is_needed() -> None:
    code = "import speciate.cli.cost, speciate.runs.training_cost, speciate.runs.model_config, sys; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr


if __name__ == "__main__":
    write_anew(PAGE, made)
