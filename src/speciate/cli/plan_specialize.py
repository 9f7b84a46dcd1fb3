"""The verb plan specialize. It needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speciate.cli.output import Columns, Json, Level, Seed
from speciate.cli.plan_cost import cost_of, cost_told, device_asked, with_cost
from speciate.cli.plan_options import DeviceName, Draws, Price, Seal, answered, table_of
from speciate.cli.sealing import told, write_sealed
from speciate.errors import Problem


def specialize(
    file: Annotated[Path, table_of("Exam perplexities of checkpoints")],
    general: Annotated[str, typer.Option(help="Name (train_on) of the general regime.")] = "general",
    specialized: Annotated[str | None, typer.Option(help="Name (train_on) of the specialised regime.")] = None,
    eval_on: Annotated[str | None, typer.Option(help="The domain's exam suite.")] = None,
    original: Annotated[str | None, typer.Option(help="General suite close to the starting model's training.")] = None,
    new: Annotated[str | None, typer.Option(help="General suite close to the new text.")] = None,
    flops: Annotated[
        list[str] | None, typer.Option(help="Compute budgets, as in 1e20,1e21 (default: three that the rows hold).")
    ] = None,
    level: Level = 0.9,
    bootstrap: Draws = 1000,
    seed: Seed = 0,
    columns: Columns = None,
    seal: Seal = None,
    device: DeviceName = None,
    price: Price = None,
    as_json: Json = False,
) -> int:
    """Filtered domain text or everything? SGER by size, optimal sizes, forgetting."""
    from speciate.cli.tables import read_rows
    from speciate.planning.specialize.curves import NEEDED
    from speciate.planning.specialize.plan import plan_specialize

    problems: list[Problem] = []
    budgets = _budgets(flops or [], problems)
    priced = device_asked(device, price, problems)
    decision = plan_specialize(
        read_rows(file, columns, NEEDED),
        general=general,
        specialized=specialized,
        eval_on=eval_on,
        original=original,
        new=new,
        flops=budgets,
        level=level,
        draws=bootstrap,
        seed=seed,
    )
    asked = {"general": general, "specialized": specialized, "eval_on": eval_on, "original": original, "new": new,
             "flops": budgets, "level": level, "draws": bootstrap, "seed": seed}  # fmt: skip
    sealed = write_sealed(seal, decision, decision.rows, asked, file, as_json)
    cost = cost_of(decision.flops, priced)
    lines = cost_told(decision.explain().splitlines(), cost, f"The run on {decision.better}")
    return answered(with_cost(decision.to_json(), cost), told(lines, sealed), decision.decided, as_json)


def _budgets(texts: list[str], problems: list[Problem]) -> list[float]:
    """Numbers above 0 from options that may hold several, separated by commas; faults are added to ``problems``."""
    budgets = []
    for part in (part.strip() for text in texts for part in text.split(",")):
        try:
            value = float(part)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            problems.append(Problem(f"{part!r} is no compute budget", "--flops", "give FLOPs above 0, as in 1e20,1e21"))
        budgets.append(value)
    return budgets
