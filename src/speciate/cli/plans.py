"""Verbs that decide from a table: plan mixture. They need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speciate.cli.output import DONE, NOT_DECIDABLE, Columns, Json, Level, Seed, emit
from speciate.errors import Problem, UserError

Draws = Annotated[int, typer.Option(help="Draws behind the intervals.", min=100)]


def mixture(
    file: Annotated[Path, typer.Argument(metavar="TABLE", help="Measurements of continued runs: .csv or .parquet.")],
    general: Annotated[str, typer.Option(help="Name of the general evaluation set.")] = "general",
    domain: Annotated[str | None, typer.Option(help="Name of the domain's evaluation set.")] = None,
    horizon: Annotated[float | None, typer.Option(help="Tokens of the run to plan (default: the longest).")] = None,
    tolerance: Annotated[float, typer.Option(help="Nats per token the general loss may end above its start.")] = 0.05,
    params: Annotated[float | None, typer.Option(help="Extrapolate over sizes to this many parameters.")] = None,
    level: Level = 0.9,
    bootstrap: Draws = 1000,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
) -> int:
    """How much domain text can continued pretraining take before general ability is lost?"""
    from speciate.cli.tables import read_rows
    from speciate.planning.mixture.observations import NEEDED
    from speciate.planning.mixture.plan import plan_mixture

    if params is not None and not 1 <= params < 1e18:
        raise UserError(Problem(f"params is {params}", "--params", "give a count of 1 or more, such as 7e9"))
    decision = plan_mixture(
        read_rows(file, columns, NEEDED),
        general=general,
        domain=domain,
        horizon_tokens=horizon,
        tolerance=tolerance,
        level=level,
        draws=bootstrap,
        seed=seed,
        params=None if params is None else round(params),
    )
    if as_json:
        emit(decision.to_json())
    else:
        print(decision.explain())
    return DONE if decision.decided else NOT_DECIDABLE
