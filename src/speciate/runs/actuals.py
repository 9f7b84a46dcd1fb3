"""What runs were estimated to take and what they took: a log, and the correction that it gives later estimates.

Runs of one launch share a machine and an hour, so they are one observation, not many: with E_j and A_j the estimated
and actual seconds of all runs of launch j, r_j = ln(A_j / E_j), j = 1..n. The model is normal with a prior,

    r_j = m + e_j,   e_j ~ N(0, s^2),   m ~ N(0, PRIOR^2),   s^2 ~ scaled inverse chi^2(WEIGHT, USUAL^2)
    v = (WEIGHT USUAL^2 + sum_j (r_j - mean r)^2) / (WEIGHT + n - 1)
    w = n PRIOR^2 / (n PRIOR^2 + v)

and the next launch takes exp(w mean r + sqrt((1 - w) PRIOR^2 + v) t) times its estimate, t being Student's with
WEIGHT + n - 1 degrees of freedom: a shrunk geometric mean of the ratios, and an interval that is wide while launches
are few. (v in the place of s^2 in w is an approximation; of 200,000 draws from the model the interval held 90 % at
every n from 1 to 8.)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.storage import canonical_json, write_atomic

PRIOR = math.log(2)  # (assumption: two estimates in three are within a factor of two)
USUAL, WEIGHT = 0.15, 4  # (assumption: launches on one machine differ by 15 %, worth four launches of evidence)
SHORTEST, LONGEST = 1e-3, 1e11  # seconds of a run in a log: anything else is a slip of the keyboard


@dataclass(frozen=True)
class Actual:
    """One finished run, or one node of a tree: estimated (uncorrected) and actual seconds.

    Runs with the same ``launch`` were trained side by side. ``device`` and ``model`` are names for a person.
    """

    name: str
    launch: str
    device: str
    model: str
    estimated_seconds: float
    actual_seconds: float


@dataclass(frozen=True)
class Correction:
    """What to multiply an estimate by: ``factor``, and its 90 % interval; from ``runs`` in ``launches``."""

    low: float
    factor: float
    high: float
    runs: int
    launches: int

    def told(self) -> str:
        """Where the correction comes from, for a person.

        >>> Correction(0.85, 1.2, 1.7, 12, 1).told()
        'corrected by 1.2 (0.85 to 1.7), from what 12 runs in 1 launch took against their estimates'
        """
        runs = f"{self.runs} run{'s' if self.runs != 1 else ''}"
        launches = f"{self.launches} launch{'es' if self.launches != 1 else ''}"
        spread = f"{self.low:.2g} to {self.high:.2g}"
        return f"corrected by {self.factor:.3g} ({spread}), from what {runs} in {launches} took against their estimates"

    def to_json(self) -> dict[str, float | int]:
        return asdict(self)


def correction(log: Sequence[Actual]) -> Correction | None:
    """The correction that finished runs give later estimates, as in the module's formula; None without any.

    >>> once = correction([Actual("a", "first", "H100", "7B", 100.0, 200.0)])
    >>> [round(x, 2) for x in (once.low, once.factor, once.high)]
    [1.24, 1.94, 3.03]
    """
    if not log:
        return None
    launches: dict[str, tuple[float, float]] = {}
    for run in log:
        estimated, actual = launches.get(run.launch, (0.0, 0.0))
        launches[run.launch] = estimated + run.estimated_seconds, actual + run.actual_seconds
    ratios = [math.log(actual / estimated) for estimated, actual in launches.values()]
    n, mean = len(ratios), sum(ratios) / len(ratios)
    variance = (WEIGHT * USUAL**2 + sum((ratio - mean) ** 2 for ratio in ratios)) / (WEIGHT + n - 1)
    share = n * PRIOR**2 / (n * PRIOR**2 + variance)
    half = _student(WEIGHT + n - 1) * math.sqrt((1 - share) * PRIOR**2 + variance)
    low, factor, high = (math.exp(share * mean + step) for step in (-half, 0.0, half))
    return Correction(low, factor, high, len(log), n)


def _student(degrees: int) -> float:
    """The .95 quantile of Student's t (Abramowitz and Stegun 26.7.5; within .1 % from 4 degrees of freedom on).

    >>> [round(_student(degrees), 3) for degrees in (4, 10, 1000)]  # in tables: 2.132, 1.812, 1.646
    [2.13, 1.812, 1.646]
    """
    z = 1.6448536269514722  # the normal distribution's
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def read_actuals(path: Path) -> list[Actual]:
    """The log: one JSON object per line; empty when the file does not exist. UserError names every line at fault."""
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a name may hold other breaks
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(Problem(f"cannot be read ({error})", str(path), "give a log of actuals (JSON lines)")) from None
    found, problems = [], []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            run, wrong = _parsed(line, f"{path} line {number}")
            found += run
            problems += wrong
    if problems:
        raise UserError(problems)
    return found


def append_actuals(path: Path, runs: Iterable[Actual]) -> None:
    """Add runs to the log; the file is replaced whole, and a run that is in it already (by name) is replaced."""
    added = {run.name: run for run in runs}
    kept = [run for run in read_actuals(path) if run.name not in added]
    write_atomic(path, "".join(f"{canonical_json(asdict(run))}\n" for run in [*kept, *added.values()]))


def _parsed(line: str, where: str) -> tuple[list[Actual], list[Problem]]:
    fix = "write it as speciate does, or remove the line"
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return [], [Problem("is no JSON", where, fix)]
    names = [field.name for field in fields(Actual)]
    if not isinstance(value, dict):
        return [], [Problem(f"is a JSON {type(value).__name__}, not an object", where, fix)]
    problems = [Problem(f"{name} is missing", where, fix) for name in names if name not in value]
    for name in names[:4]:
        if name in value and not isinstance(value[name], str):
            problems.append(Problem(f"{name} is {value[name]!r}", where, "use text"))
    for name in names[4:]:
        if name in value and not is_duration(value[name]):
            problems.append(
                Problem(f"{name} is {value[name]!r}", where, f"use seconds from {SHORTEST:g} to {LONGEST:g}")
            )
    return ([] if problems else [Actual(**{name: value[name] for name in names})]), problems


def is_duration(value: Any) -> bool:
    """Whether a log may hold it: a number of seconds from SHORTEST to LONGEST."""
    return isinstance(value, int | float) and not isinstance(value, bool) and SHORTEST <= value <= LONGEST
