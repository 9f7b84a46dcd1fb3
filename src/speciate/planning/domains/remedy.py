"""Which pilot on which mixture would tell: where the shares do not span the simplex, and where the answer is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.planning.domains.law import SetLaw
from speciate.planning.domains.rows import DomainRuns
from speciate.planning.domains.search import Search
from speciate.planning.domains.simplex import simplex_grid
from speciate.planning.words import short

Array = NDArray[np.float64]
CANDIDATES = 70  # mixtures that are tried as pilots
HALF = 0.5  # of the spread of the best shares that a telling pilot takes away
NEARLY = 0.8  # of what the best pilot takes away, where none tells
REPEATS = (1, 2, 4)
USUAL = 0.25  # share of a domain's pilot where nothing was tried


@dataclass(frozen=True)
class DomainPilot:
    """Runs to buy: ``repeats`` seeds on one mixture. ``narrows``: share of the best shares' variance taken away."""

    why: str
    params: int
    shares: Mapping[str, float]
    tokens: int
    repeats: int
    seed: int
    narrows: float | None = None

    @property
    def flops(self) -> float:
        """C = 6 N D, of all repeats."""
        return 6.0 * self.params * self.tokens * self.repeats

    def run(self) -> str:
        """What is to be run, for a person."""
        mixture = ", ".join(f"{name} {share:.3g}" for name, share in self.shares.items()) or "general text alone"
        times = "a run" if self.repeats == 1 else f"{self.repeats} runs"
        what = f"{times} of {short(self.params)} params on {mixture} for {short(self.tokens)} tokens"
        return f"{what}, seed {self.seed} ({self.flops:.2g} FLOPs)"

    def to_json(self) -> dict[str, Any]:
        """{text, spec {params, shares, tokens, seed, repeats, flops}, narrows}."""
        spec = {
            "params": self.params,
            "shares": dict(self.shares),
            "tokens": self.tokens,
            "seed": self.seed,
            "repeats": self.repeats,
            "flops": self.flops,
        }
        return {"text": f"{self.why}: {self.run()}", "spec": spec, "narrows": self.narrows}


def next_seed(runs: DomainRuns) -> int:
    """A seed that no run has used."""
    return max(runs.seeds, default=0) + 1


def spanning(runs: DomainRuns) -> tuple[str, DomainPilot] | None:
    """Why the tried mixtures cannot tell the law's K + 2 parameters apart, and the pilot that helps most; else None.

    The pilot is the mixture, of no more domain text than was tried, that adds most to the determinant of the design.
    """
    count = len(runs.domains)
    seen = np.unique(np.round(runs.shares, 4), axis=0)
    design = np.column_stack([np.ones(len(seen)), seen])
    rank = int(np.linalg.matrix_rank(design, tol=1e-3))
    if rank == count + 1 and len(seen) >= count + 2:
        return None
    never = [name for k, name in enumerate(runs.domains) if not (runs.shares[:, k] > 0).any()]
    if never:
        reason = f"no run has text of {', '.join(never)}"
    elif rank <= count:
        reason = f"the shares of {', '.join(runs.domains)} were not varied apart: the {len(seen)} mixtures tried do "
        reason += f"not span the simplex ({rank} of {count + 1} directions)"
    else:
        reason = f"{len(seen)} mixtures were tried, {count + 2} are needed for {count} domains"
    most = max(float(seen.sum(axis=1).max()), USUAL)
    grid = simplex_grid(count, 400) * most
    rows = np.column_stack([np.ones(len(grid)), grid])
    inverse = np.linalg.inv(design.T @ design + 1e-6 * np.eye(count + 1))
    gap = np.min(np.linalg.norm(grid[:, None] - seen[None], axis=2), axis=1)
    gain = np.einsum("mi,ij,mj->m", rows, inverse, rows)
    if rank == count + 1:  # spans already: the one farthest from those tried shows the bend
        gain = gap
    best = grid[int(np.argmax(np.where(gap > 1e-3, gain, -1)))]
    return reason, pilot("a mixture that tells the domains apart", runs, best, runs.longest, 1, None)


def pilot(why: str, runs: DomainRuns, shares: Array, tokens: float, repeats: int, narrows: float | None) -> DomainPilot:
    """A pilot of this study's size on these shares (K,)."""
    named = {name: round(float(share), 3) for name, share in zip(runs.domains, shares, strict=True) if share > 5e-4}
    return DomainPilot(why, runs.params, named, round(tokens), repeats, next_seed(runs), narrows)


def settling(
    runs: DomainRuns, search: Search, choice: Array, best: Array, common: Mapping[str, float], horizon: float
) -> DomainPilot | None:
    """The cheapest pilot whose losses would explain half of the variance of the best shares (B, K) over the draws.

    Draws of what it would measure (every set's law, a run's luck; ``common`` sd by set for the extrapolation of one no
    longer than the pilots) are regressed on. Where none explains half, the cheapest that does nearly as much as any.
    None without draws or without spread.
    """
    spread = best - best.mean(axis=0)
    total = float(np.square(spread).sum())
    if len(best) < 2 or total < 1e-12:
        return None
    domains = len(runs.domains)
    far = min(1.0, max(float(runs.shares.sum(axis=1).max()), float(choice.sum())))
    grid = np.concatenate([choice[None], simplex_grid(domains, CANDIDATES) * far])
    laws = {law.name: law for law in (*(bound.law for bound in search.bounds), *search.laws)}
    values, noises = measured(tuple(laws.values()), search, grid)
    lengths = {runs.longest} | ({horizon} if horizon > runs.longest * 1.01 else set())
    options = []
    for tokens in sorted(lengths):
        extra = np.array([common.get(name, 0.0) if tokens < horizon / 1.01 else 0.0 for name in laws])
        for repeats in REPEATS:
            noise = noises / repeats + np.square(extra)
            share = explained(values, noise, spread) / total
            options += [(tokens * repeats, float(s), i, tokens, repeats) for i, s in enumerate(share)]
    most = max(option[1] for option in options)
    enough = HALF if most >= HALF else NEARLY * most
    _, narrows, i, tokens, repeats = min((o for o in options if o[1] >= enough), key=lambda o: (o[0], -o[1]))
    does = "the cheapest telling pilot" if most >= HALF else "no pilot tells by itself; the best for its price"
    why = f"{does} takes {narrows:.0%} off the variance of the best shares"
    return pilot(why, runs, grid[i], tokens, repeats, narrows)


def measured(laws: tuple[SetLaw, ...], search: Search, grid: Array) -> tuple[Array, Array]:
    """Draws of the losses of mixtures (M, K) on every set, (S, B, M), and the variance (S,) of a run's luck."""
    worth = search.seen(np.broadcast_to(grid, (len(search.lasting), *grid.shape)))
    general = search.general.name
    values = [law.loss(grid if law.name == general else worth)[1:] for law in laws]
    return np.stack(values), np.array([float(np.mean(law.run_sd[1:] ** 2)) for law in laws])


def explained(values: Array, noise: Array, spread: Array) -> Array:
    """Sum of squares of ``spread`` (B, K) that a linear regression on noisy values (S, B, M) explains: (M,)."""
    centred = values - values.mean(axis=1, keepdims=True)
    draws = values.shape[1]
    inner = np.einsum("sbm,tbm->mst", centred, centred) / draws
    inner += np.diag(noise + 1e-18)
    cross = np.einsum("sbm,bk->msk", centred, spread) / draws
    return np.asarray(np.einsum("msk,msk->m", cross, np.linalg.solve(inner, cross)) * draws, dtype=float)
