"""The runs that could be bought for a mixture decision: what each would measure, and what it costs on top of the tree.

A new seed starts from a model that exists; a run that is carried on has its first tokens for nothing. What it would
measure is read at its end only, so what it tells on the way there is a bonus that is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.planning.mixture.critical import fit_ratio_law, ratio_law
from speciate.planning.mixture.decision import Basis
from speciate.planning.mixture.levels import Levels
from speciate.planning.mixture.remedy import next_seed
from speciate.planning.next.cost import Schedule, marginal_flops
from speciate.planning.next.decision import Candidate
from speciate.planning.next.value import Outcome
from speciate.planning.words import short

Array = NDArray[np.float64]
LEAST_RATIO = 0.01
REPEATS = (1, 2, 4)  # seeds bought at once: one alone may say little
APART = 0.02  # in ratio, between candidates
MOST_RATIOS = 8  # tried ratios that are candidates, those nearest to the critical one


def floor_of(levels: Levels) -> float:
    """The ratio below which the ratio law is held constant: it may part towards 0, and nothing was measured there."""
    return max(float(levels.ratios[0]) / 2, LEAST_RATIO)


@dataclass(frozen=True)
class Losses:
    """One size on one evaluation set: expected changes (nats/token) in every draw at any ratio and token count."""

    levels: Levels
    misfit: Array | None

    def at(self, ratios: Array, tokens: float, trunk: str | None = None) -> Array:
        """(B, len(ratios)): of a tried ratio its own draws, between them the ratio law with its own error."""
        tried = self.levels.mean_draws(np.array([tokens]), trunk)[:, :, 0]
        found = self.along(ratios, tried) + self.margin(tried)[:, None]
        for i, ratio in enumerate(ratios):
            same = np.flatnonzero(np.abs(self.levels.ratios - ratio) < 1e-9)
            if len(same):
                found[:, i] = tried[:, same[0]]
        return found

    def along(self, ratios: Array, tried: Array) -> Array:
        """The ratio law through draws (B, n) of the tried ratios."""
        c, k, s = fit_ratio_law(self.levels.ratios, tried)
        return ratio_law(c[:, None], k[:, None], s[:, None], np.maximum(ratios, floor_of(self.levels)))

    def margin(self, tried: Array) -> Array:
        """The ratio law's own error (B,), the same draws that the interval of the critical ratio has."""
        if self.misfit is None:
            return np.zeros(len(tried))
        normal = np.random.default_rng(len(self.misfit)).standard_normal(len(self.misfit))
        return np.asarray(self.misfit * normal * np.ptp(tried, axis=1))


@dataclass(frozen=True)
class Shop:
    """One size's runs that could be bought. ``seed_tokens``: of the starting model, None where the rows do not say."""

    params: int
    basis: Basis
    horizon: float
    schedule: Schedule
    seed_tokens: float | None

    @property
    def general(self) -> Levels:
        return self.basis.general

    def sets(self) -> tuple[Losses, Losses]:
        """The two evaluation sets."""
        return (
            Losses(self.basis.general, self.basis.misfit_general),
            Losses(self.basis.domain, self.basis.misfit_domain),
        )

    def fresh(self, ratios: Array, tokens: float, trunk: str | None, new_trunk: bool = False) -> list[Outcome]:
        """What a new seed measures at its end: its set's expectation, with run-to-run noise and jitter."""
        parts = []
        for losses in self.sets():
            noise = losses.levels.noise
            assert noise is not None, "a size without replicates has no draws"
            growth = losses.levels.growth(np.array([tokens]))[0]
            trunk_sd = float(np.sqrt(np.mean(noise.trunks**2))) if new_trunk else 0.0
            sd = np.sqrt((noise.run_sd**2 + trunk_sd**2) * growth**2 + noise.jitter_sd**2)
            parts.append((losses.at(ratios, tokens, trunk), sd))
        return [
            Outcome(np.stack([mean[:, i] for mean, _ in parts], 1), np.stack([sd for _, sd in parts], 1))
            for i in range(len(ratios))
        ]

    def carried_on(self, runs: list[int], tokens: float) -> list[Outcome]:
        """What runs of the table measure when they go on to ``tokens``: their own luck is known, jitter is not."""
        drawn, sds = [], []
        for losses in self.sets():
            assert losses.levels.noise is not None, "a size without replicates has no draws"
            drawn.append(losses.levels.run_draws(np.array([tokens]), runs)[:, :, 0])
            sds.append(losses.levels.noise.jitter_sd)
        sd = np.stack(sds, axis=1)
        return [Outcome(np.stack([one[:, i] for one in drawn], axis=1), sd) for i in range(len(runs))]


def offered(shop: Shop) -> list[Candidate]:
    """New seeds at tried and untried ratios (as long as the longest pilot, and as the horizon), and runs carried on."""
    levels = shop.general
    tried, untried = ratios_of_interest(shop.basis)
    ratios = np.concatenate([tried, untried])
    lengths = sorted({min(levels.longest, shop.horizon), shop.horizon})
    if lengths[-1] <= 1.01 * lengths[0]:
        lengths = lengths[:1]
    trunks: list[str | None] = [None]
    if len(levels.trunks) > 1:  # the trunk with most runs, and the one that least is known of
        counts = np.bincount(levels.trunk_of, minlength=len(levels.trunks))
        trunks = [levels.trunks[i] for i in dict.fromkeys([int(np.argmax(counts)), int(np.argmin(counts))])]
    found = []
    for tokens in lengths:
        for trunk in trunks:
            found += _new_seeds(shop, ratios, tokens, trunk, new_trunk=False)
        if len(levels.trunks) > 1 and shop.seed_tokens is not None:
            found += _new_seeds(shop, ratios, tokens, None, new_trunk=True)
    return found if shop.schedule == "cosine" else found + _longer(shop, tried)


def ratios_of_interest(basis: Basis) -> tuple[Array, Array]:
    """Tried ratios nearest to the critical one, and untried ones spread over where it may be."""
    assert basis.draws is not None, "a size without replicates has no draws"
    tried = np.asarray(basis.general.ratios)
    middle = float(np.median(basis.draws))
    near = np.sort(tried[np.argsort(np.abs(tried - middle))[:MOST_RATIOS]])
    new: list[float] = []
    for ratio in np.round(np.quantile(basis.draws, [0.05, 0.25, 0.5, 0.75, 0.95]), 2):
        if 0 < ratio <= 1 and np.abs(np.concatenate([tried, new]) - ratio).min() >= APART:
            new.append(float(ratio))
    return near, np.array(new)


def _new_seeds(shop: Shop, ratios: Array, tokens: float, trunk: str | None, *, new_trunk: bool) -> list[Candidate]:
    found = []
    for ratio, outcome in zip(ratios, shop.fresh(ratios, tokens, trunk, new_trunk), strict=True):
        for repeats in REPEATS if not new_trunk else (1,):
            found.append(new_seed(shop, float(ratio), tokens, trunk, new_trunk, repeats, outcome.times(repeats)))
    return found


def new_seed(
    shop: Shop,
    ratio: float,
    tokens: float,
    trunk: str | None,
    new_trunk: bool,
    repeats: int,
    outcome: Outcome | None,
    seed: int | None = None,
) -> Candidate:
    """The candidate of ``repeats`` new seeds at one ratio and length."""
    flops = repeats * marginal_flops(shop.params, tokens)
    if new_trunk:
        flops += marginal_flops(shop.params, shop.seed_tokens or 0.0)
    seeds = "one more seed" if repeats == 1 else f"{repeats} more seeds"
    known = bool(np.abs(shop.general.ratios - ratio).min() < 1e-9)
    where = " from a new starting model" if new_trunk else "" if trunk is None else f" from {trunk}"
    what = seeds if known else "a new ratio" if repeats == 1 else f"{repeats} seeds of a new ratio"
    return Candidate(
        spec={"params": shop.params, "domain_ratio": ratio, "tokens": int(round(tokens)),
              "seed": next_seed(shop.general) if seed is None else seed, "repeats": repeats, "continues": None,
              "trunk": trunk, "new_trunk": new_trunk},
        text=f"{what}: {short(shop.params)} params, domain ratio {ratio:g}, {short(tokens)} tokens{where}",
        flops=flops,
        outcome=outcome,
    )  # fmt: skip


def _longer(shop: Shop, tried: Array) -> list[Candidate]:
    """For every ratio, the run that has come farthest short of the horizon, carried on to it."""
    levels = shop.general
    runs = []
    for ratio in tried:
        own = [i for i, curve in enumerate(levels.curves) if curve.domain_ratio == ratio]
        unfinished = [i for i in own if levels.curves[i].measured[1] * 1.01 < shop.horizon]
        if unfinished:
            runs.append(max(unfinished, key=lambda i: levels.curves[i].measured[1]))
    return [carried(shop, run, shop.horizon, outcome) for run, outcome in zip(runs, _go_on(shop, runs), strict=True)]


def _go_on(shop: Shop, runs: list[int]) -> list[Outcome]:
    return shop.carried_on(runs, shop.horizon) if runs else []


def carried(shop: Shop, run: int, tokens: float, outcome: Outcome | None) -> Candidate:
    """The candidate of one run of the table that goes on to ``tokens``."""
    curve = shop.general.curves[run]
    done = curve.measured[1]
    return Candidate(
        spec={"params": shop.params, "domain_ratio": curve.domain_ratio, "tokens": int(round(tokens)),
              "seed": curve.seed, "repeats": 1, "continues": curve.run, "trunk": curve.trunk, "new_trunk": False},
        text=f"carry {curve.run} on from {short(done)} to {short(tokens)} tokens: {short(shop.params)} params, "
        f"domain ratio {curve.domain_ratio:g}",
        flops=marginal_flops(shop.params, tokens, done=done, schedule=shop.schedule),
        outcome=outcome,
    )  # fmt: skip


LISTED = ("domain_ratio", "tokens")  # columns that a list of candidates has to have


def listed(shop: Shop, table: pd.DataFrame) -> list[Candidate]:
    """Candidates of a user's list: domain_ratio, tokens; where given params, seed, trunk, and ``run`` to carry one on.

    A row whose ``run`` is one of the rows' is that run, carried on. Raises UserError for every row that cannot be run.
    """
    levels = shop.general
    names = {curve.run: i for i, curve in enumerate(levels.curves)}
    found: list[Candidate] = []
    problems: list[Problem] = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        where = f"candidate {number}"
        bad = _faults(shop, row, names, where)
        if bad:
            problems += bad
            continue
        tokens, run = float(row["tokens"]), names.get(str(row.get("run")))
        if run is not None:
            found.append(carried(shop, run, tokens, shop.carried_on([run], tokens)[0]))
            continue
        ratio = float(row["domain_ratio"])
        trunk = str(row["trunk"]) if str(row.get("trunk")) in levels.trunks and len(levels.trunks) > 1 else None
        seed = row.get("seed")
        outcome = shop.fresh(np.array([ratio]), tokens, trunk)[0]
        found.append(new_seed(shop, ratio, tokens, trunk, False, 1, outcome, None if pd.isna(seed) else int(seed)))
    if problems:
        raise UserError(problems)
    return found


def _faults(shop: Shop, row: dict[str, Any], names: dict[str, int], where: str) -> list[Problem]:
    """All that keeps a row of the list from being a run of this size."""
    problems = []
    params, ratio, tokens = row.get("params"), row["domain_ratio"], row["tokens"]
    if params is not None and not pd.isna(params) and round(params) != shop.params:
        fix = f"list runs of {shop.params:,} params, or ask for this size with --params"
        problems.append(Problem(f"it has {params:,.0f} params", where, fix))
    if not 0 < ratio <= 1:
        problems.append(Problem(f"domain_ratio is {ratio:g}", where, "give a share above 0, at most 1"))
    if not tokens > 0:
        problems.append(Problem(f"tokens is {tokens:g}", where, "give tokens above 0"))
    run = names.get(str(row.get("run")))
    if run is not None:
        curve = shop.general.curves[run]
        if shop.schedule == "cosine":
            what = f"run {curve.run} cannot be carried on under a cosine schedule"
            problems.append(Problem(what, where, "give the new run a new name, or say --schedule constant"))
        if abs(curve.domain_ratio - ratio) > 1e-9:
            what = f"run {curve.run} has domain ratio {curve.domain_ratio:g}, not {ratio:g}"
            problems.append(Problem(what, where, "carry a run on at its own ratio, or give the new run a new name"))
        if tokens <= curve.measured[1]:
            what = f"run {curve.run} has {curve.measured[1]:,.0f} tokens already"
            problems.append(Problem(what, where, "give more tokens, or give the new run a new name"))
    return problems
