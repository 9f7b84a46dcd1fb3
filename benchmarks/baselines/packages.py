"""PyPI packages that fit the same law, each in a virtual environment of its own, away from our dependencies."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = {"chinchilla": "python", "simple-scaling-laws": "python3.12"}  # and the Python that its venv needs


@dataclass(frozen=True)
class Found:
    """What a package's script printed, or why there is nothing."""

    name: str
    printed: dict[str, Any] | None
    why: str = ""


def run(name: str, folder: Path | None, points: Path, number: int) -> Found:
    """Run one package on a CSV of points; ``number`` is starts or draws, as its script says."""
    python = None if folder is None else folder / name / "bin" / "python"
    if python is None or not python.exists():
        where = folder or Path("VENVS")
        make = f"{PACKAGES[name]} -m venv {where / name} && {where / name}/bin/pip install {name}"
        return Found(name, None, f"not installed: {make}, then --packages {where}")
    script = HERE / f"pypi_{name.replace('-', '_')}.py"
    done = subprocess.run(
        [str(python), str(script), str(points), str(number)], capture_output=True, text=True, env=dict(os.environ)
    )
    if done.returncode:
        return Found(name, None, f"failed: {done.stderr.strip().splitlines()[-1]}")
    return Found(name, json.loads(done.stdout.strip().splitlines()[-1]))
