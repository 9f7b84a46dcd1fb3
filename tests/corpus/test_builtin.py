"""The built-in survey on a tiny made-up installation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from speciate.corpus.builtin import DOMAINS, docstrings, installation, survey, without_licence

Installed = Callable[[Path], tuple[Path, Path]]
LONG = "A sentence of a docstring that says something about a function. " * 5 + "End."


def test_files_come_from_their_domain_and_no_other(tmp_path: Path, installed: Installed) -> None:
    found = {d: dict(files) for d, files in survey(*installed(tmp_path)).items()}
    assert set(found) == set(DOMAINS) and len(found) == 6

    def roots(domain: str) -> set[str]:
        return {name.rpartition("/")[0] for name in found[domain]}

    assert roots("code_python") == {"stdlib"}
    assert "stdlib/latin.py" not in found["code_python"]
    others = {"site-packages/other", "site-packages/numpy.tests"}
    assert roots("docs_python") == {"stdlib"} | others
    assert roots("docs_science") == {"site-packages/numpy"}
    assert roots("docs_math") == {"site-packages/sympy"}
    assert roots("docs_deep_learning") == {"site-packages/torch"}
    assert roots("code_cpp") == {"site-packages/torch", "site-packages/numpy"} | others
    assert all(text.startswith("#pragma") for texts in found["code_cpp"].values() for text in texts)


def test_the_order_depends_on_the_seed_and_on_relative_paths_only(tmp_path: Path, installed: Installed) -> None:
    one, two = (installed(tmp_path / name) for name in ("one", "two"))
    assert list(survey(*one)["code_python"]) == list(survey(*two)["code_python"])
    names = [name for name, _ in survey(*one)["code_python"]]
    assert names != sorted(names) and names != [name for name, _ in survey(*one, seed=1)["code_python"]]


def test_installation_leaves_speciate_out(tmp_path: Path, installed: Installed) -> None:
    _, packages = installed(tmp_path)
    assert installation(packages)[1:] == ["other-1.0.dist-info"]


@pytest.mark.parametrize(
    "source",
    [
        f'"""{LONG}"""\n',
        f'# comment\n\n"""{LONG}"""\n',
        f"def f(\n    a,\n) -> int:  # why\n    r'''{LONG}'''\n    return 1",
        f'class A:\n\n    """{LONG}"""\n    x = """{LONG}"""\n',
    ],
)
def test_docstrings_are_found(source: str) -> None:
    assert docstrings(source) == [LONG]


def test_docstrings_are_unescaped_and_short_or_broken_ones_left_out() -> None:
    assert docstrings(f'"""{LONG}\\u00e9"""')[0].endswith("é")
    assert docstrings('"""short"""') == [] == docstrings(f'"""{LONG}\\x"""') == docstrings(f'"""{LONG}')


def test_only_comments_that_state_a_licence_are_removed() -> None:
    assert without_licence("/* Copyright */\n\nint x;") == "int x;"
    assert without_licence("# about this file\nx = 1") == "# about this file\nx = 1"
    assert without_licence("x = 1  # license") == "x = 1  # license"
