"""The verb plan decide: general text, filtered text, a mixture or a split, and at which size? It needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from speciate.cli.output import Columns, Json, Level, Seed, table
from speciate.cli.plan_cost import cost_of, cost_told, device_asked, with_cost
from speciate.cli.plan_options import DeviceName, Price, Seal, answered, table_of
from speciate.cli.sealing import told, write_sealed
from speciate.errors import Problem

Draws = Annotated[int, typer.Option(help="Draws behind probabilities and intervals.", min=100)]


def decide(
    file: Annotated[Path, table_of("Losses of pilots of any kind")],
    flops_budget: Annotated[float, typer.Option(help="FLOPs for pilots, final run and serving together.")],
    pilots: Annotated[
        Literal["charged", "sunk"], typer.Option(help="Whether what the pilots cost is taken from the budget.")
    ] = "charged",
    tolerance: Annotated[
        str, typer.Option(help="Nats per token that the general loss may end above its start, or: none.")
    ] = "0.05",
    serve_tokens: Annotated[float, typer.Option(help="Tokens that the final model will serve, 2 N FLOPs each.")] = 0.0,
    unique_tokens: Annotated[
        float | None, typer.Option(help="Tokens of domain text there are (default: enough).")
    ] = None,
    domains: Annotated[int | None, typer.Option(metavar="K", help="Domains that a split would make.")] = None,
    keep_seed: Annotated[bool, typer.Option(help="General prompts go to a split's seed, which is kept.")] = False,
    params: Annotated[
        str | None, typer.Option(metavar="N,...", help="Sizes to choose among (default: those in the table).")
    ] = None,
    reach: Annotated[float, typer.Option(help="Most times its longest pilot that a final run may be.")] = 3.0,
    sure: Annotated[float, typer.Option(help="P(best) from which a choice is made.")] = 0.6,
    regret: Annotated[float, typer.Option(help="Or expected nats per token it may be worse than the best.")] = 0.005,
    general: Annotated[str, typer.Option(help="The general evaluation set.")] = "general",
    domain: Annotated[str | None, typer.Option(help="The domain's evaluation set.")] = None,
    level: Level = 0.9,
    bootstrap: Draws = 1000,
    seed: Seed = 0,
    columns: Columns = None,
    seal: Seal = None,
    device: DeviceName = None,
    price: Price = None,
    as_json: Json = False,
) -> int:
    """One choice across kinds and sizes: general text, filtered text, a mixture, or a split."""
    from speciate.cli.tables import read_rows
    from speciate.planning.decide.ledger import NEEDED
    from speciate.planning.decide.plan import plan_decide
    from speciate.planning.decide.words import not_considered, options_table

    problems: list[Problem] = []
    most, sizes = _read(tolerance, params, problems)
    priced = device_asked(device, price, problems)
    decision = plan_decide(
        read_rows(file, columns, NEEDED),
        flops=flops_budget,
        tolerance=most,
        serve_tokens=serve_tokens,
        unique_tokens=unique_tokens,
        domains=domains,
        sizes=sizes,
        pilots_sunk=pilots == "sunk",
        keep_seed=keep_seed,
        reach=reach,
        general=general,
        domain=domain,
        sure=sure,
        bound=regret,
        level=level,
        draws=bootstrap,
        seed=seed,
    )
    asked = {"flops_budget": flops_budget, "pilots": pilots, "tolerance": most, "serve_tokens": serve_tokens,
             "unique_tokens": unique_tokens, "domains": domains, "keep_seed": keep_seed, "params": list(sizes),
             "reach": reach, "sure": sure, "regret": regret, "general": general, "domain": domain, "level": level,
             "draws": bootstrap, "seed": seed}  # fmt: skip
    sealed = write_sealed(seal, decision, decision.rows, asked, file, as_json)
    sunk, leader = decision.question.pilots_sunk, decision.leader
    cost = cost_of(None if leader is None else leader.flops, priced, None if sunk else decision.ledger.pilot_flops)
    notes = [f"Not considered: {what}: {why} -> {fix}." for what, why, fix in not_considered(decision.missing)]
    notes += [f"Note: {note}." for note in decision.notes]
    what = "The final run" if sunk else "Pilots and final run"
    lines = cost_told(decision.explain().splitlines(), cost, what)
    lines += ["", *table(*options_table(decision)).splitlines(), *notes]
    return answered(with_cost(decision.to_json(), cost), told(lines, sealed), decision.decided, as_json)


def _read(tolerance: str, params: str | None, problems: list[Problem]) -> tuple[float | None, tuple[float, ...]]:
    """--tolerance .05 or none, and --params 1e9,7e9; every part that cannot be read is added to ``problems``."""
    most: float | None = None
    if tolerance.strip() != "none":
        try:
            most = float(tolerance)
        except ValueError:
            problems.append(Problem(f"{tolerance!r} is no limit", "--tolerance", "write nats such as 0.05, or none"))
    sizes: list[float] = []
    for part in [] if params is None else params.split(","):
        try:
            sizes.append(float(part))
        except ValueError:
            problems.append(Problem(f"{part.strip()!r} is no size", "--params", "write 1e9, or 1e9,7e9"))
    return most, tuple(dict.fromkeys(sizes))
