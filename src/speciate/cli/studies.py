"""Verbs about a study: demo, init, run, validate, report, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from speciate.cli.output import DONE, Columns, Json, Seed, console, emit, lines_of, number, screen
from speciate.errors import Problem, UserError

SHOWN = 30  # values of a column that are printed
STUDY_FILES = ("resolved.yaml", "ledger.parquet", "plan.json", "comparison.json", "tree.json", "cost.json")


def demo(
    minutes: Annotated[float, typer.Option(help="Minutes of training to spend.", min=0.1)] = 8.0,
    out: Annotated[Path | None, typer.Option(help="Folder of the study (default: speciate-demo).")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """The whole job on real text found on this machine: pilots, decision, final runs, report. No download."""
    from speciate.study.demo import run_demo

    result = run_demo(minutes, out, seed, console(as_json))
    if as_json:
        emit(result.to_json())
    return int(result.exit_code)


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the new study; made if absent.")],
    decide: Annotated[str, typer.Option(metavar="QUESTION", help="What to decide: mixture or split.")] = "mixture",
    as_json: Json = False,
) -> int:
    """Write a commented study.yaml with every field and its default."""
    from speciate.study.create import create_study

    file = create_study(directory, decide)
    if as_json:
        emit({"status": "written", "study": str(file)})
    else:
        print(f"Wrote {file}. Next: speciate run {file} --dry-run")
    return DONE


def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key.sub=value ...]", help="Values to change, written as YAML.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Stop after a stage: corpus pilot fit plan final compare [specialists] report.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print runs, FLOPs and time; spend nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Carry a study out. The same command continues where it was stopped; nothing finished is redone."""
    from speciate.study.stages import run_study

    result = run_study(study, list(overrides or []), until, dry_run, console(as_json))
    if as_json:
        emit(result.to_json())
    return int(result.exit_code)


def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A study.yaml, or a table (.csv, .parquet).")],
    columns: Columns = None,
    as_json: Json = False,
) -> int:
    """Say what a study or a table is, or list everything that is wrong with it."""
    from speciate.study.validate import describe

    found = describe(file, columns)
    if as_json:
        emit(found)
    else:
        for key, value in found.items():
            print(f"{key:<16}{_listed(value) if isinstance(value, list) else value}")
    return DONE


def _listed(values: list[Any]) -> str:
    """Values on one line, the first of many; --json has all."""
    told = [number(value) if isinstance(value, float) else str(value) for value in values[:SHOWN]]
    more = f" and {len(values) - SHOWN:,} more" if len(values) > SHOWN else ""
    return ", ".join(told) + more if told else "none"


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a study.")],
    as_json: Json = False,
) -> int:
    """Write report.html from what is in a study's folder."""
    from speciate.report.page import write_report

    if directory.is_dir() and not any((directory / name).exists() for name in STUDY_FILES):
        fix = "give the folder in which a study was run (speciate run STUDY.yaml writes beside STUDY.yaml)"
        raise UserError(Problem("there is no study in this folder", str(directory), fix))
    page = write_report(directory)
    if as_json:
        emit({"status": "written", "report": str(page)})
    else:
        print(f"Wrote {page}")
    return DONE


def compare(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.json | DIR", help="A sealed plan, or the folder of a study.")],
    measured: Annotated[
        Path | None, typer.Argument(metavar="[TABLE]", help="What was measured since: .csv or .parquet; not of a DIR.")
    ] = None,
    columns: Columns = None,
    as_json: Json = False,
) -> int:
    """Hold sealed predictions against what was measured since: errors, intervals, and what the choice cost."""
    found = _compared(plan, measured, columns)
    if as_json:
        emit(found)
    else:
        from speciate.cli.comparison import lines

        print("\n".join(lines_of(lines(found), screen())))
    return DONE


def _compared(plan: Path, measured: Path | None, columns: str | None) -> dict[str, Any]:
    """A study's folder has its own measurements; a plan alone needs a table of them."""
    if plan.is_dir():
        given = [name for name, value in (("TABLE", measured), ("--columns", columns)) if value is not None]
        if given:
            fix = f"leave it out, or give the plan: speciate compare {plan / 'plan.json'} TABLE"
            raise UserError([Problem("a study is compared with its own ledger", name, fix) for name in given])
        from speciate.study.outcome import compare_study

        return compare_study(plan)
    from speciate.cli.sealing import read_sealed

    sealed = read_sealed(plan)
    if measured is None:
        fix = f"give what was measured since: speciate compare {plan} TABLE"
        raise UserError(Problem("a plan is compared with a table", "TABLE", fix))
    from speciate.cli.tables import read_rows
    from speciate.planning.compare import check_plan
    from speciate.planning.compare import compare as compare_plan

    try:
        check_plan(sealed)
    except UserError as error:
        raise UserError(Problem(p.what, str(plan), p.fix) for p in error.problems) from None
    return compare_plan(sealed, read_rows(measured, columns, ()))
