"""What the README shows works: commands parse, studies are valid, Python names exist, files are there."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

import speciate
from speciate.cli.main import build
from speciate.study.load import load_study, parse_study

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()]


def parse(words: list[str]) -> None:
    """Parse a command line as the program would, without running the verb."""
    command = typer.main.get_command(build())
    parent = None
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, words
        parent, command, words = command, command.commands[words[0]], words[1:]
    assert parent is not None
    command.make_context("speciate", list(words))


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 10 and len({line.split()[1] for line in COMMANDS if line.startswith("speciate")}) >= 6


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_parse(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "speciate":
        parse(words[1:])
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    else:
        assert words[:2] == ["pip", "install"]
        assert (ROOT / "constraints.txt").is_file()


def test_commands_inside_the_text_parse() -> None:
    for target in re.findall(r"`make (\w+)", README):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "yaml"])
def test_yaml_is_a_study(text: str, tmp_path: Path) -> None:
    with_sources(text, tmp_path)
    assert parse_study(text, "README.md", tmp_path).corpus.domain == "contracts"


def test_every_example_is_a_valid_study(tmp_path: Path) -> None:
    examples = sorted((ROOT / "examples").rglob("*.yaml"))
    assert examples
    for example in examples:
        folder = tmp_path / example.parent.name
        shutil.copytree(example.parent, folder)
        with_sources(example.read_text(encoding="utf-8"), folder)
        config = load_study(folder / example.name)
        if config.decide == "mixture":
            assert config.plan.horizon_tokens > config.pilot.tokens
        else:
            assert config.plan.total_tokens > max(config.split.budgets)


def with_sources(text: str, folder: Path) -> None:
    """Make the files that a study's ./paths name, as validation looks for them."""
    for path in re.findall(r": (\./[\w./-]+)", text):
        source = folder / path
        if source.suffix:
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text('{"text": "x"}\n', encoding="utf-8")
        else:
            source.mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "python"])
def test_python_names_exist(text: str) -> None:
    names = [
        alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module == "speciate"
        for alias in node.names
    ]
    assert names
    for name in names:
        assert getattr(speciate, name)


def test_public_names_exist_and_others_do_not() -> None:
    for name in speciate.__all__:
        assert getattr(speciate, name)
    assert set(speciate.__all__) <= set(dir(speciate))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        speciate.nonsense  # noqa: B018


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(((?!http)[^)#]+)", README):
        if target != "docs/report.png":  # a picture of a run; the repository adds it with the first one
            assert (ROOT / target).exists(), target


def test_the_tree_of_files_is_the_real_one() -> None:
    rooms = set(re.findall(r"^  (\w+)/ ", README, re.MULTILINE))
    assert rooms == {path.name for path in (ROOT / "src" / "speciate").iterdir() if (path / "__init__.py").exists()}


def test_version_is_the_same_everywhere() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{speciate.__version__}"' in project
    assert f"## {speciate.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
