"""One choice across kinds and sizes under one budget: continue on general text, filtered text, a mixture, or split.

Every kind answers in one form (``options``): the expected loss of a final run that the rest of the budget pays, joint
draws of it, what is forgotten. The choice is the least expected loss among options that keep the limit on forgetting.
"""

from __future__ import annotations

import pandas as pd

from speciate.errors import NotDecidable
from speciate.planning.decide.continued import Continued, continued_from
from speciate.planning.decide.decision import DecideDecision
from speciate.planning.decide.final_runs import CONTINUED, continued_options
from speciate.planning.decide.judge import judge
from speciate.planning.decide.ledger import Ledger, ledger_of
from speciate.planning.decide.options import KINDS, Missing, Option
from speciate.planning.decide.question import REACH, TOLERANCE, Question
from speciate.planning.decide.split import Splits, split_option, splits_from
from speciate.planning.decide.words import not_considered
from speciate.planning.words import short


def plan_decide(
    table: pd.DataFrame,
    *,
    flops: float,
    tolerance: float | None = TOLERANCE,
    serve_tokens: float = 0.0,
    unique_tokens: float | None = None,
    domains: int | None = None,
    sizes: tuple[float, ...] = (),
    pilots_sunk: bool = False,
    keep_seed: bool = False,
    reach: float = REACH,
    general: str = "general",
    domain: str | None = None,
    sure: float = 0.6,
    bound: float = 0.005,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> DecideDecision:
    """What to do with a budget of ``flops``, of which the pilots, 6 N D of each, are paid (unless ``pilots_sunk``).

    ``table``: one row per measurement with run, params, tokens, eval_on and loss (or perplexity, or accuracy);
    domain_ratio of continued runs (or train_on, the name of either set); seed_tokens of seeds and experts.
    Continued kinds need rows on the ``general`` set too. Options are those of ``Question``.

    Raises UserError (table, options), NotDecidable (no kind can be considered at all). A choice that is too unsure is
    no error: ``decided`` is then False.
    """
    question = Question(flops, tolerance, serve_tokens, unique_tokens, domains, tuple(sizes), pilots_sunk,
                        keep_seed, reach, sure, bound, level, draws, seed)  # fmt: skip
    question.check()
    ledger = ledger_of(table, general, domain, domains)
    left = flops if pilots_sunk else flops - ledger.pilot_flops
    asked = sizes or sorted(ledger.rows.loc[ledger.rows["tokens"] > 0, "params"].astype(float).unique())
    tokens = {float(size): (left - 2 * size * serve_tokens) / (6 * size) for size in asked}
    continued, missing = _continued(ledger, tokens, question)
    splits, more = _splits(ledger, question)
    missing += more
    options: list[Option] = []
    for size, count in tokens.items():
        made, without = at_size(size, count, continued, splits, ledger, question)
        options += made
        missing += without
    if not options:
        told = not_considered(missing)
        reasons = "; ".join(f"{what}: {why}" for what, why, _ in told)
        remedies = "; ".join(dict.fromkeys(remedy for _, _, remedy in told))
        raise NotDecidable(f"no kind can be considered ({reasons})", remedies)
    return DecideDecision(question, ledger, tuple(options), tuple(missing), judge(options, question), left)


def _continued(
    ledger: Ledger, tokens: dict[float, float], question: Question
) -> tuple[Continued | None, list[Missing]]:
    """The continued runs' curves, or why there are none."""
    try:
        return continued_from(ledger, tokens, question), []
    except NotDecidable as error:
        return None, [Missing(kind, None, error.reason, error.remedy) for kind in CONTINUED]


def _splits(ledger: Ledger, question: Question) -> tuple[Splits | None, list[Missing]]:
    try:
        return splits_from(ledger, question), []
    except NotDecidable as error:
        return None, [Missing("split", None, error.reason, error.remedy)]


def at_size(
    size: float,
    tokens: float,
    continued: Continued | None,
    splits: Splits | None,
    ledger: Ledger,
    question: Question,
) -> tuple[list[Option], list[Missing]]:
    """All kinds at one size; ``tokens`` may be below 0, where pilots or serving leave nothing."""
    if tokens <= 0:
        paid = 0.0 if question.pilots_sunk else ledger.pilot_flops
        gone = f"pilots of {paid:.3g} and serving of {2 * size * question.serve_tokens:.3g} FLOPs"
        reason = f"{gone} leave nothing of the budget of {question.flops:.3g} for a final run"
        return [], [Missing(kind, size, reason, "a larger budget, or a smaller size") for kind in KINDS]
    options: list[Option] = []
    missing: list[Missing] = []
    if continued is not None and (size in continued.domain or len(continued.domain) > 1):
        options, missing = continued_options(continued, size, tokens, question)
    elif continued is not None:
        reason = "one size was tried, two are needed to speak of another"
        missing = [Missing(kind, size, reason, f"the pilots at {short(size)} params") for kind in CONTINUED]
    if splits is not None:
        try:
            one = split_option(splits, continued, ledger.base, size, tokens, question)
        except NotDecidable as error:
            one = Missing("split", size, error.reason, error.remedy)
        if isinstance(one, Missing):
            missing.append(one)
        elif question.tolerance is not None and one.forgetting is None:
            reason = "what seed and experts forget is unknown, and forgetting is limited"
            remedy = "runs continued on general and on filtered text, measured on the general set, or no limit"
            missing.append(Missing("split", size, reason, remedy))
        else:
            options.append(one)
    return options, missing
