"""Options that the verbs of ``plan`` share, and how their answer is printed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from speciate.cli.output import DONE, NOT_DECIDABLE, emit, lines_of, screen

Draws = Annotated[int, typer.Option(help="Draws behind the intervals.", min=100)]
Seal = Annotated[Path | None, typer.Option("--seal", metavar="FILE", help="Seal the plan here before it is run.")]
DeviceName = Annotated[
    str | None, typer.Option("--device", metavar="NAME", help="Add hours on it, as in H100; a wrong name lists all.")
]
Price = Annotated[float | None, typer.Option("--price", help="Price of one device for an hour, any currency.")]


def table_of(what: str) -> Any:
    """The argument TABLE, for a parameter's annotation; ``what`` its rows are."""
    return typer.Argument(metavar="TABLE", help=f"{what}: .csv or .parquet.")


def answered(found: dict[str, Any], lines: Iterable[str], decided: bool, as_json: bool) -> int:
    """Print a decision, as JSON (``found``) or for a person (``lines``). Returns the exit code."""
    if as_json:
        emit(found)
    else:
        print("\n".join(lines_of(lines, screen())))
    return DONE if decided else NOT_DECIDABLE
