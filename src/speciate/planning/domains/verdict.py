"""Whether the shares of several domains are decided, what holds them where they are, and which run would tell."""

from __future__ import annotations

import numpy as np

from speciate.planning.domains import remedy as remedies
from speciate.planning.domains.answer import FAR, NEAR, Answer

NONE = 1e-4  # a share below it is none
BINDS = 1e-3  # nats/token left under a tolerance that binds: where two of them meet the search comes no nearer
SHORT = 1.01  # a horizon up to this many times the longest run is within it: whole steps


def status(answer: Answer) -> tuple[str, bool]:
    """A sentence, and whether the choice can be acted on."""
    asked, p_feasible, regret, overshoot = answer.asked, answer.p_feasible, answer.regret, answer.overshoot
    if not answer.search.possible[0]:
        return _impossible(answer), False
    if answer.beyond > FAR:
        return f"the best estimate lies {answer.beyond:.2f} in share beyond every mixture tried", False
    if regret is None or p_feasible is None or overshoot is None:
        return "there are no more runs than the law has parameters, so nothing shows how wrong it is", False
    if regret > asked.most_regret:
        return f"the expected regret of the best estimate, {regret:.4f} nats, is above {asked.most_regret:g}", False
    if overshoot > max(asked.tolerance / 2, asked.most_regret):
        return f"the best estimate is expected to exceed a tolerance by {overshoot:.4f} nats", False
    return f"shares chosen, feasible in {p_feasible:.0%} of draws, expected regret {regret:.4f} nats", True


def _impossible(answer: Answer) -> str:
    asked, runs = answer.asked, answer.runs
    point = answer.search.anchor[0][None]
    if not asked.tolerances:
        change = float(answer.search.general.loss(point)[0, 0]) - runs.starts[runs.general]
        return (
            f"no mixture keeps the general loss within {asked.tolerance:g} nats of its start: the least change is "
            f"{change:+.4f}"
        )
    over = {
        bound.law.name: float(answer.search.loss(bound.law, point)[0, 0]) - bound.most for bound in answer.search.bounds
    }
    worst = max(over, key=lambda name: over[name])
    return f"no mixture keeps every tolerance: the nearest misses that of {worst} by {over[worst]:.4f} nats"


def binding(answer: Answer) -> tuple[str, ...]:
    """What holds the choice where it is."""
    runs, held = answer.runs, []
    estimate = answer.search.some(slice(0, 1))
    for bound in estimate.bounds:
        left = bound.most - float(estimate.loss(bound.law, answer.choice[None])[0, 0])
        if left <= BINDS:
            general = bound.law.name == runs.general
            held.append("the tolerance" if general else f"the tolerance of {bound.law.name}")
    held += [f"no {name}" for name, share in zip(runs.domains, answer.choice, strict=True) if share < NONE]
    if answer.choice.sum() > 1 - NONE:
        held.append(f"no {runs.general} text left")
    return tuple(held)


def extrapolated(answer: Answer) -> tuple[str, ...]:
    """What lies beyond the runs, in words."""
    texts = []
    times = answer.asked.horizon / answer.runs.longest
    if times > SHORT:
        texts.append(f"the horizon is {times:.3g}x beyond the longest pilot")
    if answer.beyond > NEAR:
        texts.append(f"{answer.beyond:.2f} in share beyond the mixtures tried")
    return tuple(texts)


def remedy(answer: Answer) -> remedies.DomainPilot | None:
    """The run that would tell most."""
    runs, horizon, choice = answer.runs, answer.asked.horizon, answer.choice
    if not answer.search.possible[0]:
        why = "a run shows whether the nearest mixture keeps what is asked"
        return remedies.pilot(why, runs, answer.search.anchor[0], horizon, 1, None)
    if answer.beyond > FAR:
        return remedies.pilot("a run shows whether the law holds there", runs, choice, horizon, 1, None)
    if not answer.sure:
        why = "a mixture more than the law has parameters shows the noise"
        return remedies.pilot(why, runs, choice, runs.longest, 1, None)
    common = {
        name: (at.common_sd or 0.0) * float(np.max(at.doublings))
        for name, at in answer.fitted.at.items()
        if at.doublings.any()
    }
    return remedies.settling(runs, answer.search, choice, answer.shares[1:], common, horizon)
