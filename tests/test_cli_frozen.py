"""The surface of the command line, frozen: a change here is a change to users' scripts and to the CHANGELOG."""

from __future__ import annotations

from typing import Any

import typer

from speciate.cli.main import build

SURFACE = {
    "": ["--debug", "--help", "--version"],
    "demo": ["--help", "--json", "--minutes", "--out", "--seed"],
    "init": ["--help", "--json", "DIR"],
    "run": ["--dry-run", "--help", "--json", "--until", "STUDY.yaml", "[key.sub=value ...]"],
    "validate": ["--columns", "--help", "--json", "FILE"],
    "report": ["--help", "--json", "DIR"],
    "compare": ["--help", "--json", "DIR"],
    "laws": ["--help", "--json", "name"],
    "fit": [
        "--bootstrap", "--columns", "--delta", "--eval-on", "--help", "--holdout", "--intervals", "--json", "--level",
        "--noise-by", "--objective", "--out", "--output", "--rivals", "--seed", "--where", "LAW", "TABLE",
    ],
    "predict": ["--columns", "--help", "--json", "--mean", "FIT.json", "TABLE | name=value ..."],
    "import": ["--columns", "--help", "--json", "--kind", "--out", "--set", "SOURCE..."],
    "plan": ["--help"],
    "plan mixture": [
        "--bootstrap", "--columns", "--domain", "--general", "--help", "--horizon", "--json", "--level", "--params",
        "--seed", "--tolerance", "TABLE",
    ],
    "plan accuracy": [
        "--bootstrap", "--columns", "--eval-on", "--flops", "--help", "--json", "--level", "--params", "--samples",
        "--seal", "--seed", "--tokens", "--where", "TABLE",
    ],
    "plan specialize": [
        "--bootstrap", "--columns", "--eval-on", "--flops", "--general", "--help", "--json", "--level", "--new",
        "--original", "--seal", "--seed", "--specialized", "TABLE",
    ],
    "plan split": [
        "--bootstrap", "--columns", "--domains", "--eval-on", "--help", "--json", "--level", "--params", "--seal",
        "--seed", "--tokens", "--weights", "--where", "TABLE",
    ],
}  # fmt: skip

DEFAULTS = {
    ("demo", "minutes"): 8.0,
    ("demo", "seed"): 0,
    ("fit", "bootstrap"): 1000,
    ("fit", "level"): 0.9,
    ("plan mixture", "bootstrap"): 1000,
    ("plan mixture", "general"): "general",
    ("plan mixture", "level"): 0.9,
    ("plan mixture", "tolerance"): 0.05,
}


def commands(command: Any, prefix: str = "") -> dict[str, Any]:
    found = {prefix: command}
    for name, inner in getattr(command, "commands", {}).items():
        found |= commands(inner, f"{prefix} {name}".strip())
    return found


def test_verbs_and_options_are_frozen() -> None:
    found = {}
    for name, command in commands(typer.main.get_command(build())).items():
        words = ["--help"]
        for parameter in command.params:
            is_option = parameter.param_type_name == "option"
            words += parameter.opts if is_option else [parameter.metavar or parameter.name]
        found[name] = sorted(set(words))
    assert found == SURFACE


def test_defaults_are_frozen() -> None:
    found = commands(typer.main.get_command(build()))
    for (command, name), default in DEFAULTS.items():
        parameter = next(p for p in found[command].params if p.name == name)
        assert parameter.default == default, (command, name)
