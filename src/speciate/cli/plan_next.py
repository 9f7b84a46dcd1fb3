"""The verb plan next: which run to buy, and when to stop buying. It needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciate.cli.output import Columns, Json, Seed, screen, table
from speciate.cli.plan_cost import cost_of, cost_told, device_asked, with_cost
from speciate.cli.plan_options import DeviceName, Price, answered, table_of
from speciate.errors import Problem

if TYPE_CHECKING:
    from speciate.planning.next.decision import NextDecision, RankedRun

Draws = Annotated[int, typer.Option(help="Draws behind the expectations.", min=100)]
OF_MIXTURE = ("general", "domain", "horizon", "tolerance", "weight")
OF_SPLIT = ("tokens", "domains", "eval_on", "where")
SHOWN = 8  # runs


def next_run(
    file: Annotated[Path, table_of("Measurements that there are")],
    kind: Annotated[str, typer.Option("--for", metavar="KIND", help="The decision: mixture or split.")] = "mixture",
    candidates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Runs to choose from, .csv or .parquet (default: a grid).")
    ] = None,
    good_enough: Annotated[float, typer.Option(help="Expected regret to stop at, in nats per token.")] = 0.001,
    least_drop: Annotated[float, typer.Option(help="Nats per token that a run must be expected to save.")] = 0.0002,
    most_flops: Annotated[float | None, typer.Option(help="The most FLOPs that a candidate may cost.")] = None,
    worth: Annotated[float | None, typer.Option(help="FLOPs that .001 nats per token less are worth.")] = None,
    schedule: Annotated[str, typer.Option(help="Of the learning rate: constant (runs go on) or cosine.")] = "constant",
    params: Annotated[float | None, typer.Option(help="Size to decide for (default: the largest).")] = None,
    general: Annotated[str | None, typer.Option(help="Mixture: the general evaluation set (general).")] = None,
    domain: Annotated[str | None, typer.Option(help="Mixture: the domain's evaluation set.")] = None,
    horizon: Annotated[float | None, typer.Option(help="Mixture: tokens of the planned run (the longest).")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Mixture: nats the general loss may rise (0.05).")] = None,
    weight: Annotated[
        float | None, typer.Option(help="Mixture: nats of domain loss that a nat of excess general loss costs (1).")
    ] = None,
    tokens: Annotated[float | None, typer.Option(help="Split: total of the seed and all experts, in tokens.")] = None,
    domains: Annotated[int | None, typer.Option(metavar="K", help="Split: number of domains.")] = None,
    eval_on: Annotated[str | None, typer.Option(help="Split: use the rows of one evaluation set.")] = None,
    where: Annotated[str | None, typer.Option(help='Split: rows to use, as in "params<=1e9".')] = None,
    bootstrap: Draws = 1000,
    seed: Seed = 0,
    columns: Columns = None,
    device: DeviceName = None,
    price: Price = None,
    as_json: Json = False,
) -> int:
    """Which run to buy next: by the drop in decision regret that is expected of it, per FLOP."""
    from speciate.cli.tables import read_rows
    from speciate.planning.mixture.observations import NEEDED as MIXTURE
    from speciate.planning.next.plan import plan_next
    from speciate.planning.split.plan import NEEDED as SPLIT

    given = {"general": general, "domain": domain, "horizon": horizon, "tolerance": tolerance, "weight": weight,
             "tokens": tokens, "domains": domains, "eval_on": eval_on, "where": where}  # fmt: skip
    problems: list[Problem] = []
    question = _question(kind, given, problems)
    priced = device_asked(device, price, problems)
    rows = read_rows(file, columns, SPLIT if kind == "split" else MIXTURE)
    if candidates is not None:
        needed = ("seed_tokens", "tokens") if kind == "split" else ("domain_ratio", "tokens")
        question["candidates"] = _list(candidates, columns, needed)
    decision = plan_next(
        rows,
        kind=kind,
        good_enough=good_enough,
        least_drop=least_drop,
        most_flops=most_flops,
        worth=worth,
        schedule=schedule,
        draws=bootstrap,
        seed=seed,
        params=params,
        **question,
    )
    cost = cost_of(None if decision.choice is None else decision.choice.flops, priced)
    lines = cost_told(decision.explain().splitlines(), cost)
    lines += [f"Note: {note}." for note in decision.notes]
    code = answered(with_cost(decision.to_json(), cost), lines, decision.decided, as_json)
    if decision.decided and decision.runs and not as_json:
        print("\n" + ranked(decision, screen()))
    return code


def _question(kind: str, given: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The options of this kind by the names that the planner has for them; those of another kind are ``problems``."""
    mine, others = (OF_SPLIT, OF_MIXTURE) if kind == "split" else (OF_MIXTURE, OF_SPLIT)
    problems += [
        Problem(f"it says nothing about --for {kind}", f"--{name.replace('_', '-')}", "leave it out")
        for name in others
        if given[name] is not None
    ]
    names = {"horizon": "horizon_tokens", "tokens": "total_tokens"}
    return {names.get(name, name): given[name] for name in mine if given[name] is not None}


def _list(file: Path, columns: str | None, needed: tuple[str, ...]) -> Any:
    """The candidates' table; columns are named as in the table of measurements, as far as it has them."""
    from speciate.runs.columns import parse_columns
    from speciate.runs.load import load
    from speciate.runs.table import read_table

    there = set(load(file)[0])
    own = {name: mine for name, mine in parse_columns(columns).items() if mine in there}
    return read_table(file, own, require=needed)


def ranked(decision: NextDecision, width: int | None) -> str:
    """The best runs as a table: price, expected drop and what is left, in nats per token."""
    shown = decision.runs[:SHOWN]
    rows = [[str(i), *_cells(run), run.text] for i, run in enumerate(shown, start=1)]
    text = table(["", "FLOPs", "regret drop", "left", "drop per FLOP", "run"], rows, width)
    more = len(decision.runs) - len(shown)
    return f"{text}\n{more} more with --json" if more else text


def _cells(run: RankedRun) -> list[str]:
    assert run.expected_regret_drop is not None and run.expected_regret_after is not None
    least = ">" if run.lower_bound else ""
    return [f"{run.flops:.3g}", f"{least}{run.expected_regret_drop:.5f}", f"{run.expected_regret_after:.5f}",
            f"{run.drop_per_flop:.2g}"]  # fmt: skip
