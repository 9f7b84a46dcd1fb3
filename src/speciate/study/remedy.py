"""The cheapest run that would settle a question, as the command that runs it in this study."""

from __future__ import annotations

from speciate.planning.decision import Remedy
from speciate.study.config import StudyConfig


def remedy_command(config: StudyConfig, remedy: Remedy) -> str:
    """``speciate run`` with the overrides that add a remedy's run to the pilots; what is trained stays trained.

    >>> remedy_command(StudyConfig(), Remedy("a higher ratio", 141_760, 0.95, 1_228_800, 2))
    "speciate run study.yaml 'pilot.ratios=[0.25, 0.5, 0.75, 0.9, 0.95]'"
    >>> remedy_command(StudyConfig(), Remedy("another seed", 141_760, 0.5, 1_228_800, 2))
    "speciate run study.yaml 'pilot.extra_seeds={0.5: [1, 2]}'"
    >>> remedy_command(StudyConfig(), Remedy("a longer pilot", 141_760, 0.5, 1_843_200, 2))
    "speciate run study.yaml 'pilot.tokens=1531904'"
    """
    pilot, step = config.pilot, config.training.tokens_per_step
    overrides = []
    if remedy.tokens > pilot.tokens:  # a study's horizon lies beyond its pilots: half-way there is as long as they get
        overrides.append(f"pilot.tokens={(pilot.tokens + config.plan.horizon_tokens) // 2 // step * step}")
    elif remedy.domain_ratio not in pilot.ratios:
        overrides.append(f"pilot.ratios={sorted([*pilot.ratios, remedy.domain_ratio])}")
    else:
        had = pilot.extra_seeds.get(remedy.domain_ratio, [])
        seeds = {**pilot.extra_seeds, remedy.domain_ratio: [*had, max([0, *had]) + 1]}
        overrides.append(f"pilot.extra_seeds={dict(sorted(seeds.items()))}")
    return " ".join(["speciate run study.yaml", *(f"'{override}'" for override in overrides)])
