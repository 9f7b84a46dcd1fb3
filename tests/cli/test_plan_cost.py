"""--device and --price of every verb that plans a run, and the five lines of every decision, on the pages' tables."""

from __future__ import annotations

import io
import json
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from speciate.cli.main import main
from speciate.cli.plan_cost import cost_of, cost_told, with_cost

DOCS = Path(__file__).parents[2] / "docs"
WHAT = {"split": "All of it", "decide": "The final run", "specialize": "The run on law"}  # what hours are of
LABELS = ["Choice", "How sure", "Cost", "What would change it", "Next"]


def called(*words: str) -> tuple[int, str]:
    """Exit code, and what is on stdout and stderr."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(list(words))
    return code, said.getvalue()


def asked(kind: str, number: int = 0) -> list[str]:
    """A command of the page of this kind, its tables written to the current folder."""
    text = (DOCS / f"plan_{kind}.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)[: 1 if number == 0 else 2]:
        exec(block, names)
    line = re.findall(r"^\$ speciate (plan .*)$", text, re.MULTILINE)[number]
    return [*shlex.split(line), "--bootstrap", "200"]


@pytest.mark.parametrize(
    ("kind", "number"),
    [("mixture", 0), ("mixture", 1), ("split", 0), ("specialize", 0), ("accuracy", 0), ("decide", 0), ("next", 0)],
)
def test_every_verb_tells_hours_and_money(
    kind: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = asked(kind, number)
    code, plain = called(*command)
    again, dear = called(*command, "--device", "H100", "--price", "2.5")
    json_code, text = called(*command, "--device", "h100", "--json")
    assert (code, again, json_code) == (0, 0, 0)
    lines = plain.splitlines()
    assert [line.split(":")[0] for line in lines[:5]] == LABELS
    last = lines[4].removeprefix("Next: ")
    assert last.startswith(
        "run it, add its rows" if kind == "next" else f"seal it before it is run: speciate plan {kind}"
    )
    changed = [(one, other) for one, other in zip(lines, dear.splitlines(), strict=True) if one != other]
    assert len(changed) == 1
    before, after = changed[0]
    assert before.startswith("Cost: ") and "(6 N D)" in before
    assert after.startswith(f"{before} {WHAT.get(kind, 'The run')}: ")
    assert re.search(r"H100-hours, expected \S+; money \S+ to \S+, expected \S+ \(at 2\.5 an hour\); at 25%", after)
    cost = json.loads(text)["cost"]
    assert cost["device"] == "H100" and cost["money"] is None
    hours = cost["device_hours"]
    assert hours["low"] < hours["expected"] < hours["high"]
    assert hours["expected"] == pytest.approx(cost["flops"] / (989e12 * 0.4) / 3600, rel=0.01)


def test_an_unknown_price_is_said_and_without_a_device_nothing_is() -> None:
    from speciate.runs.devices import device_named

    line = "Cost: 1e+20 FLOPs (6 N D)."
    assert "money unknown: give a price per hour" in cost_told([line], cost_of(1e20, device_named("H100")))[0]
    assert cost_told([line], cost_of(1e20, None)) == [line] == cost_told([line], None)
    assert with_cost({"kind": "next"}, None) == {"kind": "next", "cost": None}
    found = with_cost({"cost": {"pilot_flops": 5.0}}, cost_of(1e20, None, None))
    assert found["cost"]["pilot_flops"] == 5.0 and found["cost"]["device_hours"] is None


def test_wrong_options_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = asked("split")
    code, said = called(*command, "--weights", "law=x", "--device", "abacus", "--price", "-1")
    assert code == 2 and said.startswith("3 problems:") and "H100" in said
    code, said = called(*command, "--price", "2")
    assert code == 2 and "add --device NAME" in said


def test_once_sealed_nothing_says_to_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, number in (("mixture", 0), ("mixture", 1), ("decide", 0), ("specialize", 0)):
        file = f"{kind}{number}.json"
        code, said = called(*asked(kind, number), "--seal", file)
        assert code == 0 and "seal it" not in said and f"speciate compare {file} TABLE" in said
