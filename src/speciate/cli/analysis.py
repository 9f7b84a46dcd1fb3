"""Verbs about laws: laws, fit, predict. They need no torch."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciate.cli.output import DONE, Bootstrap, Columns, Json, Level, Seed, emit, number, table
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from speciate.laws import Law


class Objective(enum.Enum):
    """What a fit minimises, summed over rows."""

    log_huber = "log-huber"
    huber = "huber"
    squared = "squared"


def laws(
    name: Annotated[str | None, typer.Argument(help="A law; without it, all are listed.")] = None,
    as_json: Json = False,
) -> int:
    """Formulas, parameters, sources."""
    from speciate.laws import LAWS

    chosen = list(LAWS.values()) if name is None else [_law(name)]
    if as_json:
        described = [_describe(law) for law in chosen]
        emit({"laws": described} if name is None else described[0])
    elif name is None:
        print(table(["law", "formula", "inputs"], [[law.name, law.formula, _inputs(law)] for law in chosen]))
    else:
        law = chosen[0]
        print(f"{law.name}   {law.formula}\n{law.source} ({law.status})\ninputs: {_inputs(law)}\n")
        rows = [[p.name, p.unit, f"{number(p.low)} .. {number(p.high)}", p.meaning] for p in law.parameters]
        print(table(["parameter", "unit", "searched", "meaning"], rows))
    return DONE


def fit(
    law: Annotated[str, typer.Argument(metavar="LAW", help="Name of a law; see speciate laws.")],
    file: Annotated[Path, typer.Argument(metavar="TABLE", help="Measurements: .csv or .parquet.")],
    eval_on: Annotated[str | None, typer.Option(help="Fit the rows of one evaluation set.")] = None,
    where: Annotated[str | None, typer.Option(help='Rows to use, as in "params<=1e9, seed==0".')] = None,
    holdout: Annotated[str | None, typer.Option(help='Rows kept for a check, as in "params>1e9".')] = None,
    objective: Annotated[Objective | None, typer.Option(help="What is minimised (default: the law's own).")] = None,
    delta: Annotated[float, typer.Option(help="Where Huber's loss turns linear.", min=1e-12)] = 1e-3,
    bootstrap: Bootstrap = 1000,
    level: Level = 0.9,
    seed: Seed = 0,
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="Save the fit here, for speciate predict.")] = None,
    as_json: Json = False,
) -> int:
    """Fit a law to a table of measurements, with intervals from resampled trunks and runs."""
    from speciate.cli.tables import read_rows
    from speciate.fitting.fit import fit as fit_law

    chosen = _law(law)
    rows = read_rows(file, columns, [*(given.name for given in chosen.inputs), chosen.output])
    result = fit_law(
        chosen.name,
        rows,
        eval_on=eval_on,
        where=where,
        holdout=holdout,
        bootstrap=bootstrap,
        level=level,
        seed=seed,
        objective=None if objective is None else objective.value,
        delta=delta,
    )
    if out is not None:
        result.save(out)
    if as_json:
        emit(result.to_json())
    else:
        print("\n".join(result.explain()))
    return DONE


def predict(
    file: Annotated[Path, typer.Argument(metavar="FIT.json", help="A fit saved by speciate fit --out.")],
    inputs: Annotated[list[str], typer.Argument(metavar="TABLE | name=value ...", help="Where to predict.")],
    columns: Columns = None,
    as_json: Json = False,
) -> int:
    """Predict from a saved fit, at one point or for every row of a table."""
    from speciate.fitting.fit import load_fit

    saved = load_fit(file)
    names = [given.name for given in _law(saved.law_name).inputs]
    points = _points(inputs, names, columns)
    predicted = saved.predict(**{name: [point[name] for point in points] for name in names})
    rows: list[dict[str, float | None]] = []
    for i, point in enumerate(points):
        ends = {"low": predicted.low, "high": predicted.high}
        bounds = {name: None if end is None else float(end[i]) for name, end in ends.items()}
        rows.append({**point, "value": float(predicted.value[i]), **bounds})
    if as_json:
        emit({"rows": rows})
    else:
        print(table([*names, "value", "low", "high"], [[number(value) for value in row.values()] for row in rows]))
    return DONE


def _points(inputs: list[str], names: list[str], columns: str | None) -> list[dict[str, float]]:
    """The points to predict at, from ``name=value`` words or from a table."""
    if len(inputs) == 1 and "=" not in inputs[0]:
        from speciate.cli.tables import read_rows

        frame = read_rows(Path(inputs[0]), columns, names)
        return [{name: float(row[name]) for name in names} for row in frame[names].to_dict("records")]
    point: dict[str, float] = {}
    problems = []
    for word in inputs:
        name, _, text = word.partition("=")
        try:
            point[name] = float(text)
        except ValueError:
            problems.append(Problem(f"{word!r} is not name=number", "command line", f"for instance {names[0]}=1e9"))
        if name not in names:
            problems.append(Problem(f"the law has no input {name!r}", "command line", f"it has {', '.join(names)}"))
    for name in names:
        if not any(word.startswith(f"{name}=") for word in inputs):
            problems.append(Problem(f"{name} is missing", "command line", f"give {name}=NUMBER"))
    if problems:
        raise UserError(problems)
    return [{name: point[name] for name in names}]


def _law(name: str) -> Law:
    import difflib

    from speciate.laws import LAWS

    if name not in LAWS:
        close = difflib.get_close_matches(name, LAWS, n=1)
        fix = f"did you mean {close[0]}? " if close else ""
        raise UserError(Problem(f"no law is called {name!r}", "command line", f"{fix}laws: {', '.join(LAWS)}"))
    return LAWS[name]


def _inputs(law: Law) -> str:
    return ", ".join(f"{given.name} ({given.unit})" for given in law.inputs)


def _describe(law: Law) -> dict[str, Any]:
    names = ("name", "unit", "meaning", "low", "high", "transform", "linear", "sign")
    return {
        "name": law.name,
        "formula": law.formula,
        "latex": law.latex,
        "parameters": [{name: _finite(getattr(parameter, name)) for name in names} for parameter in law.parameters],
        "inputs": [{"name": given.name, "unit": given.unit, "scale": given.scale} for given in law.inputs],
        "output": law.output,
        "source": law.source,
        "status": law.status,
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
