"""Decisions from a table of measurements, for Python users: ``from speciate import plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from speciate.planning.decision import MixtureDecision

__all__ = ["mixture"]


def mixture(
    table: pd.DataFrame,
    *,
    horizon: float | None = None,
    tolerance: float = 0.05,
    general: str = "general",
    domain: str | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
    params: int | None = None,
) -> MixtureDecision:
    """The largest share of domain text that keeps general ability, and how sure that is.

    ``table`` comes from ``read_table``; ``horizon`` is the tokens of the run to be planned (default: the
    longest run measured); ``tolerance`` is in nats per token. ``planning.mixture`` documents the rest.
    Raises UserError for a table that cannot be used, NotDecidable for rows that cannot answer.
    """
    from speciate.planning.mixture import plan_mixture

    return plan_mixture(
        table,
        general=general,
        domain=domain,
        horizon_tokens=horizon,
        tolerance=tolerance,
        level=level,
        draws=draws,
        seed=seed,
        params=params,
    )
