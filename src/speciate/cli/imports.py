"""The verb import: a table from somebody else's logs. It needs no torch."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speciate.cli.output import DONE, Json, emit, keeps_apart
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from speciate.runs.importers.assemble import Imported

SUFFIXES = (".csv", ".parquet")
SHOWN = 12  # unused names that are printed; --json has all


class Kind(enum.Enum):
    """Whose logs they are."""

    auto = "auto"
    wandb = "wandb"
    mlflow = "mlflow"
    tensorboard = "tensorboard"
    trainer = "trainer"
    facts = "facts"


def import_logs(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="CSV exports, trainer_state.json, folders of runs.")
    ],
    out: Annotated[Path, typer.Option(help="The table to write: .csv or .parquet.")],
    kind: Annotated[Kind, typer.Option(help="Whose logs they are (default: told from the content).")] = Kind.auto,
    columns: Annotated[
        list[str] | None, typer.Option(help="Their names, as in params=n_params,loss@c4=eval/c4_loss; repeatable.")
    ] = None,
    constants: Annotated[
        list[str] | None,
        typer.Option("--set", help="The same on every row, as in params=1e8 or tokens_per_step=524288; repeatable."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Turn logs of W&B, MLflow, TensorBoard or Hugging Face's Trainer into a table of measurements."""
    from speciate.runs.importers.assemble import import_table
    from speciate.runs.importers.mapping import parse_pairs

    mapped, problems = parse_pairs(columns or [], "--columns")
    fixed, more = parse_pairs(constants or [], "--set")
    problems += [*more, *keeps_apart(out, sources)]
    if out.suffix.lower() not in SUFFIXES:
        problems.append(Problem(f"{out} ends in neither .csv nor .parquet", "--out", "name a .csv or .parquet file"))
    try:
        found = import_table(sources, mapped, fixed, kind.value)
    except UserError as error:
        raise UserError([*problems, *error.problems]) from None
    if problems:
        raise UserError(problems)
    _write(found, out)
    if as_json:
        emit({"status": "written", "table": str(out), **found.to_json()})
    else:
        print("\n".join([f"Wrote {out}: {_size(found)}", *_told(found)]))
    return DONE


def _write(found: Imported, out: Path) -> None:
    import io

    from speciate.storage import write_atomic

    if out.suffix.lower() == ".csv":
        write_atomic(out, found.table.to_csv(index=False, lineterminator="\n"))
    else:
        buffer = io.BytesIO()
        found.table.to_parquet(buffer, index=False)
        write_atomic(out, buffer.getvalue())


def _size(found: Imported) -> str:
    counts = {"row": len(found.table), "run": int(found.table["run"].nunique())}
    return " of ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())


def _told(found: Imported) -> list[str]:
    """Where the columns come from and what was left out, for a person."""
    wide = max(map(len, found.origins))
    lines = [f"  {column:<{wide}}  from {origin}" for column, origin in found.origins.items()]
    if found.missing:
        lines.append("empty cells: " + ", ".join(f"{name} {count:,}" for name, count in found.missing.items()))
    if found.diverged:
        counts = ", ".join(f"{run} {count:,}" for run, count in found.diverged.items())
        lines.append(f"left out, not finite: {counts}")
    if found.empty:
        lines.append(f"runs without a measurement: {', '.join(found.empty)}")
    lines += [f"passed over: {note}" for note in found.notes]
    if found.unused:
        rest = f" and {len(found.unused) - SHOWN:,} more" if len(found.unused) > SHOWN else ""
        lines.append(f"not used: {', '.join(found.unused[:SHOWN])}{rest}")
    return lines
