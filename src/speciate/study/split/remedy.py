"""The runs that would tell splitting from not splitting, as the command that has them run in this study."""

from __future__ import annotations

import math
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
    return command(override, given)


def longer_pilots(config: SplitStudy, domains: int, given: Sequence[str] = ()) -> str:
    """The command of pilots nearer to the planned total: half way from the largest budget, on a log scale.

    Where what the law has wrong beyond its rows is what leaves the gain in doubt, more rows as short as these do not
    help. ``given``: as above.

    >>> longer_pilots(SplitStudy(), 6)
    "speciate run study.yaml 'split.budgets=[983040, 1966080, 2408448]'"
    """
    block, largest = domains * config.training.tokens_per_step, max(config.split.budgets)
    halfway = round(math.sqrt(largest * config.plan.total_tokens) / block) * block
    longer = min(max(halfway, largest + block), config.plan.total_tokens - block)
    return command(f"split.budgets={sorted({*config.split.budgets, longer})}", given)


def command(override: str, given: Sequence[str]) -> str:
    """``speciate run`` with an override beside those of this launch, in place of one of the same name."""
    name = override.partition("=")[0]
    kept = [one for one in given if one.partition("=")[0].strip() != name]
    return " ".join(["speciate run study.yaml", *(f"'{one}'" for one in [*kept, override])])
