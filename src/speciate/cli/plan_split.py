"""The verb plan split: one model, or a seed copied into specialists? It needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speciate.cli.output import Columns, Json, Level, Seed
from speciate.cli.plan_cost import cost_of, cost_told, device_asked, with_cost
from speciate.cli.plan_options import DeviceName, Draws, Price, Seal, answered, table_of
from speciate.cli.sealing import told, write_sealed
from speciate.errors import Problem


def split(
    file: Annotated[Path, table_of("Losses of seeds and experts")],
    tokens: Annotated[float, typer.Option(help="Total of the seed and all experts, in tokens.")],
    domains: Annotated[
        str | None, typer.Option(metavar="K", help="Number of domains; several, as in 4,8,16, to choose among.")
    ] = None,
    params: Annotated[float | None, typer.Option(help="Size to plan for (default: the largest in the table).")] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME=W,...", help="Unequal domains: evaluation sets and their weights.")
    ] = None,
    eval_on: Annotated[str | None, typer.Option(help="Use the rows of one evaluation set.")] = None,
    where: Annotated[str | None, typer.Option(help='Rows to use, as in "params<=1e9, seed==0".')] = None,
    level: Level = 0.9,
    bootstrap: Draws = 1000,
    seed: Seed = 0,
    columns: Columns = None,
    seal: Seal = None,
    device: DeviceName = None,
    price: Price = None,
    as_json: Json = False,
) -> int:
    """One model, or a seed copied into specialists: how to spend a total of tokens."""
    from speciate.cli.tables import read_rows
    from speciate.planning.split.plan import NEEDED, plan_split

    problems: list[Problem] = []
    counts, shares = _options(domains, weights, problems)
    priced = device_asked(device, price, problems)
    decision = plan_split(
        read_rows(file, columns, NEEDED),
        total_tokens=tokens,
        domains=counts,
        params=params,
        weights=shares,
        eval_on=eval_on,
        where=where,
        level=level,
        draws=bootstrap,
        seed=seed,
    )
    asked = {"tokens": tokens, "domains": counts, "params": params, "weights": shares, "eval_on": eval_on,
             "where": where, "level": level, "draws": bootstrap, "seed": seed}  # fmt: skip
    sealed = write_sealed(seal, decision, decision.rows, asked, file, as_json)
    cost = cost_of(decision.flops, priced)
    lines = cost_told(decision.explain().splitlines(), cost, "All of it")
    lines += [f"Note: {note}." for note in decision.notes]
    return answered(with_cost(decision.to_json(), cost), told(lines, sealed), decision.decided, as_json)


def _options(
    domains: str | None, weights: str | None, problems: list[Problem]
) -> tuple[list[int] | None, dict[str, float] | None]:
    """--domains 4,16 and --weights law=2,code=1; every part that cannot be read is added to ``problems``."""
    counts: list[int] = []
    for part in [] if domains is None else domains.split(","):
        if part.strip().isdecimal():
            counts.append(int(part))
        else:
            problems.append(Problem(f"{part.strip()!r} is no number of domains", "--domains", "write 16, or 4,8,16"))
    shares: dict[str, float] = {}
    for part in [] if weights is None else weights.split(","):
        name, _, value = part.partition("=")
        try:
            shares[name.strip()] = float(value)
        except ValueError:
            problems.append(Problem(f"{part.strip()!r} is no weight", "--weights", "write law=2,code=1"))
    return counts or None, shares or None
