"""YAML that a person wrote: strict about what is silently wrong elsewhere, with line numbers for errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from speciate.errors import Problem, UserError


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """PyYAML's safe loader, which also reads 3e-3 and 1e6 as numbers (YAML 1.2; 1.1 makes them text)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


class Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Puts quotes around all that the loader would not read back as text."""


Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


@dataclass(frozen=True)
class YamlText:
    """A parsed file: its value, the line of each dotted key, and keys that were given twice."""

    value: Any
    lines: dict[str, int]
    problems: tuple[Problem, ...]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file that a user named; a missing, unreadable or other file is a UserError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problem = Problem(
            f"byte {error.start} is not UTF-8", str(path), f"save it as UTF-8, for instance: iconv -t utf-8 {path.name}"
        )
    except FileNotFoundError:
        problem = Problem("no such file", str(path), "give the path of a file that exists")
    except IsADirectoryError:
        problem = Problem("this is a folder", str(path), "give a file, for instance study.yaml in it")
    except OSError as error:
        problem = Problem(f"cannot be read ({error.strerror})", str(path), "check the path and its permissions")
    raise UserError(problem)


def parse_yaml(text: str, where: str) -> YamlText:
    """Parse one YAML document. Duplicate keys are returned as problems; broken syntax is a UserError.

    >>> parse_yaml("a: 3e-3", "x.yaml").value
    {'a': 0.003}
    >>> str(parse_yaml("a: 1\\na: 2", "x.yaml").problems[0])
    'x.yaml line 2: a is given twice (first on line 1); keep one of them'
    """
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        _walk(node, "", lines, problems, where, set())
        value = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise UserError(Problem(f"not valid YAML: {what}", where + line, "mend the syntax there")) from None
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(Problem(f"not valid YAML: {reason}", where, "mend or remove that value")) from None
    except RecursionError:
        raise UserError(Problem("nested too deeply", where, "a study is three levels deep")) from None
    return YamlText(value, lines, tuple(problems))


def _walk(
    node: yaml.Node | None, path: str, lines: dict[str, int], problems: list[Problem], where: str, seen: set[int]
) -> None:
    """Note the line of every key below ``node``, and every key that its mapping holds twice."""
    if id(node) in seen:  # an alias, possibly of a mapping that contains it
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[f"{path}{index}"] = item.start_mark.line + 1
            _walk(item, f"{path}{index}.", lines, problems, where, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, item in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in first and name != "<<":
                fix = "keep one of them"
                what = f"{path}{name} is given twice (first on line {first[name]})"
                problems.append(Problem(what, f"{where} line {line}", fix))
            first.setdefault(name, line)
            lines[f"{path}{name}"] = line
            _walk(item, f"{path}{name}.", lines, problems, where, seen)
