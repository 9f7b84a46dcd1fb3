from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from specialists.tiny import tiny_folder
from speciate.specialists.experts import Specialists


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of specialists that no test changes."""
    root = tmp_path_factory.mktemp("specialists")
    return tiny_folder(root / "out", root / "made_from")


@pytest.fixture(scope="session")
def made_from(tiny: Path) -> Path:
    """The Hugging Face folders and the router that it was built from."""
    return tiny.parent / "made_from"


@pytest.fixture
def own(tiny: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "own"))


@pytest.fixture(scope="session")
def specialists(tiny: Path) -> Specialists:
    return Specialists.load(tiny, device="cpu")
