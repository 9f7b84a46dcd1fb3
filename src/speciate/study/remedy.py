"""The cheapest run that would settle a question, as the command that runs it in this study."""

from __future__ import annotations

from collections.abc import Sequence

from speciate.planning.mixture.decision import Remedy
from speciate.study.config import StudyConfig


def remedy_command(config: StudyConfig, remedy: Remedy, given: Sequence[str] = ()) -> str:
    """``speciate run`` with the overrides that add a remedy's run to the pilots; what is trained stays trained.

    ``given`` are the overrides of this launch, which the next one needs too.

    >>> remedy_command(StudyConfig(), Remedy("a higher ratio", 141_760, 0.95, 1_228_800, 2))
    "speciate run study.yaml 'pilot.ratios=[0.25, 0.5, 0.75, 0.9, 0.95]'"
    >>> remedy_command(StudyConfig(), Remedy("another seed", 141_760, 0.5, 1_228_800, 2))
    "speciate run study.yaml 'pilot.extra_seeds={0.5: [1, 2]}'"
    >>> remedy_command(StudyConfig(), Remedy("a longer pilot", 141_760, 0.5, 1_843_200, 2))
    "speciate run study.yaml 'pilot.tokens=1531904'"
    """
    pilot, step = config.pilot, config.training.tokens_per_step
    overrides = []
    longer = (pilot.tokens + config.plan.horizon_tokens) // 2 // step * step  # a study's horizon lies beyond its pilots
    if remedy.tokens > pilot.tokens and longer > pilot.tokens:
        overrides.append(f"pilot.tokens={longer}")
    elif remedy.domain_ratio not in pilot.ratios:
        overrides.append(f"pilot.ratios={sorted([*pilot.ratios, remedy.domain_ratio])}")
    else:
        had = pilot.extra_seeds.get(remedy.domain_ratio, [])
        seeds = {**pilot.extra_seeds, remedy.domain_ratio: [*had, max([0, *had]) + 1]}
        overrides.append(f"pilot.extra_seeds={dict(sorted(seeds.items()))}")
    new = {override.partition("=")[0] for override in overrides}
    kept = [override for override in given if override.partition("=")[0].strip() not in new]
    return " ".join(["speciate run study.yaml", *(f"'{override}'" for override in [*kept, *overrides])])
