"""The short form of benchmarks/coverage.py: intervals hold the truth about as often as they say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["ladder", "mixing", "noise by ratio"])
def test_ninety_percent_intervals_cover_about_ninety_percent(script: ModuleType, name: str) -> None:
    found = script.measure(name, script.worlds()[name], studies=24, draws=120)
    # 24 studies of three to five parameters that share their errors: +-7 points is two standard errors
    assert 0.80 <= found["parameters"] <= 0.99
    assert 0.80 <= found["law"] <= 0.99
    assert 0.82 <= found["new runs"] <= 0.96
