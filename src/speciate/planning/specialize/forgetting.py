"""What specialising costs elsewhere: perplexity on general exams at the checkpoint each regime would be used at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from speciate.planning.specialize.curves import Curve, Names, curves_of, rows_of
from speciate.planning.specialize.minimum import Minimum

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Forgetting:
    """Perplexities of one general set at each regime's checkpoint, and specialised minus general.

    ``role``: "original" (close to what the starting model was trained on) or "new". ``params`` None: the mean over
    sizes. ``pairs``: differences of runs with the same seed behind it, 0 where only means could be compared.
    ``start``: of the starting model. None is unknown.
    """

    eval_on: str
    role: Literal["original", "new"]
    params: float | None
    general: float | None
    specialized: float | None
    start: float | None
    difference: float | None
    low: float | None
    high: float | None
    pairs: int

    def to_json(self) -> dict[str, Any]:
        """All of it; ``forgotten`` is specialised minus start, above 0 where the starting model was better."""
        forgotten = None if self.specialized is None or self.start is None else self.specialized - self.start
        return {**vars(self), "params": None if self.params is None else round(self.params), "forgotten": forgotten}


def forgetting(
    table: pd.DataFrame, names: Names, minima: Mapping[tuple[float, str], Minimum], sizes: Sequence[float],
    level: float,
) -> tuple[tuple[Forgetting, ...], list[pd.DataFrame]]:  # fmt: skip
    """For every general set that was named: each size, then the mean over sizes; and the rows that were read."""
    found: list[Forgetting] = []
    read = []
    roles: list[tuple[Literal["original", "new"], str | None]] = [("original", names.original), ("new", names.new)]
    for role, eval_on in roles:
        if eval_on is not None:
            rows = rows_of(table, eval_on, names)
            read.append(rows)
            found += _on_set(rows, eval_on, role, names, minima, sizes, level)
    return tuple(found), read


def _on_set(
    rows: pd.DataFrame, eval_on: str, role: Literal["original", "new"], names: Names,
    minima: Mapping[tuple[float, str], Minimum], sizes: Sequence[float], level: float,
) -> list[Forgetting]:  # fmt: skip
    curves = curves_of(rows, names)
    paired = {size: _differences(curves, names, minima, size) for size in sizes}
    seen = [values for values, _, _, _ in paired.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in seen)
    sd = float(np.sqrt(sum(np.var(v, ddof=1) * (len(v) - 1) for v in seen) / freedom)) if freedom else None
    found = []
    for size in sizes:
        values, general, specialized, pairs = paired[size]
        curve = curves.get((size, names.general)) or curves.get((size, names.specialized))
        middle = float(np.mean(values)) if len(values) else None
        half = None
        if middle is not None and sd is not None and pairs:
            half = float(stdtrit(freedom, (1 + level) / 2)) * sd / np.sqrt(pairs)
        elif middle is not None:
            half = _by_stderr(rows, names, minima, size, level)
        found.append(
            Forgetting(eval_on, role, size, general, specialized, None if curve is None else curve.start,
                       middle, *_ends(middle, half), pairs)
        )  # fmt: skip
    return [*found, *_over_sizes(found, eval_on, role, level)]


def _differences(
    curves: Mapping[tuple[float, str], Curve], names: Names, minima: Mapping[tuple[float, str], Minimum], size: float
) -> tuple[Array, float | None, float | None, int]:
    """Specialised minus general by pair of runs of one seed (or of the means), both means, and how many pairs."""
    pair = [curves.get((size, regime)) for regime in names.regimes]
    general, specialized = pair
    if general is None or specialized is None:
        return np.zeros(0), None, None, 0
    at = [curve.run_perplexities(minima[size, curve.regime].checkpoint) for curve in (general, specialized)]
    means = [float(np.nanmean(values)) if np.isfinite(values).any() else None for values in at]
    by_seed = [
        {seed: value for seed, value in zip(curve.seeds, values, strict=True) if seed is not None and value == value}
        for curve, values in zip((general, specialized), at, strict=True)
    ]
    shared = sorted(by_seed[0].keys() & by_seed[1].keys())
    if shared:
        differences = np.array([by_seed[1][seed] - by_seed[0][seed] for seed in shared])
        return differences, means[0], means[1], len(shared)
    if means[0] is None or means[1] is None:
        return np.zeros(0), means[0], means[1], 0
    return np.array([means[1] - means[0]]), means[0], means[1], 0


def _by_stderr(
    rows: pd.DataFrame, names: Names, minima: Mapping[tuple[float, str], Minimum], size: float, level: float
) -> float | None:
    """Half an interval from the rows' standard errors; wide, since questions in common are not counted as such."""
    if "stderr" not in rows.columns:
        return None
    total = 0.0
    for regime in names.regimes:
        here = (rows["params"] == size) & (rows["train_on"] == regime)
        own = rows[here & (rows["tokens"] == minima[size, regime].checkpoint)]["stderr"].dropna()
        if own.empty:
            return None
        total += float((own**2).sum()) / len(own) ** 2
    return float(ndtri((1 + level) / 2) * np.sqrt(total))


def _over_sizes(
    found: Sequence[Forgetting], eval_on: str, role: Literal["original", "new"], level: float
) -> list[Forgetting]:
    """The mean over sizes, with the t interval of sizes as its independent parts."""
    known = [one for one in found if one.difference is not None]
    if len(known) < 2:
        return []
    values = np.array([one.difference for one in known], dtype=float)
    half = float(stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    starts = [one.start for one in known]
    middle = float(values.mean())
    return [
        Forgetting(
            eval_on, role, None,
            float(np.mean([one.general for one in known if one.general is not None])),
            float(np.mean([one.specialized for one in known if one.specialized is not None])),
            None if None in starts else float(np.mean([start for start in starts if start is not None])),
            middle, *_ends(middle, half), sum(one.pairs for one in known),
        )
    ]  # fmt: skip


def _ends(middle: float | None, half: float | None) -> tuple[float | None, float | None]:
    return (None, None) if middle is None or half is None else (middle - half, middle + half)
