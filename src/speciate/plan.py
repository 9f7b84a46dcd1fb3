"""Decisions from a table of measurements, for Python users: ``from speciate import plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from speciate.planning.accuracy.decision import AccuracyDecision
    from speciate.planning.mixture.decision import MixtureDecision
    from speciate.planning.specialize.decision import SpecializeDecision
    from speciate.planning.split.decision import SplitDecision

__all__ = ["accuracy", "mixture", "specialize", "split"]


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
    from speciate.planning.mixture.plan import plan_mixture

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


def specialize(
    table: pd.DataFrame,
    *,
    general: str = "general",
    specialized: str | None = None,
    eval_on: str | None = None,
    original: str | None = None,
    new: str | None = None,
    flops: Sequence[float] = (),
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> SpecializeDecision:
    """Filtered domain text or everything: SGER by size, optimal sizes, what is forgotten.

    ``general`` and ``specialized`` name the regimes (train_on), ``eval_on`` the domain's exam suite.
    ``planning.specialize`` documents the rest. Raises UserError for a table that cannot be used, NotDecidable for
    rows that cannot answer.
    """
    from speciate.planning.specialize.plan import plan_specialize

    return plan_specialize(
        table,
        general=general,
        specialized=specialized,
        eval_on=eval_on,
        original=original,
        new=new,
        flops=flops,
        level=level,
        draws=draws,
        seed=seed,
    )


def accuracy(
    table: pd.DataFrame,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    samples: int | None = None,
    eval_on: str | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> AccuracyDecision:
    """What a benchmark will show at full budget, by the law that predicts the largest runs best, with an interval.

    Ask for ``params`` and ``tokens``, or ``flops``; ``samples`` k for pass@k. ``planning.accuracy`` documents the
    rest. Raises UserError for a table that cannot be used, NotDecidable for a task still at chance.
    """
    from speciate.planning.accuracy.plan import plan_accuracy

    return plan_accuracy(
        table,
        params=params,
        tokens=tokens,
        flops=flops,
        samples=samples,
        eval_on=eval_on,
        level=level,
        draws=draws,
        seed=seed,
    )


def split(
    table: pd.DataFrame,
    *,
    tokens: float,
    domains: int | Sequence[int] | None = None,
    params: float | None = None,
    weights: Mapping[str, float] | None = None,
    eval_on: str | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> SplitDecision:
    """One model, or a seed copied into K specialists: how to spend a total of ``tokens`` = D + K D'.

    ``planning.split`` documents the rest. Raises UserError for a table that cannot be used, NotDecidable for
    rows that cannot answer.
    """
    from speciate.planning.split.plan import plan_split

    return plan_split(
        table,
        total_tokens=tokens,
        domains=domains,
        params=params,
        weights=weights,
        eval_on=eval_on,
        level=level,
        draws=draws,
        seed=seed,
    )
