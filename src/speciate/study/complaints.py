"""What is wrong with a study, in words: pydantic's complaints with the place and the field's own sentence."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from speciate.errors import Problem
from speciate.study.checks import nearest
from speciate.study.config import StudyConfig
from speciate.study.yamltext import YamlText


class Places:
    """Where a dotted key was written: a line of the file, or an override. ``study``: the sections that there are."""

    def __init__(self, where: str, parsed: YamlText, study: type[BaseModel] = StudyConfig) -> None:
        self.where, self.lines, self.study = where, parsed.lines, study
        self.overridden: set[str] = set()

    def of(self, key: str) -> str:
        parts = key.split(".")
        prefixes = [".".join(parts[:size]) for size in range(len(parts), 0, -1)]
        if any(prefix in self.overridden for prefix in prefixes):
            return f"override {key}"
        if key not in self.lines and any(override.startswith(f"{key}.") for override in self.overridden):
            return f"override {key}"
        line = next((self.lines[prefix] for prefix in prefixes if prefix in self.lines), None)
        return f"{self.where} line {line}, {key}" if line else f"{self.where}, {key}"


def problem_of(loc: tuple[int | str, ...], detail: Any, places: Places) -> Problem:
    """One of pydantic's complaints, in the words of the field's own description."""
    loc = tuple(step for step in loc if step != "[key]")
    key = ".".join(str(step) for step in loc)
    model, field = field_at(loc, places.study)
    if detail["type"] == "extra_forbidden":
        assert model is not None
        name = str(loc[-1])
        hint = nearest(name, model.model_fields) or nearest_anywhere(name, places.study)
        fix = f"did you mean {hint}?" if hint else "remove it"
        return Problem(f"unknown key {name}", places.of(key), f"{fix} (known here: {', '.join(model.model_fields)})")
    if detail["type"] == "missing":
        return Problem("missing", places.of(key), f"expected: {field.description if field else key}")
    message = detail["msg"].removeprefix("Value error, ")
    fix = (
        f"expected: {field.description}"
        if field and field.description
        else "mend it; speciate init DIR shows every key"
    )
    return Problem(f"{short(detail['input'])} is not allowed: {message[0].lower()}{message[1:]}", places.of(key), fix)


def nearest_anywhere(name: str, study: type[BaseModel] = StudyConfig) -> str | None:
    """The dotted key, in any section, whose last part is most like ``name``.

    >>> nearest_anywhere("ratios")
    'pilot.ratios'
    """
    known: dict[str, str] = {}
    for section, field in study.model_fields.items():
        inner = _section(field)
        for key in inner.model_fields if inner else ():
            known.setdefault(key, f"{section}.{key}")
    match = nearest(name, known)
    return known[match] if match else None


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kinds = (field.annotation, *typing.get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def field_at(
    loc: Iterable[int | str], study: type[BaseModel] = StudyConfig
) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The innermost section that ``loc`` leads into, and the last known field on the way."""
    model: type[BaseModel] | None = study
    field: FieldInfo | None = None
    for step in loc:
        if isinstance(step, int):
            continue
        if model is None or step not in model.model_fields:
            return model, field if model is None else None
        field = model.model_fields[step]
        model = _section(field)
    return model, field


def short(value: object) -> str:
    """A value as Python writes it, cut at 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
