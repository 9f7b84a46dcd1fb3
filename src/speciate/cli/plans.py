"""The verb plan mixture: how much domain text, of one domain or of several? It needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciate.cli.output import Columns, Json, Level, Seed
from speciate.cli.plan_cost import cost_of, cost_told, device_asked, with_cost
from speciate.cli.plan_options import DeviceName, Draws, Price, Seal, answered, table_of
from speciate.cli.sealing import told, write_sealed
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    import pandas as pd

    from speciate.runs.devices import Device

Pairs = dict[str, float]
LAMBDA_HELP = "Weigh general against domain loss (default: infinite, the general loss alone must turn)."
UNIQUE_HELP = "Unique tokens of the domain's text, or of several domains'."


def mixture(
    file: Annotated[Path, table_of("Measurements of continued runs")],
    general: Annotated[str, typer.Option(help="Name of the general evaluation set.")] = "general",
    domain: Annotated[str | None, typer.Option(help="Name of the domain's evaluation set.")] = None,
    domains: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Plan the shares of several domains (columns share_NAME).")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME=W,...", help="Weights of their losses (default: all the same).")
    ] = None,
    tolerances: Annotated[
        str | None, typer.Option(metavar="NAME=NATS,...", help="How far a domain's own loss may end above its start.")
    ] = None,
    unique: Annotated[str | None, typer.Option(metavar="[NAME=]TOKENS,...", help=UNIQUE_HELP)] = None,
    horizon: Annotated[float | None, typer.Option(help="Tokens of the run to plan (default: the longest).")] = None,
    tolerance: Annotated[float, typer.Option(help="Nats per token the general loss may end above its start.")] = 0.05,
    lambda_: Annotated[float | None, typer.Option("--lambda", help=LAMBDA_HELP)] = None,
    params: Annotated[float | None, typer.Option(help="Extrapolate over sizes to this many parameters.")] = None,
    level: Level = 0.9,
    bootstrap: Draws = 1000,
    seed: Seed = 0,
    columns: Columns = None,
    seal: Seal = None,
    device: DeviceName = None,
    price: Price = None,
    as_json: Json = False,
) -> int:
    """How much domain text can continued pretraining take before general ability is lost?"""
    problems: list[Problem] = []
    names = None if domains is None else [name.strip() for name in domains.split(",") if name.strip()]
    weighed = _pairs(weights, "--weights", "law=2,code=1", problems)
    allowed = _pairs(tolerances, "--tolerances", "law=0.02,code=-0.1", problems)
    limited = _limited(unique, names, problems)
    if params is not None and not 1 <= params < 1e18:
        problems.append(Problem(f"params is {params}", "--params", "give a count of 1 or more, such as 7e9"))
    problems += _together(names, domain, weights, tolerances, lambda_)
    priced = device_asked(device, price, problems)
    asked: dict[str, Any] = {
        "general": general,
        "horizon_tokens": horizon,
        "tolerance": tolerance,
        "params": None if params is None else round(params),
        "level": level,
        "draws": bootstrap,
        "seed": seed,
    }
    if names is not None:
        asked |= {"domains": names, "weights": weighed, "tolerances": allowed, "unique": limited}
        return _several(file, columns, asked, seal, priced, as_json)
    return _single(file, columns, asked | {"domain": domain, "lambda_": lambda_}, limited, seal, priced, as_json)


def _single(
    file: Path,
    columns: str | None,
    asked: dict[str, Any],
    limited: Pairs | None,
    seal: Path | None,
    device: Device | None,
    as_json: bool,
) -> int:
    """The critical ratio of one domain, by size, and what repetition does there."""
    from speciate.cli.tables import read_rows
    from speciate.planning.mixture.observations import NEEDED
    from speciate.planning.mixture.plan import plan_mixture
    from speciate.planning.mixture.repetition import at_critical_ratio, published_source
    from speciate.planning.words import short

    table = read_rows(file, columns, NEEDED)
    decision = plan_mixture(table, **asked)
    cost, extra = cost_of(decision.largest.flops, device), {}
    lines = cost_told(decision.explain().splitlines(), cost)
    if limited is not None:
        name, tokens = next(iter(limited.items()))
        if name not in ("", decision.domain):
            raise UserError(Problem(f"no domain is called {name!r}", "--unique", f"the domain is {decision.domain}"))
        again = at_critical_ratio(decision, table[table["eval_on"] == decision.domain], tokens)
        sizes = [{"params": size, **one.to_json()} for size, one in again.items()]
        extra["repetition"] = {"lasting": published_source(), "models": sizes}
        lines += [f"Repetition at {short(size)} params: {one.sentence()}." for size, one in again.items()]
        lines += dict.fromkeys(f"Note: {note}." for one in again.values() if (note := one.warning))
        lines += [f"Note: {published_source()}."] if again else ["Note: no size has a ratio, so no epochs are counted."]
    request = {**asked, "unique": None if limited is None else dict(limited)}
    sealed = write_sealed(seal, decision, decision.rows, request, file, as_json)
    return answered(with_cost(decision.to_json() | extra, cost), told(lines, sealed), decision.decided, as_json)


def _several(
    file: Path, columns: str | None, asked: dict[str, Any], seal: Path | None, device: Device | None, as_json: bool
) -> int:
    """The shares of several domains."""
    from speciate.cli.tables import read_rows
    from speciate.planning.domains.plan import plan_domains
    from speciate.planning.domains.rows import NEEDED

    table: pd.DataFrame = read_rows(file, columns, NEEDED)
    decision = plan_domains(table, **asked)
    sealed = write_sealed(seal, decision, decision.rows, asked, file, as_json)
    cost = cost_of(decision.flops, device)
    lines = [*cost_told(decision.explain().splitlines(), cost), *decision.details()]
    return answered(with_cost(decision.to_json(), cost), told(lines, sealed), decision.decided, as_json)


def _together(
    names: list[str] | None, domain: str | None, weights: str | None, tolerances: str | None, lambda_: float | None
) -> list[Problem]:
    """Options that do not go together."""
    if names is None:
        given = [name for name, value in (("--weights", weights), ("--tolerances", tolerances)) if value is not None]
        return [Problem("several domains were not named", name, "name them: --domains law,code") for name in given]
    problems = []
    if domain is not None:
        problems.append(Problem("one domain and several were named", "--domain", "leave it out, or --domains"))
    if lambda_ is not None:
        fix = "weigh the general loss: --weights law=1,code=1,general=5"
        problems.append(Problem("lambda is of the turning point of one domain's runs", "--lambda", fix))
    return problems


def _pairs(text: str | None, where: str, example: str, problems: list[Problem]) -> Pairs | None:
    """NAME=NUMBER,... as a mapping; None where it was not given. Faults are added to ``problems``."""
    found: Pairs = {}
    for part in [] if text is None else text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            problems.append(Problem(f"{part.strip()!r} is no NAME=NUMBER", where, f"write {example}"))
            continue
        if name in found:
            problems.append(Problem(f"{name} is given twice", where, f"write {example}"))
        found[name] = number
    return None if text is None else found


def _limited(text: str | None, names: list[str] | None, problems: list[Problem]) -> Pairs | None:
    """Unique tokens by domain: a number alone is of the only domain there is (named "" until it is known)."""
    if text is not None and "=" not in text:
        alone = names[0] if names is not None and len(names) == 1 else ""
        if names is not None and len(names) > 1:
            problems.append(Problem(f"{text!r} does not say of which domain", "--unique", f"write {names[0]}={text}"))
            return None
        text = f"{alone}={text}"
    found = _pairs(text, "--unique", "law=2e9,code=1e9", problems)
    if found is not None and names is None and len(found) > 1:
        problems.append(Problem("several domains were not named", "--unique", "name them: --domains law,code"))
    return found
