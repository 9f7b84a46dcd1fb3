"""Continuing each size's starting model on general text, on filtered text, or on a mixture of the two.

The curves, and the draws of how wrong they may be, are those of ``planning.mixture``: all ratios of a size are drawn
together, since they share a starting model and their trunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import NotDecidable
from speciate.laws.mixture_domain import MIXTURE_DOMAIN
from speciate.laws.repetition import PUBLISHED, effective
from speciate.planning.decide.across import Spread, across_sizes
from speciate.planning.decide.ledger import Ledger
from speciate.planning.decide.question import Question
from speciate.planning.mixture.critical import fit_ratio_law, ratio_law
from speciate.planning.mixture.curves import GENERAL_SHAPES, Bend, Shape
from speciate.planning.mixture.forecast import misfit_draws
from speciate.planning.mixture.levels import Levels, build_levels
from speciate.planning.mixture.observations import observe

Array = NDArray[np.float64]
LASTING = np.array([PUBLISHED[5]])  # repeats after which a token of text is worth 1/e (Muennighoff et al. 2305.16264)
ALIKE = 0.995  # of its tokens a run must have been new for it to have repeated nothing
LEAST = 3  # ratios that the law between ratios needs
# A starting model may know more of the domain than the pilots teach, and its curve then bends late: fewer starts than
# plan mixture tries, and offsets beyond its own. Backtests choose. In 16 simulated studies, filtered runs of 7.6 times
# their pilots were predicted .22 nats wrong (RMS) without the late ones, .02 with them.
KNOWN = (0.125, 0.25, 0.5, 1.0, 2.0)  # as a share of the longest pilot
BENDS: tuple[Bend, ...] = ("own", "shared", "fixed")
SHAPES = (
    *(Shape(MIXTURE_DOMAIN, bend, 1 / 8) for bend in BENDS),
    *(Shape(MIXTURE_DOMAIN, "shared", start, 0.0, known) for start in (1 / 16, 1 / 4) for known in KNOWN),
)


@dataclass(frozen=True, eq=False)
class Surface:
    """One measured set of one size: losses at any tried or interpolated ratio, and any tokens.

    ``level``: loss of the starting model, added to every change (0 for forgetting). ``off`` (B,): the error of the law
    between ratios, in ranges of the losses it spans. ``unique``: tokens of domain text that the runs repeated, so that
    their shares are worth less than their ratios; None: they repeated nothing, or it does not matter here.
    """

    levels: Levels
    level: float
    off: Array | None
    unique: float | None = None

    def at(self, ratios: Array, tokens: Array) -> Spread:
        """Expected losses (R,) at ratios (R,), each after its own tokens (R,), and their draws (B, R).

        Ratios outside those tried count as the nearest one.
        """
        grid, column = np.unique(tokens, return_inverse=True)
        worth = shares_worth(self.levels.ratios, grid, self.unique)
        ratios = np.clip(ratios, worth.min(axis=0)[column], worth.max(axis=0)[column])
        value = self._across(ratios, column, worth, self.levels.means(grid)[None], None)[0]
        drawn = None
        if self.levels.noise is not None:
            drawn = self.level + self._across(ratios, column, worth, self.levels.mean_draws(grid), self.off)
        return Spread(self.level + value, drawn)

    def noise(self, tokens: float) -> Array | None:
        """Standard deviations (B,) of one run's measurement about what is expected of it: its seed, and jitter."""
        drawn = self.levels.noise
        if drawn is None:
            return None
        return np.asarray(np.hypot(drawn.run_sd * self.levels.growth(np.array([tokens])), drawn.jitter_sd), dtype=float)

    def _across(self, ratios: Array, column: NDArray[np.int_], worth: Array, losses: Array, off: Array | None) -> Array:
        """Losses (B, n, G) of shares ``worth`` (n, G) at G token counts -> (B, R), a column of G for each ratio."""
        found = np.empty((len(losses), len(ratios)))
        near = np.abs(ratios[:, None] - worth.T[column]) < 1e-9
        for i in np.flatnonzero(near.any(axis=1)):
            found[:, i] = losses[:, int(np.argmax(near[i])), column[i]]
        between = np.flatnonzero(~near.any(axis=1))
        for g in np.unique(column[between]):
            here = between[column[between] == g]
            c, k, s = fit_ratio_law(worth[:, g], losses[:, :, g])
            found[:, here] = ratio_law(c[:, None], k[:, None], s[:, None], ratios[here])
            if off is not None:
                found[:, here] += (off * np.ptp(losses[:, :, g], axis=1))[:, None]
        return found


@dataclass(frozen=True, eq=False)
class Continued:
    """All sizes: surfaces on the domain and of forgetting, by params; the longest pilot of each, in tokens."""

    domain: Mapping[float, Surface]
    general: Mapping[float, Surface]
    longest: Mapping[float, float]
    first: Mapping[float, float]

    def reach(self, params: float, tokens: float) -> float:
        """How many times the longest pilot that is; of an untried size, the longest that every size has."""
        return tokens / self.longest.get(params, min(self.longest.values()))

    def noise(self, params: float, tokens: float) -> tuple[Array | None, Array | None]:
        """``Surface.noise`` on the domain and on the general set; of an untried size, of the nearest one."""
        size = min(self.domain, key=lambda tried: abs(np.log(tried / params)))
        return self.domain[size].noise(tokens), self.general[size].noise(tokens)

    def ratios(self, params: float) -> Array:
        """Tried at a size; at an untried size, what every size can tell."""
        known = [self.domain[params]] if params in self.domain else list(self.domain.values())
        common = set(known[0].levels.ratios.tolist())
        for one in known[1:]:
            common &= set(one.levels.ratios.tolist())
        return np.array(sorted(common))

    def at(self, params: float, ratios: Array, tokens: Array, question: Question) -> tuple[Spread, Spread]:
        """Domain loss and forgetting (R,) each, of runs with these ratios and tokens (R,)."""
        counted, shares = fresh(tokens, ratios, question.unique_tokens)
        seed = question.seed
        if params in self.domain:
            return self.domain[params].at(shares, counted), self.general[params].at(ratios, tokens)
        sizes = np.array(list(self.domain))
        losses = [self.domain[size].at(shares, counted) for size in sizes]
        changes = [self.general[size].at(ratios, tokens) for size in sizes]
        return across_sizes(sizes, losses, params, seed), across_sizes(sizes, changes, params, seed + 1)


def continued_from(ledger: Ledger, tokens: Mapping[float, float], question: Question) -> Continued:
    """The curves of every size, drawn for the ``tokens`` that each can afford.

    Raises NotDecidable where no run is a curve, UserError for a faulty table.
    """
    if ledger.general is None:
        raise NotDecidable("no row is measured on a general set", "evaluate the runs on general text and name it")
    if not (ledger.continued["domain_ratio"].notna() & (ledger.continued["tokens"] > 0)).any():
        reason = "no run has a domain_ratio"
        raise NotDecidable(reason, "continue the starting model on general and on domain text, with six checkpoints")
    unique = None if told_fresh(ledger) else question.unique_tokens
    seen = observe(without_repeats(ledger, unique), ledger.general, ledger.domain)
    most = [question.reach * size.longest for size in seen.sizes]
    wanted = [max(tokens.get(float(size.params), 0.0), size.longest) for size in seen.sizes]
    horizons = [min(pair) for pair in zip(wanted, most, strict=True)]  # what lies beyond is not considered
    rng, other = (np.random.default_rng([question.seed, i]) for i in (0, 1))
    generals = build_levels(GENERAL_SHAPES, [s.general for s in seen.sizes], horizons, rng, question.draws)[0]
    domains = build_levels(SHAPES, [s.domain for s in seen.sizes], horizons, other, question.draws)[0]
    off = [error(misfit_draws(levels, horizons, rng), rng) for levels in (generals, domains)]
    sizes = [float(size.params) for size in seen.sizes]
    starts = [start_of(levels) for levels in domains]
    return Continued(
        {size: Surface(one, start, off[1], unique) for size, one, start in zip(sizes, domains, starts, strict=True)},
        {size: Surface(one, 0.0, off[0]) for size, one in zip(sizes, generals, strict=True)},
        {size: one.longest for size, one in zip(sizes, generals, strict=True)},
        {size: one.first for size, one in zip(sizes, generals, strict=True)},
    )


def without_repeats(ledger: Ledger, unique: float | None) -> pd.DataFrame:
    """The continued rows, those on the domain with the tokens that ``fresh`` counts: pilots may repeat text already."""
    rows = ledger.continued
    if unique is None:
        return rows
    counted, _ = fresh(rows["tokens"].to_numpy(float), rows["domain_ratio"].fillna(0.0).to_numpy(float), unique)
    return rows.assign(tokens=np.where(rows["eval_on"] == ledger.domain, counted, rows["tokens"]))


def told_fresh(ledger: Ledger) -> bool:
    """Whether the column unique_tokens says of every run that it repeated nothing."""
    trained = ledger.continued[ledger.continued["tokens"] > 0]
    if "unique_tokens" not in trained.columns:
        return False
    return bool((trained["unique_tokens"] >= ALIKE * trained["tokens"]).all())


def repeating(ledger: Ledger, unique: float | None) -> int:
    """How many runs are taken to have repeated domain text: they read more of it than ``unique`` tokens."""
    rows = ledger.continued
    if unique is None or told_fresh(ledger):
        return 0
    return int(rows.loc[rows["tokens"] * rows["domain_ratio"].fillna(0.0) > unique, "run"].nunique())


def shares_worth(ratios: Array, counted: Array, unique: float | None) -> Array:
    """Shares (n, G) that runs of ratios (n,) are worth to the domain where ``fresh`` counts these tokens (G,) of them.

    The tokens T that it counts so are bisected between those counted and those whose general text alone is as many.

    >>> counted, share = fresh(np.array([8e9]), np.array([0.25]), 1e8)
    >>> bool(np.allclose(shares_worth(np.array([0.25]), counted, 1e8), share))
    True
    """
    share, counted = np.broadcast_arrays(ratios[:, None], counted)
    if unique is None:
        return np.array(share)
    low, high = counted, counted / np.maximum(1.0 - share, 1e-9)
    for _ in range(60):
        middle = (low + high) / 2
        much = fresh(middle.ravel(), share.ravel(), unique)[0].reshape(share.shape) > counted
        low, high = np.where(much, low, middle), np.where(much, middle, high)
    return np.where(share < 1.0, np.clip(1.0 - (1.0 - share) * low / counted, 0.0, 1.0), 1.0)


def error(misfit: Array | None, rng: np.random.Generator) -> Array | None:
    """One draw of the ratio law's error for all ratios, sizes and tokens: errors of a law persist."""
    return None if misfit is None else np.asarray(misfit * rng.standard_normal(len(misfit)))


def start_of(levels: Levels) -> float:
    """Loss of the starting model, the mean where there are several."""
    starts = {curve.trunk: curve.start for curve in levels.curves}
    return float(np.mean(list(starts.values())))


def fresh(tokens: Array, ratios: Array, unique: float | None) -> tuple[Array, Array]:
    """The run without repeats that is worth as much to the domain: its tokens and its share of domain text, (n,) each.

    Of ``tokens`` a share ``ratios`` is domain text, of which ``unique`` tokens exist. What repeats counts for less
    (Muennighoff et al. 2305.16264, R* = 15.39), the general text counts in full. The one place that knows repetition.

    >>> tokens, ratios = fresh(np.array([8e9, 8e9]), np.array([0.25, 1.0]), 1e9)
    >>> (tokens / 1e9).round(2), ratios.round(3)
    (array([7.97, 6.62]), array([0.247, 1.   ]))
    """
    domain = tokens * ratios
    if unique is None:
        return tokens, ratios
    worth = effective(np.full_like(domain, unique), np.maximum(domain / unique - 1.0, 0.0), LASTING)
    worth = np.where(domain > unique, worth, domain)
    whole = tokens - domain + worth
    return whole, np.where(domain > unique, worth / np.maximum(whole, 1.0), ratios)
