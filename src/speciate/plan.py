"""Decisions from a table of measurements, for Python users: ``from speciate import plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from speciate.planning.accuracy.decision import AccuracyDecision
    from speciate.planning.decide.decision import DecideDecision
    from speciate.planning.domains.decision import DomainsDecision
    from speciate.planning.mixture.decision import MixtureDecision
    from speciate.planning.mixture.repetition import Repeated
    from speciate.planning.next.decision import NextDecision
    from speciate.planning.specialize.decision import SpecializeDecision
    from speciate.planning.split.decision import SplitDecision

__all__ = ["accuracy", "decide", "domains", "mixture", "next_run", "repetition", "specialize", "split"]


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
    lambda_: float | None = None,
) -> MixtureDecision:
    """The largest share of domain text that keeps general ability, and how sure that is.

    ``table`` comes from ``read_table``; ``horizon`` is the tokens of the run to be planned (default: the
    longest run measured); ``tolerance`` is in nats per token; ``lambda_`` weighs general against domain loss
    (default: infinite). ``planning.mixture`` documents the rest.
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
        lambda_=lambda_,
    )


def repetition(decision: MixtureDecision, unique: float) -> dict[int, Repeated]:
    """What reading a domain of ``unique`` tokens again costs at a plan's critical ratio, by params of decided sizes.

    Raises UserError unless ``unique`` is above 0.
    """
    from speciate.planning.mixture.repetition import at_critical_ratio

    return at_critical_ratio(decision, decision.rows[decision.rows["eval_on"] == decision.domain], unique)


def domains(
    table: pd.DataFrame,
    *,
    names: Sequence[str] | None = None,
    general: str = "general",
    weights: Mapping[str, float] | None = None,
    horizon: float | None = None,
    tolerance: float = 0.05,
    tolerances: Mapping[str, float] | None = None,
    unique: Mapping[str, float] | None = None,
    params: int | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> DomainsDecision:
    """The best shares of several domains, and how sure they are.

    ``names`` (default: every column share_NAME) and their ``weights``; ``tolerances`` of single domains in nats per
    token; ``unique`` tokens of domains whose text is limited. ``planning.domains`` documents the rest.
    Raises UserError for a table that cannot be used, NotDecidable for mixtures that do not span the simplex.
    """
    from speciate.planning.domains.plan import plan_domains

    return plan_domains(
        table,
        domains=names,
        general=general,
        weights=weights,
        horizon_tokens=horizon,
        tolerance=tolerance,
        tolerances=tolerances,
        unique=unique,
        params=params,
        level=level,
        draws=draws,
        seed=seed,
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


def decide(
    table: pd.DataFrame,
    *,
    flops: float,
    tolerance: float | None = 0.05,
    serve_tokens: float = 0.0,
    unique_tokens: float | None = None,
    domains: int | None = None,
    sizes: Sequence[float] = (),
    pilots_sunk: bool = False,
    keep_seed: bool = False,
    reach: float = 3.0,
    general: str = "general",
    domain: str | None = None,
    sure: float = 0.6,
    regret: float = 0.005,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> DecideDecision:
    """One choice across kinds and sizes for a budget of ``flops``: general text, filtered text, a mixture, a split.

    ``tolerance`` in nats per token of general loss, None for no limit; ``sure``: the P(best) from which a choice is
    made, ``regret`` the expected nats per token below which it is made anyway. ``planning.decide`` documents the rest.
    Raises UserError for a table that cannot be used, NotDecidable where no kind can be considered.
    """
    from speciate.planning.decide.plan import plan_decide

    return plan_decide(
        table,
        flops=flops,
        tolerance=tolerance,
        serve_tokens=serve_tokens,
        unique_tokens=unique_tokens,
        domains=domains,
        sizes=tuple(sizes),
        pilots_sunk=pilots_sunk,
        keep_seed=keep_seed,
        reach=reach,
        general=general,
        domain=domain,
        sure=sure,
        bound=regret,
        level=level,
        draws=draws,
        seed=seed,
    )


def next_run(
    table: pd.DataFrame,
    *,
    kind: str = "mixture",
    good_enough: float = 0.001,
    least_drop: float = 0.0002,
    most_flops: float | None = None,
    worth: float | None = None,
    schedule: str = "constant",
    draws: int = 1000,
    seed: int = 0,
    **question: Any,
) -> NextDecision:
    """Which run to buy next for a decision of this ``kind`` ("mixture" or "split"), or to stop buying.

    ``question``: that of the decision, as in ``horizon_tokens=20e9`` or ``total_tokens=347e9, domains=16``, with
    ``candidates``, a table of runs to choose from. ``planning.next`` documents the rest.
    Raises UserError for a table that cannot be used, NotDecidable for rows that cannot answer.
    """
    from speciate.planning.next.plan import plan_next

    return plan_next(
        table,
        kind=kind,
        good_enough=good_enough,
        least_drop=least_drop,
        most_flops=most_flops,
        worth=worth,
        schedule=schedule,
        draws=draws,
        seed=seed,
        **question,
    )
