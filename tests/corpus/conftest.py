"""Small corpora: words of a made-up language, so that texts differ and near-duplicates are only those meant."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest


def make_prose(seed: int, lines: int = 30) -> str:
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghij ", k=rng.randint(2, 9))) for _ in range(lines * 8)]
    return "\n".join(" ".join(words[i * 8 : i * 8 + 8]) for i in range(lines))


def make_installation(root: Path, modules: int = 6) -> tuple[Path, Path]:
    """A standard library and a site-packages folder."""
    stdlib, packages = root / "lib", root / "lib" / "site-packages"
    places = ["", *(f"site-packages/{p}" for p in ("torch", "numpy", "sympy", "other", "speciate", "numpy.tests"))]
    for place in places:
        for i in range(modules):
            path = stdlib / place / f"m{i}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            body = "\n".join(f"value_{place.replace('/', '_')}_{i}_{j} = {j} * {i} + 1" for j in range(60))
            doc = "\n".join(f"{place} module {i} line {j}: what it is for." for j in range(30))
            path.write_text(f'"""{doc}"""\n{body}\n', encoding="utf-8")
            path.with_suffix(".h").write_text(f"// Copyright\n#pragma once\n{body}\n", encoding="utf-8")
    (stdlib / "encodings").mkdir()
    (stdlib / "encodings" / "table.py").write_text("skipped = 1")
    (stdlib / "latin.py").write_bytes(b"name = '\xe9'")
    (packages / "other-1.0.dist-info").mkdir()
    (packages / "speciate-0.1.dist-info").mkdir()
    return stdlib, packages


@pytest.fixture(scope="session")
def prose() -> Callable[[int], str]:
    """Text by seed, about 1.3 kB."""
    return make_prose


@pytest.fixture(scope="session")
def installed() -> Callable[[Path], tuple[Path, Path]]:
    """Makes a tiny standard library and site-packages folder in a root."""
    return make_installation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty text files of about a kilobyte."""
    path = tmp_path / "texts"
    path.mkdir()
    for i in range(30):
        (path / f"{i:02}.txt").write_text(make_prose(i), encoding="utf-8")
    return path


@pytest.fixture
def lines_file(tmp_path: Path) -> Path:
    """One .jsonl of a hundred documents."""
    path = tmp_path / "lines.jsonl"
    rows = [json.dumps({"text": make_prose(1000 + i), "id": i}) for i in range(100)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path
