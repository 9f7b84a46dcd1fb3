"""The verb plan accuracy: what a benchmark will show at full budget. It needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speciate.cli.output import Columns, Json, Level, Seed
from speciate.cli.plan_cost import cost_of, cost_told, device_asked, with_cost
from speciate.cli.plan_options import DeviceName, Price, Seal, answered, table_of
from speciate.cli.sealing import told, write_sealed

if TYPE_CHECKING:
    from speciate.planning.accuracy.decision import AccuracyDecision

Draws = Annotated[int, typer.Option(help="Draws behind the interval.", min=100)]


def accuracy(
    file: Annotated[Path, table_of("Accuracies of runs, with chance")],
    params: Annotated[float | None, typer.Option(help="Size of the asked run; with --tokens.")] = None,
    tokens: Annotated[float | None, typer.Option(help="Training tokens of the asked run; with --params.")] = None,
    flops: Annotated[float | None, typer.Option(help="Its compute, in the table's column flops.")] = None,
    samples: Annotated[int | None, typer.Option(metavar="K", help="Ask for pass@K, from rows with samples.")] = None,
    eval_on: Annotated[str | None, typer.Option(metavar="TASK", help="Use the rows of one task.")] = None,
    where: Annotated[str | None, typer.Option(help='Rows to use, as in "train_on==web, params<=1e9".')] = None,
    level: Level = 0.9,
    bootstrap: Draws = 1000,
    seed: Seed = 0,
    columns: Columns = None,
    seal: Seal = None,
    device: DeviceName = None,
    price: Price = None,
    as_json: Json = False,
) -> int:
    """What a benchmark will show at full budget: laws side by side, the chosen one's answer, an interval."""
    from speciate.cli.tables import read_rows
    from speciate.planning.accuracy.plan import plan_accuracy

    priced = device_asked(device, price)
    asked = {"params": params, "tokens": tokens, "flops": flops, "samples": samples, "eval_on": eval_on,
             "where": where, "level": level, "draws": bootstrap, "seed": seed}  # fmt: skip
    decision = plan_accuracy(
        read_rows(file, columns, ("accuracy",)),
        params=params,
        tokens=tokens,
        flops=flops,
        samples=samples,
        eval_on=eval_on,
        where=where,
        level=level,
        draws=bootstrap,
        seed=seed,
    )
    sealed = write_sealed(seal, decision, decision.rows, asked, file, as_json)
    cost = cost_of(decision.flops, priced)
    lines = cost_told(_lines(decision), cost)
    return answered(with_cost(decision.to_json(), cost), told(lines, sealed), decision.decided, as_json)


def _lines(decision: AccuracyDecision) -> list[str]:
    """Five lines, the laws side by side, what was left out."""
    lines = [*decision.explain().splitlines(), "", *decision.beside()]
    lines += [f"Left out: {count} rows where {why}." for why, count in decision.left_out.items()]
    return lines + [f"Note: {note}." for note in decision.notes]
