"""Verbs about laws: laws, fit, predict. They need no torch."""

from __future__ import annotations

import enum
import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from speciate.cli.output import (
    DONE,
    Bootstrap,
    Columns,
    Json,
    Level,
    Seed,
    emit,
    keeps_apart,
    lines_of,
    number,
    screen,
    table,
)
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    import pandas as pd

    from speciate.fitting.result import Fit
    from speciate.fitting.rivals import Comparison
    from speciate.laws import Law

ALL = "all"  # rivals: every law that the table can be fitted with


class Objective(enum.Enum):
    """What a fit minimises, summed over rows."""

    log_huber = "log-huber"
    huber = "huber"
    squared = "squared"


class Intervals(enum.Enum):
    """Where the intervals of parameters come from."""

    bootstrap = "bootstrap"
    profile = "profile"


class FitCommand(TyperCommand):
    """The verb fit, whose --rivals may stand without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spelled: list[str] = []
        for word, following in pairwise([*args, "--"]):
            spelled += [word, ALL] if word == "--rivals" and following.startswith("-") else [word]
        return super().parse_args(ctx, spelled)


def laws(
    name: Annotated[str | None, typer.Argument(help="A law; without it, all are listed.")] = None,
    as_json: Json = False,
) -> int:
    """Formulas, parameters, sources, and the rows a law needs."""
    from speciate.cli import catalogue
    from speciate.laws import LAWS

    if name is None:
        every = LAWS.values()
        if as_json:
            emit({"laws": [catalogue.as_json(law) for law in every]})
        else:
            print(catalogue.listing(every, screen()))
        return DONE
    law = _law(name)
    if as_json:
        emit(catalogue.as_json(law))
    else:
        print(catalogue.described(law, screen()))
    return DONE


def fit(
    law: Annotated[str, typer.Argument(metavar="LAW", help="Name of a law; see speciate laws.")],
    file: Annotated[Path, typer.Argument(metavar="TABLE", help="Measurements: .csv or .parquet.")],
    eval_on: Annotated[str | None, typer.Option(help="Fit the rows of one evaluation set.")] = None,
    where: Annotated[str | None, typer.Option(help='Rows to use, as in "params<=1e9, seed==0".')] = None,
    holdout: Annotated[str | None, typer.Option(help='Rows kept for a check, as in "params>1e9".')] = None,
    output: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column in place of the law's loss: bits_per_byte, perplexity.")
    ] = None,
    objective: Annotated[Objective | None, typer.Option(help="What is minimised (default: the law's own).")] = None,
    delta: Annotated[float, typer.Option(help="Where Huber's loss turns linear.", min=1e-12)] = 1e-3,
    noise_by: Annotated[
        str | None, typer.Option(metavar="INPUT", help="Input along which the noise changes, as domain_ratio.")
    ] = None,
    intervals: Annotated[Intervals, typer.Option(help="Intervals of parameters.")] = Intervals.bootstrap,
    rivals: Annotated[
        str | None,
        typer.Option(metavar="[NAMES]", help="Laws to compare with on rows held out, as in kaplan,repetition or "
                     "loss-compute+accuracy-loss-linear; without names, all that the table can be fitted with."),
    ] = None,
    bootstrap: Bootstrap = 1000,
    level: Level = 0.9,
    seed: Seed = 0,
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="Save the fit here, for speciate predict.")] = None,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Fit a law to a table of measurements, with intervals from resampled trunks and runs."""
    from speciate.cli.tables import read_rows
    from speciate.fitting.fit import fit as fit_law

    chosen = _law(law)
    if problems := keeps_apart(out, [file]):
        raise UserError(problems)
    rows = read_rows(file, columns, _needed(chosen, output))
    shared: dict[str, Any] = {
        "eval_on": eval_on,
        "where": where,
        "holdout": holdout,
        "output": output,
        "objective": None if objective is None else objective.value,
        "delta": delta,
        "level": level,
        "seed": seed,
    }
    others = [] if rivals is None else _rivals(chosen, rivals, rows, shared)  # its faults are told before the work
    result = fit_law(chosen.name, rows, bootstrap=bootstrap, noise_by=noise_by, intervals=intervals.value, **shared)
    found = _compared([chosen.name, *others], rows, shared) if others else None
    if out is not None:
        result.save(out)
    if as_json:
        emit(_fit_json(result, found))
    else:
        told = [*result.explain(), *([] if found is None else ["", *found.explain()])]
        print("\n".join(lines_of(told, screen())))
    return DONE


def predict(
    file: Annotated[Path, typer.Argument(metavar="FIT.json", help="A fit saved by speciate fit --out.")],
    inputs: Annotated[list[str], typer.Argument(metavar="TABLE | name=value ...", help="Where to predict.")],
    mean: Annotated[
        bool, typer.Option("--mean", help="Intervals of the law's own value, not of a new run's measurement.")
    ] = False,
    columns: Columns = None,
    as_json: Json = False,
) -> int:
    """Predict from a saved fit, at one point or for every row of a table."""
    from speciate.cli.points import points_of
    from speciate.fitting.fit import load_fit

    saved = load_fit(file)
    points = points_of(inputs, saved, columns)
    predicted = (saved.predict_mean if mean else saved.predict)(**points)
    rows: list[dict[str, float | None]] = []
    for i, value in enumerate(predicted.value):
        point = {name: column[i] for name, column in points.items()}
        if not math.isfinite(value):
            where = ", ".join(f"{name}={given:g}" for name, given in point.items())
            raise UserError(Problem(f"{saved.law_name} has no finite value there", where, "check the units"))
        ends = {"low": predicted.low, "high": predicted.high}
        bounds = {name: None if end is None or not math.isfinite(end[i]) else float(end[i])
                  for name, end in ends.items()}  # fmt: skip
        rows.append({**point, "value": float(value), **bounds})
    if as_json:
        emit({"rows": rows})
    else:
        headers = [*points, "value", "low", "high"]
        print(table(headers, [[number(value) for value in row.values()] for row in rows]))
    return DONE


def _needed(law: Law, output: str | None) -> list[str]:
    """Columns that nothing else can stand in for; shares go by the names that the table has."""
    from speciate.cli.catalogue import DERIVED
    from speciate.fitting.usable import LOSSES

    reads = [given.name for given in law.inputs if given.name not in DERIVED]
    if law.family is not None:
        reads = [name for name in reads if not name.startswith("share_")]
    return [*reads, output if output in LOSSES else law.output]  # another name is refused, with what it may be


def _rivals(law: Law, names: str, rows: pd.DataFrame, options: dict[str, Any]) -> list[str]:
    """The laws to compare with: those named, or all that the rows can be fitted with."""
    from speciate.fitting.rivals import check, entered, rivals_of
    from speciate.fitting.select import matching

    if names == ALL:
        seen = rows if options["output"] not in rows else rows.assign(**{law.output: rows[options["output"]]})
        others = rivals_of(law.name, seen[matching(seen, options["where"], "where")] if options["where"] else seen)
        if not others:
            raise UserError(Problem("no other law can be fitted to these rows", "--rivals", "leave it out"))
        return others
    others = [name for part in names.split(",") if (name := part.strip()) and name != law.name]
    if not others:
        raise UserError(Problem(f"{names!r} names no other law", "--rivals", "name laws as in kaplan,repetition"))
    check([entered(name) for name in (law.name, *others)])
    return list(dict.fromkeys(others))


def _compared(names: list[str], rows: pd.DataFrame, options: dict[str, Any]) -> Comparison:
    """Laws side by side, on rows that none has seen."""
    from speciate.fitting.rivals import rivals

    return rivals(names, rows, **options)


def _fit_json(result: Fit, found: Comparison | None) -> dict[str, Any]:
    """The fit, what it hangs on, and its rivals if they were asked for."""
    told = None if result.sensitivity is None else result.sensitivity.to_json()
    for one in [] if told is None else [*told["points"], *told["without"]]:
        one["rows"] = [place + 1 for place in one["rows"]]  # as messages count them
    return {**result.to_json(), "sensitivity": told, "rivals": None if found is None else found.to_json()}


def _law(name: str) -> Law:
    import difflib

    from speciate.laws import LAWS

    if name not in LAWS:
        close = difflib.get_close_matches(name, LAWS, n=1)
        fix = f"did you mean {close[0]}? " if close else ""
        raise UserError(Problem(f"no law is called {name!r}", "command line", f"{fix}laws: {', '.join(LAWS)}"))
    return LAWS[name]
