"""The verb cost: what training a model takes, before it is spent. It needs no torch."""

from __future__ import annotations

import enum
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciate.cli.output import DONE, Json, emit, lines_of, screen
from speciate.cli.plan_options import Price
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from speciate.runs.actuals import Actual
    from speciate.runs.architecture import Architecture
    from speciate.runs.devices import Device

MOST, MOST_HOURS = 1e20, 1e7  # tokens and parameters; hours: more is a slip of the keyboard
Mfu = tuple[float, float, float]


class Sharding(enum.StrEnum):
    """How weights, gradients and optimizer lie on the devices."""

    none = "none"
    fsdp = "fsdp"


Model = Annotated[
    str, typer.Argument(metavar="CONFIG_OR_PARAMS", help="A config.json, its folder, or a number of parameters.")
]
Tokens = Annotated[float, typer.Option(help="Tokens to train on.")]
Sequence = Annotated[
    int | None,
    typer.Option(help="Tokens of a sequence (default: what the model takes, at most 4096).", min=1, max=10**9),
]
Batch = Annotated[int, typer.Option(help="Sequences on one device at a time.", min=1, max=10**6)]
Name = Annotated[str | None, typer.Option(help="The device, as in H100; a wrong name lists all.")]
Count = Annotated[int, typer.Option(help="How many of it.", min=1, max=10**7)]
Shard = Annotated[Sharding, typer.Option(help="none: every device holds the model; fsdp: each a share of it.")]
Recompute = Annotated[bool, typer.Option("--recompute", help="Activations are recomputed.")]
Shares = Annotated[
    str | None, typer.Option(metavar="LOW,EXPECTED,HIGH", help="Share of the peak that is used (.25,.4,.5).")
]
Table = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Your devices: name,tflops,memory_gb,price_per_hour (.csv).")
]
Log = Annotated[Path | None, typer.Option(metavar="FILE", help="Log of what runs took; corrects the times (.jsonl).")]
Took = Annotated[float | None, typer.Option(help="Hours that this run took: add it to the log of --actuals.")]


def cost(
    model: Model,
    tokens: Tokens,
    sequence: Sequence = None,
    batch: Batch = 1,
    device: Name = None,
    devices: Count = 1,
    sharding: Shard = Sharding.none,
    recompute: Recompute = False,
    price: Price = None,
    mfu: Shares = None,
    device_table: Table = None,
    actuals: Log = None,
    took_hours: Took = None,
    as_json: Json = False,
) -> int:
    """What training takes: FLOPs, memory, hours and money; low, expected, high; unknown where it is unknown."""
    from speciate.runs.actuals import append_actuals, correction, read_actuals
    from speciate.runs.training_cost import training_cost

    chosen, problems = device_of(device, table=device_table, price=price, mfu=mfu, actuals=actuals)
    shares = _shares(mfu, actuals, problems)
    problems += _amount_problems(tokens, took_hours, actuals)
    found = _model(model, sequence, problems)
    log = [] if actuals is None or chosen is None else _of_device(read_actuals(actuals), chosen.name)
    setting: dict[str, Any] = {"batch": batch, "sharded": sharding == "fsdp", "recompute": recompute, "mfu": shares}
    told = training_cost(
        found, tokens, device=chosen, count=devices, sequence_length=sequence, correction=correction(log), **setting
    )
    added = None
    if took_hours is not None and actuals is not None and told.estimate is not None:
        added = _actual(model, told.flops, told.estimate.device, devices, took_hours)
        append_actuals(actuals, [added])
    if as_json:
        emit(told.to_json() | {"recorded": None if added is None else added.name})
        return DONE
    rows = told.rows()
    if actuals is not None and chosen is not None and not log:
        rows.append(("not corrected", f"{actuals} has no run on {chosen.name}"))
    print("\n".join(_lines([*rows, *_recorded(added)])))
    return DONE


def _lines(rows: list[tuple[str, str]]) -> list[str]:
    """(What, value) as lines of the screen's width; what is repeated is said once."""
    wide = max(len(name) for name, _ in rows)
    shown = [f"{'' if i and name == rows[i - 1][0] else name:<{wide}}  {text}" for i, (name, text) in enumerate(rows)]
    return lines_of(shown, screen(), wide + 2)


def _recorded(added: Actual | None) -> list[tuple[str, str]]:
    if added is None:
        return []
    ratio = added.actual_seconds / added.estimated_seconds
    return [("recorded", f"it took {ratio:.3g} times the uncorrected estimate; later ones are corrected")]


def _amount_problems(tokens: float, took_hours: float | None, actuals: Path | None) -> list[Problem]:
    problems = []
    if not 0 < tokens <= MOST:
        problems.append(Problem(f"{tokens:g} tokens", "--tokens", f"give a number above zero, at most {MOST:g}"))
    if took_hours is not None and not 0 < took_hours <= MOST_HOURS:
        fix = f"give hours above zero, at most {MOST_HOURS:g}"
        problems.append(Problem(f"{took_hours} hours", "--took-hours", fix))
    if took_hours is not None and actuals is None:
        problems.append(Problem("there is no log to add it to", "--took-hours", "add --actuals FILE"))
    return problems


def device_of(
    name: str | None,
    *,
    price: float | None = None,
    table: Path | None = None,
    mfu: str | None = None,
    actuals: Path | None = None,
) -> tuple[Device | None, list[Problem]]:
    """The device with its price, and everything that is wrong with the options that are about it."""
    from dataclasses import replace

    from speciate.runs.devices import DEVICES, LARGEST, device_named, read_devices

    problems: list[Problem] = []
    chosen = None
    try:
        known = DEVICES if table is None else read_devices(table)
        chosen = None if name is None else device_named(name, known)
    except UserError as error:
        problems += error.problems
    given = {"--price": price, "--mfu": mfu, "--actuals": actuals, "--device-table": table}
    if name is None:
        missing = [option for option, value in given.items() if value is not None]
        problems += [Problem("there is no device that it is of", option, "add --device NAME") for option in missing]
    if price is not None and not 0 <= price <= LARGEST:
        problems.append(Problem(f"the price is {price}", "--price", f"give a number from 0 to {LARGEST:g}"))
    elif chosen is not None and price is not None:
        chosen = replace(chosen, price=price)
    return chosen, problems


def _shares(text: str | None, actuals: Path | None, problems: list[Problem]) -> Mfu:
    """.3,.4,.5 as numbers; what is assumed where nothing is given, or with a problem where it cannot be used."""
    from speciate.runs.estimate import LEAST_MFU, TRAINING_MFU

    if text is None:
        return TRAINING_MFU
    if actuals is not None:
        what = "the log's ratios are to estimates at the utilisation assumed by default"
        problems.append(Problem(what, "--mfu", "give --mfu or --actuals, not both"))
    try:
        low, expected, high = (float(part) for part in text.split(","))
    except ValueError:
        low = expected = high = math.nan
    if LEAST_MFU <= low <= expected <= high <= 1:
        return low, expected, high
    fix = "write three shares of the peak, low, expected and high, as in .3,.4,.5"
    problems.append(Problem(f"{text!r} is no utilisation", "--mfu", fix))
    return TRAINING_MFU


def _model(text: str, sequence_length: int | None, problems: list[Problem]) -> Architecture | int:
    """An architecture from a file, or a number of parameters; UserError with what is wrong, and with ``problems``."""
    try:
        found = _read_model(text, sequence_length)
    except UserError as error:
        raise UserError([*problems, *error.problems]) from None
    if problems:
        raise UserError(problems)
    return found


def _read_model(text: str, sequence_length: int | None) -> Architecture | int:
    from speciate.runs.model_config import read_architecture

    path = Path(text)
    try:
        number = float(text)
    except ValueError:
        if path.exists() or path.suffix:
            return read_architecture(path, sequence_length)
        fix = "give a config.json, its folder, or a number as in 7e9"
        raise UserError(Problem("it is neither a file nor a number of parameters", text, fix)) from None
    if path.exists():
        return read_architecture(path, sequence_length)
    if not 1 <= number <= MOST:
        fix = f"give a number above zero, at most {MOST:g}, as in 7e9"
        raise UserError(Problem(f"{text} parameters", "CONFIG_OR_PARAMS", fix))
    if sequence_length is not None:
        what = "a number of parameters does not say what attention costs"
        raise UserError(Problem(what, "--sequence", "give a config.json, or leave it out"))
    return round(number)


def _of_device(log: list[Actual], name: str) -> list[Actual]:
    return [run for run in log if run.device.casefold() == name.casefold()]


def _actual(model: str, flops: float, device: Device, devices: int, hours: float) -> Actual:
    """The run as a line of the log: its estimate without a correction, and what it took.

    Raises UserError where it would have been faster than the devices' peak: a wrong number would spoil later estimates.
    """
    from datetime import UTC, datetime

    from speciate.runs.actuals import SHORTEST, Actual, is_duration
    from speciate.runs.estimate import estimate

    share = flops / (devices * device.peak_flops * 3600 * hours)
    if share > 1:
        what = f"{devices} {device.name} in {hours:g} hours would be {share:.3g} times their peak"
        raise UserError(Problem(what, "--took-hours", "give the hours by the clock, and all --devices that ran"))
    now = datetime.now(UTC).isoformat()
    seconds = estimate(flops, device, devices).seconds.expected
    if not is_duration(seconds):
        what = f"the run is estimated to take {seconds:.2g} s, which is too short to learn from"
        raise UserError(Problem(what, "--took-hours", f"log runs of {SHORTEST:g} s or more"))
    return Actual(f"{model}, {flops:.6g} FLOPs, {now}", now, device.name, model, seconds, 3600 * hours)
