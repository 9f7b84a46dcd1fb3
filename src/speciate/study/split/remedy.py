"""The runs that would tell splitting from not splitting, as the command that has them run in this study."""

from __future__ import annotations

from collections.abc import Sequence

from speciate.planning.split.remedy import SplitRun
from speciate.study.split.config import SplitStudy
from speciate.study.split.specs import allocate


def remedy_command(config: SplitStudy, remedy: SplitRun, domains: int, given: Sequence[str] = ()) -> str:
    """``speciate run`` with the overrides that add a remedy's runs to the pilots; what is trained stays trained.

    Longer experts than any pilot are those of a further budget, or, where that would be the plan's own total, of a
    further share; others are further orders of the text. ``given``: the overrides of this launch, which the next one
    needs too.

    >>> remedy_command(SplitStudy(), SplitRun(141_760, 1_000_000, 200_000, 1, 1.0, 0.01, 0.005, True), 6)
    "speciate run study.yaml 'split.budgets=[983040, 1966080, 2199552]'"
    >>> remedy_command(SplitStudy(), SplitRun(141_760, 1_000_000, 100_000, 2, 1.0, 0.01, 0.005, True), 6)
    "speciate run study.yaml 'split.extra_seeds={0.5: [1, 2, 3]}'"
    """
    split, step = config.split, config.training.tokens_per_step
    block = domains * step
    largest = max(split.budgets)
    total = round((remedy.seed_tokens + domains * remedy.tokens) / block) * block
    if largest < total < config.plan.total_tokens:
        override = f"split.budgets={sorted([*split.budgets, total])}"
    else:
        inner = [share for share in split.shares if 0 <= share < 1]
        share = min(
            inner, key=lambda one: abs(allocate(config, largest, one, domains).seed_tokens - remedy.seed_tokens)
        )
        had = split.extra_seeds.get(share, [])
        new = [max([0, *had]) + 1 + number for number in range(remedy.repeats)]
        override = f"split.extra_seeds={dict(sorted({**split.extra_seeds, share: [*had, *new]}.items()))}"
    name = override.partition("=")[0]
    kept = [one for one in given if one.partition("=")[0].strip() != name]
    return " ".join(["speciate run study.yaml", *(f"'{one}'" for one in [*kept, override])])
