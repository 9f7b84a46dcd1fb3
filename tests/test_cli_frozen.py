"""The surface of the command line, frozen: a change here is a change to users' scripts and to the CHANGELOG."""

from __future__ import annotations

from typing import Any

import typer

from speciate.cli.main import build

SURFACE = {
    "": ["--debug", "--help", "--version"],
    "demo": ["--help", "--json", "--minutes", "--out", "--seed"],
    "init": ["--decide", "--help", "--json", "DIR"],
    "run": ["--dry-run", "--help", "--json", "--until", "STUDY.yaml", "[key.sub=value ...]"],
    "validate": ["--columns", "--help", "--json", "FILE"],
    "report": ["--help", "--json", "DIR"],
    "compare": ["--columns", "--help", "--json", "PLAN.json | DIR", "[TABLE]"],
    "laws": ["--help", "--json", "name"],
    "fit": [
        "--bootstrap", "--columns", "--delta", "--eval-on", "--help", "--holdout", "--intervals", "--json",
        "--level", "--noise-by", "--objective", "--out", "--output", "--rivals", "--seed", "--where", "LAW", "TABLE",
    ],
    "predict": ["--columns", "--help", "--json", "--mean", "FIT.json", "TABLE | name=value ..."],
    "import": ["--columns", "--help", "--json", "--kind", "--out", "--set", "SOURCE..."],
    "cost": [
        "--actuals", "--batch", "--device", "--device-table", "--devices", "--help", "--json", "--mfu", "--price",
        "--recompute", "--sequence", "--sharding", "--tokens", "--took-hours", "CONFIG_OR_PARAMS",
    ],
    "route": ["--experts", "--field", "--file", "--help", "--json", "--task", "--top", "DIR", "[TEXT]..."],
    "generate": [
        "--expert", "--experts", "--help", "--json", "--max-new-tokens", "--seed", "--stop", "--temperature",
        "--top-p", "DIR", "prompt",
    ],
    "serve": [
        "--api-key", "--experts", "--grace-seconds", "--help", "--host", "--json", "--max-body-bytes",
        "--max-new-tokens", "--max-prompt-tokens", "--max-waiting", "--memory", "--port", "--workers", "DIR",
    ],
    "plan": ["--help"],
    "plan mixture": [
        "--bootstrap", "--columns", "--device", "--domain", "--domains", "--general", "--help", "--horizon",
        "--json", "--lambda", "--level", "--params", "--price", "--seal", "--seed", "--tolerance", "--tolerances",
        "--unique", "--weights", "TABLE",
    ],
    "plan accuracy": [
        "--bootstrap", "--columns", "--device", "--eval-on", "--flops", "--help", "--json", "--level", "--params",
        "--price", "--samples", "--seal", "--seed", "--tokens", "--where", "TABLE",
    ],
    "plan specialize": [
        "--bootstrap", "--columns", "--device", "--eval-on", "--flops", "--general", "--help", "--json", "--level",
        "--new", "--original", "--price", "--seal", "--seed", "--specialized", "TABLE",
    ],
    "plan split": [
        "--bootstrap", "--columns", "--device", "--domains", "--eval-on", "--help", "--json", "--level", "--params",
        "--price", "--seal", "--seed", "--tokens", "--weights", "--where", "TABLE",
    ],
    "plan decide": [
        "--bootstrap", "--columns", "--device", "--domain", "--domains", "--flops-budget", "--general", "--help",
        "--json", "--keep-seed", "--level", "--params", "--pilots", "--price", "--reach", "--regret", "--seal",
        "--seed", "--serve-tokens", "--sure", "--tolerance", "--unique-tokens", "TABLE",
    ],
    "plan next": [
        "--bootstrap", "--candidates", "--columns", "--device", "--domain", "--domains", "--eval-on", "--for",
        "--general", "--good-enough", "--help", "--horizon", "--json", "--least-drop", "--most-flops", "--params",
        "--price", "--schedule", "--seed", "--tokens", "--tolerance", "--weight", "--where", "--worth", "TABLE",
    ],
    "corpus": ["--help"],
    "corpus inspect": [
        "--address", "--engine", "--help", "--json", "--languages", "--out", "--part-bytes", "--processes",
        "--text-field", "INPUT...",
    ],
    "corpus clean": [
        "--address", "--engine", "--evaluation", "--evaluation-field", "--exact-duplicates", "--field", "--help",
        "--json", "--language", "--most-bad", "--near-duplicates", "--out", "--preset", "--processes", "--rule",
        "--similarity", "--text-field", "--words", "INPUT...",
    ],
    "corpus classify": [
        "--address", "--budget", "--bytes-per-token", "--cache", "--characters", "--encoder", "--engine",
        "--held-out-labels", "--help", "--json", "--label-by-hand", "--label-with", "--labels", "--labels-per-round",
        "--model", "--most-bad", "--out", "--parallel-calls", "--processes", "--rejected-text", "--relevant-from",
        "--rounds", "--sample", "--seed", "--text-field", "--threshold", "--tokenizer", "--topic", "--yes",
        "INPUT...",
    ],
    "corpus cluster": [
        "--address", "--clusters", "--dimensions", "--embedding", "--engine", "--held-out", "--help", "--json",
        "--most-bad", "--out", "--prefix", "--processes", "--sample", "--seed", "--text-field", "--window",
        "INPUT...",
    ],
    "corpus tokenize": [
        "--address", "--domain-field", "--engine", "--held-out", "--held-out-field", "--help", "--json", "--mixture",
        "--most-bad", "--out", "--processes", "--sample-bytes", "--seed", "--sequence-length", "--text-field",
        "--tokenizer", "--tokens", "--vocabulary", "[DOMAIN=]INPUT...",
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
