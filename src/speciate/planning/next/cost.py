"""What a run costs on top of what has been trained already: FLOPs at 6 N D (Kaplan et al. 2020)."""

from __future__ import annotations

from typing import Literal, get_args

from speciate.errors import Problem

Schedule = Literal["constant", "cosine"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)


def marginal_flops(params: float, tokens: float, *, done: float = 0.0, schedule: Schedule = "constant") -> float:
    """6 N (tokens - done): ``done`` tokens are trained already and kept, as those of a run that is carried on.

    Under a cosine schedule the learning rate has come down by the end, so a run cannot be carried on: all is trained
    anew. Constant and warmup-stable schedules go on. A starting model that exists costs nothing.

    >>> marginal_flops(1e9, 2e10, done=1e10), marginal_flops(1e9, 2e10, done=1e10, schedule="cosine")
    (6e+19, 1.2e+20)
    """
    kept = done if schedule == "constant" else 0.0
    return 6.0 * params * max(tokens - kept, 0.0)


def schedule_problems(schedule: str) -> list[Problem]:
    """A schedule that is none."""
    if schedule in SCHEDULES:
        return []
    return [Problem(f"schedule is {schedule!r}", "--schedule", f"name one of {', '.join(SCHEDULES)}")]
