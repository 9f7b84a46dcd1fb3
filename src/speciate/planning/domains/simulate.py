"""Synthetic studies of several domains whose best mixture is known, to check the decision against.

World "law": at every token count losses follow the mixing law exactly. World "power": a domain's gain goes with a
power of its share, as small models show it, and the general loss with one of the total share; no mixing law is that.
Repetition follows ``planning.mixture.repetition``'s model, with a true R* of one's choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.planning.mixture.repetition import effective_share

Array = NDArray[np.float64]
NAMES = ("law", "code", "med", "math")


@dataclass(frozen=True)
class DomainSetup:
    """A study of ``domains`` domains: ``mixtures`` of shares run once each, the first ``replicated`` twice."""

    domains: int = 2
    world: Literal["law", "power"] = "law"
    mixtures: tuple[tuple[float, ...], ...] = ()
    replicated: int = 2
    trunks: int = 1
    params: int = 1_000_000
    pilot: float = 1e6
    horizon: float = 1e6
    points: int = 12
    tolerance: float = 0.05
    run_sd: float = 0.004
    jitter: float = 0.002
    trunk_sd: float = 0.0
    unique: tuple[float, ...] = ()  # of every domain, tokens: the corpus of the pilots and of the planned run
    lasting: float = 15.39
    hardness: float = 1.0  # times the harm that domain text does to the general loss


@dataclass(frozen=True)
class DomainStudy:
    """A table and its truth: ``expected(name, shares)`` and ``measure(shares)`` at the horizon; ``best`` shares.

    ``objective(shares)`` is the mean domain loss, ``change(shares)`` that of the general loss.
    """

    table: pd.DataFrame
    names: tuple[str, ...]
    expected: Callable[[str, Array], float]
    measure: Callable[[Array], dict[str, float]]
    objective: Callable[[Array], float]
    change: Callable[[Array], float]
    best: Array
    best_within: Callable[[float], Array]  # best shares for another change of the general loss that is allowed


def design(domains: int) -> tuple[tuple[float, ...], ...]:
    """Pilot mixtures: general text alone, every domain at two shares, pairs and all together.

    >>> len(design(2)), design(1)
    (9, ((0.0,), (0.15,), (0.3,), (0.45,), (0.6,)))
    """
    if domains == 1:
        return ((0.0,), (0.15,), (0.3,), (0.45,), (0.6,))
    corners = [tuple(float(a) for a in row) for level in (0.2, 0.5) for row in level * np.eye(domains)]
    inner = [pair for pair in product((0.1, 0.3), repeat=domains) if sum(pair) <= 0.75]
    return ((0.0,) * domains, *corners, *inner)


def simulate_domains(setup: DomainSetup, seed: int) -> DomainStudy:
    """One study drawn at random: how much each domain gains, harms and helps another differs from study to study."""
    rng = np.random.default_rng(seed)
    k = setup.domains
    names = NAMES[:k]
    rate = np.diag(rng.uniform(3.0, 6.0, k)) + (1 - np.eye(k)) * rng.uniform(-0.2, 0.6, (k, k))
    depth, harm = rng.uniform(0.4, 0.7, k), setup.hardness * rng.uniform(0.5, 1.5, k)
    starts = {"general": 3.2} | {name: float(rng.uniform(2.6, 4.0)) for name in names}

    def change(name: str, shares: Array, tokens: Array | float) -> Array:
        """True expected change of loss at ``tokens``, of a run on ``shares``."""
        t = np.asarray(tokens, dtype=float) / 1e6
        if name == "general":
            push = np.expm1(1.1 * float(harm @ shares)) if setup.world == "law" else float(harm @ shares) ** 1.4
            return np.asarray(0.22 * push * (1 - np.exp(-((t / 0.06) ** 0.8))) - 0.03 * np.log1p(t / 0.2))
        i = names.index(name)
        limit = np.array(setup.unique or np.full(k, np.inf)) / np.atleast_1d(np.asarray(tokens, dtype=float))[:, None]
        worth = effective_share(np.broadcast_to(shares, limit.shape), limit, setup.lasting)
        gain = 1 - np.exp(-worth @ rate[i]) if setup.world == "law" else worth[:, i] ** 0.4
        return np.asarray(-depth[i] * gain * np.log1p(t / 0.1) / np.log1p(10.0), dtype=float).reshape(t.shape)

    effects = setup.trunk_sd * rng.standard_normal((setup.trunks, k + 1))

    def run(shares: Array, tokens: Array, trunk: int) -> dict[str, Array]:
        grown = np.minimum(np.log1p(tokens / 3e4) / np.log1p(setup.pilot / 3e4), 1.3)
        losses = {}
        for role, name in enumerate(("general", *names)):
            own = setup.run_sd * rng.standard_normal() + effects[trunk, role]
            noise = setup.jitter * rng.standard_normal(len(tokens))
            losses[name] = starts[name] + change(name, shares, tokens) + own * grown + noise
        return losses

    rows: list[tuple[object, ...]] = []
    tokens = np.round(np.geomspace(setup.pilot / 40, setup.pilot, setup.points))
    mixtures = [np.array(m) for m in setup.mixtures or design(k)]
    for number, shares in enumerate([*mixtures, *mixtures[1 : 1 + setup.replicated]]):
        trunk = number % setup.trunks
        measured = run(shares, tokens, trunk)
        again = np.maximum(tokens[:, None] * shares - np.array(setup.unique or np.full(k, np.inf)), 0.0).sum(axis=1)
        for name, losses in measured.items():
            key = (f"run{number}", f"trunk{trunk}", setup.params, number, name, *shares)
            rows.append((*key, 0.0, 0.0, starts[name]))
            rows += [(*key, at, at - less, loss) for at, less, loss in zip(tokens, again, losses, strict=True)]
    columns = ["run", "trunk", "params", "seed", "eval_on", *(f"share_{n}" for n in names), "tokens", "unique_tokens",
               "loss"]  # fmt: skip

    def expected(name: str, shares: Array) -> float:
        return float(starts[name] + change(name, np.asarray(shares, dtype=float), setup.horizon))

    def objective(shares: Array) -> float:
        return float(np.mean([expected(name, shares) for name in names]))

    def general(shares: Array) -> float:
        return expected("general", shares) - starts["general"]

    def measure(shares: Array) -> dict[str, float]:
        at = np.array([setup.horizon])
        return {name: float(loss[0]) for name, loss in run(np.asarray(shares, dtype=float), at, 0).items()}

    def best_within(tolerance: float) -> Array:
        return _true_best(objective, general, tolerance, k)

    return DomainStudy(pd.DataFrame(rows, columns=columns), names, expected, measure, objective, general,
                       best_within(setup.tolerance), best_within)  # fmt: skip


def _true_best(
    objective: Callable[[Array], float], change: Callable[[Array], float], tolerance: float, domains: int
) -> Array:
    """Best shares by rays: along every composition the total share is bisected to the tolerance; then ever finer."""
    centre, width = np.full(domains, 1 / domains), 1.0
    best, lowest = np.zeros(domains), np.inf
    parts = 12 if domains < 4 else 6
    counts = np.array([c for c in product(range(parts + 1), repeat=domains) if sum(c) == parts]) / parts
    for _ in range(6):
        for direction in (1 - width) * centre + width * counts:
            low, high = 0.0, 1.0
            if change(direction) > tolerance:
                for _ in range(24):
                    middle = (low + high) / 2
                    low, high = (middle, high) if change(middle * direction) <= tolerance else (low, middle)
            else:
                low = 1.0
            for total in low * np.linspace(0.5, 1.0, 6):
                value = objective(total * direction)
                if value < lowest - 1e-12:
                    best, lowest = total * direction, value
        centre, width = best / max(best.sum(), 1e-9), width / 3
    return best
