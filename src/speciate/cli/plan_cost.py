"""--device and --price of the verbs that plan a run: hours and money in the Cost line and in the JSON's ``cost``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from speciate.runs.devices import Device
    from speciate.runs.estimate import DecisionCost


def device_asked(name: str | None, price: float | None, problems: Sequence[Problem] = ()) -> Device | None:
    """The device that was asked for, if any, with its price; UserError with what is wrong, and with ``problems``."""
    from speciate.cli.cost import device_of

    device, wrong = device_of(name, price=price)
    if problems or wrong:
        raise UserError([*problems, *wrong])
    return device


def cost_of(flops: float | None, device: Device | None, pilot_flops: float | None = None) -> DecisionCost | None:
    """Of the planned run (and the pilots, if they are to be counted); None where no run is planned."""
    from speciate.runs.estimate import decision_cost

    return None if flops is None else decision_cost(flops, pilot_flops, device)


def cost_told(lines: Sequence[str], cost: DecisionCost | None, what: str = "The run") -> list[str]:
    """A decision's lines, the Cost line with hours and money of ``what`` if a device was named.

    >>> from speciate.runs.devices import device_named
    >>> cost_told(["Cost: 1e+20 FLOPs."], cost_of(1e20, device_named("H100")))[0].split("; ")[0]
    'Cost: 1e+20 FLOPs. The run: 56 to 112 H100-hours, expected 70'
    """
    if cost is None or cost.estimate is None:
        return list(lines)
    hours = f"{what}: {cost.estimate.told()}; {cost.estimate.told_source()}."
    return [f"{line} {hours}" if line.startswith("Cost: ") else line for line in lines]


def with_cost(found: Mapping[str, Any], cost: DecisionCost | None) -> dict[str, Any]:
    """A decision's JSON with the key ``cost``, null where no run is planned; what it has there already stays."""
    there = found.get("cost")
    if cost is None:
        return {**found, "cost": there}
    return {**found, "cost": {**cost.to_json(), **(there or {})}}
