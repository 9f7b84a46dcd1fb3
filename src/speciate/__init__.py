"""Speciate: from cheap pilot runs to a sealed answer, and then whether it was right.

>>> import speciate
>>> speciate.__version__
'0.1.0'

Public names are loaded when they are first used, so that ``import speciate`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speciate import plan
    from speciate.fitting.fit import Fit, fit, load_fit
    from speciate.planning.mixture.decision import MixtureDecision
    from speciate.runs.table import read_table
    from speciate.specialists.experts import Specialists

__version__ = "0.1.0"

__all__ = ["Fit", "MixtureDecision", "Specialists", "__version__", "fit", "load_fit", "plan", "read_table"]

_HOMES = {
    "Fit": "speciate.fitting.fit",
    "MixtureDecision": "speciate.planning.mixture.decision",
    "Specialists": "speciate.specialists.experts",
    "fit": "speciate.fitting.fit",
    "load_fit": "speciate.fitting.fit",
    "read_table": "speciate.runs.table",
}


def __getattr__(name: str) -> Any:
    if name == "plan":
        return importlib.import_module("speciate.plan")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'speciate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
