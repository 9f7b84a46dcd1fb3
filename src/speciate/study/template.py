"""The commented study.yaml that ``speciate init`` writes: every field, its default, and its sentence."""

from __future__ import annotations

import textwrap
from typing import Any

import yaml
from pydantic import BaseModel

from speciate.errors import Problem, UserError
from speciate.study.config import ModelConfig
from speciate.study.load import KINDS

_HEAD = """\
# A study: what Speciate trains, measures, decides, and then checks. Every value below is its default;
# what you leave out keeps it. Run it with
#     speciate run study.yaml --dry-run     the runs, their FLOPs and their time, before spending them
#     speciate run study.yaml               everything; the same command continues where it was stopped
# and change single values with   speciate run study.yaml plan.level=0.8 {example}
"""
_EXAMPLES = {"mixture": "pilot.ratios=[0.2,0.4]", "split": "split.shares=[0.2,0.5,0.8]"}


def study_template(decide: str = "mixture") -> str:
    """The text of a study.yaml that parses to all defaults, with a comment above every field.

    Raises UserError for a question that there is not.
    """
    if decide not in KINDS:
        fix = f"use one of {', '.join(KINDS)}"
        raise UserError(Problem(f"no question is called {decide}", "--decide", fix))
    config = KINDS[decide]()
    parts = [_HEAD.format(example=_EXAMPLES[decide])]
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            parts.append(f"# {type(value).__doc__}\n{name}:\n{_fields(value, '  ')}")
        elif name == "models":
            comments = _comment("Models, smallest first. Each has", "") + "".join(
                _comment(f"{key}: {inner.description}", "  ") for key, inner in ModelConfig.model_fields.items()
            )
            items = "".join(f"  - {_flow(model.model_dump(exclude_none=True))}\n" for model in value)
            parts.append(f"{comments}models:\n{items}")
        else:
            parts.append(_comment(field.description or "", "") + f"{name}: {_flow(value)}\n")
    return "\n".join(parts)


def _fields(section: BaseModel, indent: str) -> str:
    lines = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        lines.append(_comment(field.description or "", indent))
        if isinstance(value, dict) and len(value) > 1:
            items = "".join(f"{indent}  {_flow(key)}: {_flow(item)}\n" for key, item in value.items())
            lines.append(f"{indent}{name}:\n{items}")
        else:
            lines.append(f"{indent}{name}: {_flow(value)}\n")
    return "".join(lines)


def _comment(text: str, indent: str) -> str:
    wrapped = textwrap.wrap(text, 118 - len(indent), subsequent_indent="  ")
    return "".join(f"{indent}# {line}\n" for line in wrapped)


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip()
