from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "fit_speed.py"
POINTS = ROOT.parent / "shared" / "data" / "chinchilla_points.csv"


@pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks are not part of a source distribution")
def test_a_tiny_run_prints_every_comparison(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(SCRIPT), "--quick", "--json", "--packages", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["size"] == "quick"
    assert {"starts", "arrived", "times_ours"} <= set(found["mixing"]["least_squares"])
    assert found["mixing"]["least_squares"]["best_over_ours"] >= 1 - 1e-9
    assert found["split"]["rows"] == 800
    assert found["split"]["basin_hopping"]["objective_over_ours"] >= 1 - 1e-9
    if not POINTS.exists():
        assert "--points" in found["absent"]
        return
    ours, grid = found["chinchilla"], found["grid"]
    assert ours["fit"]["of_best_known"] == pytest.approx(1, abs=1e-5)
    assert ours["fit"]["cpu_seconds"] > 0
    assert {"solver", "fit"} <= set(ours["bootstrap"])
    assert grid["best_over_ours"] >= 1 - 1e-9
    assert grid["starts"] == 4500
    assert ["pip install" in row["skipped"] for row in found["packages"]] == [True, True]
