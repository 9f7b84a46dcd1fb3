"""cost.json: what a study has cost so far, summed over all its launches."""

from __future__ import annotations

import json
from typing import Any

from speciate.storage import write_atomic
from speciate.study.files import read_object
from speciate.study.layout import Layout


def read_cost(layout: Layout) -> dict[str, Any]:
    """The content of cost.json, empty when there is none yet. Raises UserError when it is damaged."""
    fix = "delete it (the count of minutes starts anew) and relaunch the same command"
    return read_object(layout.cost, fix) if layout.cost.exists() else {}


def set_cost(layout: Layout, values: dict[str, float]) -> dict[str, Any]:
    """Put ``values`` (tokens, flops) in place of what stood there; returns the whole cost."""
    cost = read_cost(layout) | values
    write_atomic(layout.cost, json.dumps(cost, indent=1))
    return cost


def add_seconds(layout: Layout, name: str, seconds: float) -> None:
    """Add to ``train_seconds`` or ``wall_seconds``."""
    set_cost(layout, {name: read_cost(layout).get(name, 0.0) + seconds})
