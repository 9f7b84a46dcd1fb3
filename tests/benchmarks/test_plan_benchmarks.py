"""Smallest runs of plan_speed.py and accuracy_rivals.py: they work, and what the pages say of them is so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "benchmarks"
pytestmark = pytest.mark.skipif(not SCRIPTS.exists(), reason="benchmarks are not part of a source distribution")


def printed(script: str, *options: str) -> list[dict[str, object]]:
    """The lines of its JSON."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(SCRIPTS / script), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    lines: list[dict[str, object]] = json.loads(done.stdout)["lines"]
    return lines


def test_speed_compares_with_reading() -> None:
    (line,) = printed("plan_speed.py", "--quick", "--verbs", "split")
    assert line["verb"] == "split" and line["rows"] == 100 and line["decided"]
    assert 1 < float(str(line["times_reading"])) < 20


def test_the_direct_law_beats_rivals_where_it_is_true_and_loses_where_theirs_are() -> None:
    worlds = {str(line["world"]): line for line in printed("accuracy_rivals.py", "--studies", "3", "--noise", "0.002")}
    times = {name: line["times"] for name, line in worlds.items()}
    for world, rivals in times.items():
        assert isinstance(rivals, dict) and len(rivals) == 4, world
    paper, logistic = times["paper"], times["logistic"]
    assert isinstance(paper, dict) and min(measured for measured, _ in paper.values()) > 3
    assert isinstance(logistic, dict) and logistic["floor, logistic"][0] < 1
