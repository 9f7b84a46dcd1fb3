"""``study.yaml`` and command-line overrides -> a study of the kind that it decides, or every problem at once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from speciate.errors import Problem, UserError
from speciate.study.checkpoint import with_checkpoint_sizes
from speciate.study.checks import check, nearest
from speciate.study.complaints import Places, field_at, problem_of, short
from speciate.study.config import StudyConfig
from speciate.study.split.checks import check_split
from speciate.study.split.config import AnyStudy, SplitStudy
from speciate.study.yamltext import Dumper, parse_yaml, read_text

KINDS: dict[str, type[StudyConfig] | type[SplitStudy]] = {"mixture": StudyConfig, "split": SplitStudy}


def load_study(path: Path, overrides: Sequence[str] = ()) -> AnyStudy:
    """Read a study file, apply ``key.sub=value`` overrides, and check all of it.

    Relative paths in the study (also those given as overrides) are taken from the file's own folder and
    become absolute. Raises UserError with everything that is wrong.
    """
    return parse_study(read_text(path), str(path), path.resolve().parent, overrides)


def parse_study(text: str, where: str, base: Path, overrides: Sequence[str] = ()) -> AnyStudy:
    """``load_study`` for text that is not in a file; ``where`` names it in errors, paths start at ``base``.

    >>> parse_study("{pilot: {ratios: [0.5]}}", "study.yaml", Path("/tmp"), ["plan.level=0.8"]).plan.level
    0.8
    >>> type(parse_study("decide: split", "study.yaml", Path("/tmp"))).__name__
    'SplitStudy'
    """
    parsed = parse_yaml(text, where)
    if parsed.value is None:
        raise UserError(Problem("the file is empty", where, "write a commented one with: speciate init DIR"))
    if not isinstance(parsed.value, dict):
        what = f"this is {short(parsed.value)}, not keys and values"
        raise UserError(Problem(what, where, "write a commented one with: speciate init DIR"))
    raw = copy.deepcopy(parsed.value)
    places = Places(where, parsed)
    problems = [*parsed.problems, *_choose_kind(raw, overrides, places)]
    for section, value in raw.items():  # a section whose every line is commented out means its defaults
        if value is None and field_at((section,), places.study)[0] is not None and section != "models":
            raw[section] = {}
    for override in overrides:
        if override.partition("=")[0].strip() == "decide":
            continue
        problem = _override(raw, override, places)
        if problem is not None:
            problems.append(problem)
    config, found = _validate(raw, base, places)
    if problems + found:
        raise UserError(problems + found)
    assert config is not None
    return config


def study_yaml(config: AnyStudy) -> str:
    """The whole configuration as YAML, every default written out; ``load_study`` reads it back as equal."""
    text: str = yaml.dump(config.model_dump(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def _choose_kind(raw: dict[str, Any], overrides: Sequence[str], places: Places) -> list[Problem]:
    """Set the sections that ``decide`` asks for; what is wrong with it. One that is not known is then left out."""
    given = [text.partition("=")[2].strip() for text in overrides if text.partition("=")[0].strip() == "decide"]
    asked = given[-1] if given else raw.get("decide", "mixture")
    if asked not in [*KINDS]:
        raw.pop("decide", None)
        hint = nearest(str(asked), KINDS)
        fix = f"did you mean {hint}?" if hint else f"use one of {', '.join(KINDS)}"
        where = "override decide" if given else places.of("decide")
        return [Problem(f"{short(asked)} is not allowed: no question is called so", where, fix)]
    raw["decide"] = asked
    places.study = KINDS[asked]
    return []


def _override(raw: dict[str, Any], text: str, places: Places) -> Problem | None:
    """Set one ``key.sub=value`` in ``raw``; what is wrong with it, if anything."""
    where, (key, equals, value) = f"override {text!r}", text.partition("=")
    steps = key.strip().split(".")
    if not equals or not all(steps):
        return Problem("not of the form key.sub=value", where, "for instance plan.tolerance=0.1")
    try:
        parsed = parse_yaml(value, where).value
    except UserError as error:
        return error.problems[0]
    node: Any = raw
    default: Any = places.study().model_dump()
    for depth, step in enumerate(steps):
        position: Any = int(step) if isinstance(node, list) and step.isdecimal() else step
        default = default.get(step) if isinstance(default, dict) else None
        inside = (
            position < len(node) if isinstance(node, list) and isinstance(position, int) else isinstance(node, dict)
        )
        if not inside:
            above = ".".join(steps[:depth])
            return Problem(f"{above} has no part called {step}", where, f"override {above} as a whole, or another key")
        if depth == len(steps) - 1:
            node[position] = parsed
        else:
            if isinstance(node, dict) and node.get(position) is None:
                node[position] = default if isinstance(default, dict | list) else {}
            node = node[position]
    places.overridden.add(".".join(steps))
    return None


def _validate(raw: dict[str, Any], base: Path, places: Places) -> tuple[AnyStudy | None, list[Problem]]:
    """The configuration, or None, and all problems: of single fields, then between the fields that are sound."""
    problems: list[Problem] = []
    wrong: list[str] = []
    kind = KINDS[raw.get("decide", "mixture")]
    try:
        config: AnyStudy = kind.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems = [problem_of(detail["loc"], detail, places) for detail in details]
        pruned, wrong = _without(raw, [detail["loc"] for detail in details])
        try:
            config = kind.model_validate(pruned)
        except ValidationError:
            return None, problems
    config, found = _resolve(config, base, places)
    problems += found
    for finding in check_split(config) if isinstance(config, SplitStudy) else check(config):
        if not any(_overlap(key, read) for key in wrong for read in finding.reads):
            problems.append(Problem(finding.what, places.of(finding.key), finding.fix))
    return config, problems


def _resolve(config: AnyStudy, base: Path, places: Places) -> tuple[AnyStudy, list[Problem]]:
    """``config`` with absolute paths and the sizes of its checkpoints."""

    def absolute(path: str) -> str:
        return str((base / Path(path).expanduser()).resolve())

    corpus, models = config.corpus, []
    problems: list[Problem] = []
    sources = {name: source if source == "builtin" else absolute(source) for name, source in corpus.sources.items()}
    paths = {name: getattr(corpus, name) for name in ("tokenizer", "prepared")}
    for index, model in enumerate(config.models):
        if model.init_from is not None:
            model = model.model_copy(update={"init_from": absolute(model.init_from)})
        try:
            models.append(with_checkpoint_sizes(model, places.of(f"models.{index}")))
        except UserError as error:
            problems += error.problems
            models.append(model)
    for name, source in sources.items() if corpus.prepared is None else ():
        if base.resolve().is_relative_to(source):  # it would read its own measurements, and never be the same twice
            fix = "put the text in a folder of its own, or the study in another folder"
            where = places.of(f"corpus.sources.{name}")
            problems.append(Problem(f"{source} holds the study itself", where, fix))
    paths = {name: None if path is None else absolute(path) for name, path in paths.items()}
    updated: dict[str, Any] = {"corpus": corpus.model_copy(update={"sources": sources, **paths}), "models": models}
    if isinstance(config, SplitStudy) and config.evaluation.facts is not None:
        facts = {name: absolute(path) for name, path in config.evaluation.facts.items()}
        updated["evaluation"] = config.evaluation.model_copy(update={"facts": facts})
    return config.model_copy(update=updated), problems


def _without(raw: dict[str, Any], locs: Iterable[tuple[int | str, ...]]) -> tuple[dict[str, Any], list[str]]:
    """A copy of ``raw`` without the innermost keys that ``locs`` lead to, and those keys, dotted."""
    pruned = copy.deepcopy(raw)
    targets: list[tuple[dict[Any, Any], Any, str]] = []
    for loc in locs:
        node: Any = pruned
        trail: list[str] = []
        target = None
        for step in loc:
            names = {str(name): name for name in node} if isinstance(node, dict) else {}
            trail.append(str(step))
            if str(step) in names:
                target = (node, names[str(step)], ".".join(trail))
                node = node[names[str(step)]]
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                node = node[step]
            else:
                break
        if target is not None:
            targets.append(target)
    for mapping, name, _ in targets:
        mapping.pop(name, None)
    return pruned, [key for *_, key in targets]


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
