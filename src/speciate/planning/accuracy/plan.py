"""What a benchmark will show at full budget, with an interval, from cheap runs.

Direct laws (accuracy from compute, or from size and tokens) and two-stage rivals (loss first, accuracy from it) are
tested alike: fitted to the smaller runs and asked for the largest. The source's law for such rows is kept unless
another errs less by half as much again; every law whose errors cannot be told from the chosen one's has its
share in the interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable
from speciate.planning.accuracy.decision import AccuracyDecision, Rival, Test
from speciate.planning.accuracy.interval import Contender, drawn, shares
from speciate.planning.accuracy.routes import Fitted, Known, Route, fitted, routes
from speciate.planning.accuracy.rows import Asked, Benchmark, benchmark, checked, ratio_problem
from speciate.planning.accuracy.tests import Trial, as_good, cuts, distances, favourite, ranked, tried
from speciate.planning.words import short

Reading = tuple[Fitted, float]  # a route fitted to all rows, and what it says of the asked run


def plan_accuracy(
    table: pd.DataFrame,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    samples: int | None = None,
    eval_on: str | None = None,
    where: str | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
    widest: float = 0.3,
) -> AccuracyDecision:
    """The accuracy of a run of ``params`` on ``tokens``, or of ``flops``; pass@k with ``samples`` k.

    ``table``: one row per measurement with accuracy, chance, params and tokens (or flops) and, where known, loss or
    bits_per_byte (for the two-stage laws), run, trunk, samples, eval_on. Rows less than 5 % of the way from chance to 1
    are left out and counted. ``where`` chooses rows ("train_on==web"); too wide an interval decides nothing.

    Not decided, with the numbers given all the same: a run further beyond the rows than twice as far, in doublings, as
    the tests went; tokens per parameter no row has. NotDecidable: a task still at chance in most of the largest
    runs, or too few rows above it to fit and to test. UserError: columns missing, sets mixed, no run asked for.

    Source: Krajewski et al. 2025 (arXiv 2512.08894); tests, choice and interval are ours.

    >>> size = np.geomspace(1e8, 3e9, 8)
    >>> table = pd.DataFrame({"params": size, "tokens": 20 * size, "chance": 0.25})
    >>> table["accuracy"] = 0.25 + 0.75 * np.exp(-0.9 * (120 * size**2 / 1e21) ** -0.2)
    >>> decision = plan_accuracy(table, params=7e9, tokens=140e9)
    >>> round(decision.accuracy, 4), decision.law, decision.rows_dropped
    (0.6488, 'accuracy-compute', 1)
    """
    checked(params, tokens, flops, samples, level, draws)
    seen, asked = benchmark(table, params, tokens, flops, samples, eval_on, where)
    able, refused = routes(seen, asked)
    held = cuts(seen, asked)
    known: Known = {}
    trials, untested = tried(able, held, known) if held else ([], {})
    refused |= untested
    point = point_of(asked, seen)
    trials, readings = possible(trials, point, seen, refused, known)
    trials = ranked(trials, favourite(seen.rows, asked))
    contenders = contending(trials, as_good(trials, held, level, seed), readings, point, seen.chance, known)
    distance = float(distances(point, seen.rows)[0])
    rng = np.random.default_rng(seed)
    spread = drawn(contenders, held, point, seen.chance, distance, rng, draws)
    low, high = (float(q) for q in np.quantile(spread, [(1 - level) / 2, (1 + level) / 2]))
    value = contenders[0].value
    low, high = min(low, value), max(high, value)
    reach, went = float(np.exp(distance)), max(cut.factor for cut in held)
    open_ = undecided(seen, asked, reach, went, high - low, widest)
    shown = tuple(rivals_of(trials, contenders, readings, refused))
    return AccuracyDecision(
        accuracy=value, low=low, high=high, law=trials[0].name, level=level, chance=seen.chance, eval_on=seen.eval_on,
        params=asked.params, tokens=asked.tokens, flops=asked.flops, samples=asked.samples,
        factor=seen.factors(asked)["flops"], reach=reach, checked=went, rivals=shown,
        tests=tuple(Test(cut.name, float(cut.apart[cut.name].min()), len(cut.apart), cut.factor) for cut in held),
        rows_used=len(seen.rows), rows_dropped=sum(seen.left_out.values()), left_out=seen.left_out, notes=seen.notes,
        decided=open_ is None, status=open_ or sentence(contenders, reach, went), remedy=remedy(seen, asked, reach),
        rows=seen.given,
    )  # fmt: skip


def point_of(asked: Asked, seen: Benchmark) -> pd.DataFrame:
    """The asked run as a row."""
    names = ("params", "tokens", "flops", "samples")
    known = {name: float(value) for name in names if (value := asked.of(name)) is not None}
    return pd.DataFrame([known | {"chance": seen.chance}])


def possible(
    trials: Sequence[Trial], point: pd.DataFrame, seen: Benchmark, refused: dict[str, str], known: Known
) -> tuple[list[Trial], dict[str, Reading]]:
    """Routes that say something possible of the asked run, and what; why others do not goes to ``refused``.

    Fitted as in the tests, to few of many rows; contenders are fitted to all. Raises NotDecidable if none is left.
    """
    readings: dict[str, Reading] = {}
    for trial in trials:
        reading = read(trial.route, point, seen.chance, known)
        if isinstance(reading, str):
            refused[trial.name] = reading
        else:
            readings[trial.name] = reading
    if not readings:
        why = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        reason = f"no law can be fitted to these {len(seen.rows)} rows and tested on the largest of them ({why})"
        raise NotDecidable(reason, "add runs, cheapest first, at other sizes and token counts")
    return [trial for trial in trials if trial.name in readings], readings


def read(route: Route, point: pd.DataFrame, chance: float, known: Known, every: bool = False) -> Reading | str:
    """The route fitted and its value at the asked run; or why it has none that an accuracy can be."""
    try:
        found = fitted(route, known, every)
    except ValueError as error:
        return str(error)
    value = float(found.predict(point)[0])
    if not np.isfinite(value) or not found.uncertainty(point) < np.inf:
        return "its prediction is not finite"
    if not chance <= value <= 1:
        return f"it says {value:.3f}, outside {chance:g} to 1"
    return found, value


def contending(
    trials: Sequence[Trial],
    good: Sequence[bool],
    readings: dict[str, Reading],
    point: pd.DataFrame,
    chance: float,
    known: Known,
) -> list[Contender]:
    """Routes as good as the chosen one, which comes first, on all their rows, with their shares of the draws."""
    kept = []
    for trial, fine in zip(trials, good, strict=True):
        if not fine:
            continue
        if any(len(stage.rows) > len(stage.few) for stage in trial.route.stages):
            whole = read(trial.route, point, chance, known, every=True)
            readings[trial.name] = readings[trial.name] if isinstance(whole, str) else whole
        kept.append(trial)
    parts = shares([trial.error for trial in kept])
    return [Contender(one, *readings[one.name], float(part)) for one, part in zip(kept, parts, strict=True)]


def rivals_of(
    trials: Sequence[Trial],
    contenders: Sequence[Contender],
    readings: dict[str, Reading],
    refused: dict[str, str],
) -> list[Rival]:
    """All laws: tested ones by error, then those that could not be."""
    part = {one.trial.name: one.share for one in contenders}
    found = [
        Rival(trial.name, trial.mre, trial.mae, readings[trial.name][1], trial.name in part, part.get(trial.name, 0.0),
              None if trial.name in part else "errs more")
        for trial in sorted(trials, key=lambda trial: trial.error)
    ]  # fmt: skip
    return found + [Rival(name, None, None, None, False, 0.0, why) for name, why in refused.items()]


def undecided(seen: Benchmark, asked: Asked, reach: float, went: float, width: float, widest: float) -> str | None:
    """Why the rows cannot answer for this run, or None."""
    if reach > went**2 and reach > 1.01:
        return (
            f"not decidable: the run lies {reach:.3g} times beyond the rows, and tests on held-out runs went "
            f"{went:.3g} times beyond, which speaks for {went**2:.3g} times at most"
        )
    if (why := ratio_problem(seen, asked)) is not None:
        return f"not decidable: {why}"
    if width > widest:
        return f"not decidable: the interval is {width:.2f} wide, more than {widest:g}"
    return None


def sentence(contenders: Sequence[Contender], reach: float, went: float) -> str:
    """How the answer was reached, and how far it reaches."""
    first, others = contenders[0], contenders[1:]
    error = f"{100 * first.trial.mre:.2g} %" if first.trial.mre is not None else f"{first.trial.mae:.2g}"
    text = f"{first.trial.name}, off by {error} on the largest runs held out"
    if others:
        text += f"; {len(others)} other law{'s' * (len(others) > 1)} as good there"
    if reach <= 1.01:
        return f"{text}; within the range of the rows"
    if reach <= 1.01 * went:
        return f"{text}; {reach:.3g} times beyond the rows, which tests on held-out runs covered"
    return f"{text}; {reach:.3g} times beyond the rows, and tests on held-out runs went {went:.3g} times: unchecked"


def remedy(seen: Benchmark, asked: Asked, reach: float) -> str:
    """The run that would tell most for its price: half way, in doublings, from the rows to the asked run."""
    if reach <= 1.01:
        return "more runs near the asked one, which is within the range of the rows"
    beyond = {name: max(factor, 1.0) for name, factor in seen.factors(asked).items()}
    if asked.params is not None and asked.tokens is not None:
        size, text = (asked.of(name) / beyond[name] ** 0.5 for name in ("params", "tokens"))
        size, text = float(f"{size:.2g}"), float(f"{text:.2g}")
        flops = 6 * size * text
        return f"a run of {short(size)} params on {short(text)} tokens, half way, at {flops:.2g} FLOPs (6 N D)"
    return f"a run of {asked.flops / beyond['flops'] ** 0.5:.2g} FLOPs, half way to the asked one"
