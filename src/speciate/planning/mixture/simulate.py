"""Synthetic mixture studies whose truth is known, to check that intervals cover as often as they say.

Four worlds, all with seeds, trunks and jitter as small real runs show them:
"law"   the general loss follows the rise-and-fall law exactly;
"jump"  it jumps within the first fifth of the pilot and then falls ever more slowly, which no law here
        describes exactly (what models of 35k to 150k parameters do);
"late"  it rises beyond the pilots at high ratios, so the turning point can bind;
"mixed" a jump and a fall whose constants (``shape``) and design differ from study to study (``drawn``):
        nothing of the method was looked at there, so it is where its figures are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]
World = Literal["law", "jump", "late", "mixed"]


@dataclass(frozen=True)
class Setup:
    """A study: every size runs each ratio once, and ``replicates`` more seeds at ``replicated`` ratios."""

    world: World = "jump"
    sizes: tuple[int, ...] = (35_552, 141_760)
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9)
    replicated: tuple[float, ...] = (0.5,)
    replicates: int = 1
    trunks: int = 1
    pilot: float = 1e6
    horizon: float = 2e6
    points: int = 12
    tolerance: float = 0.05
    jitter: float = 0.007
    correlation: float = 0.3
    run_sd: float = 0.012
    trunk_sd: float = 0.015
    shape: tuple[float, ...] = ()  # of "mixed": power of the ratio, tau, beta, t0, exponent of the fall


@dataclass(frozen=True)
class Study:
    """A table, and its truth: critical ratios by size, and a way to measure new runs at the horizon."""

    table: pd.DataFrame
    critical: dict[int, float]
    measure: Callable[
        [int, float], tuple[float, float]
    ]  # params, ratio -> general, domain loss of a new seed, trunk "A"
    expected: Callable[[int, float], tuple[float, float]]  # params, ratio -> expected changes at the horizon


def drawn(seed: int, reach: float | None = None) -> Setup:
    """A study of the world "mixed": sizes, ratios, replicates, trunks, noise, reach (of the horizon) and truth drawn.

    ``reach``: horizon over pilots; None draws one of 1, 2, 4.
    """
    rng = np.random.default_rng([seed, 77])
    noise = float(np.exp(rng.uniform(np.log(0.003), np.log(0.015))))
    first = float(rng.uniform(0.1, 0.3))
    return Setup(
        world="mixed",
        sizes=tuple(int(x) for x in 40_000 * 3.0 ** np.arange(rng.integers(1, 4))),
        ratios=tuple(float(x) for x in np.linspace(first, 0.95, rng.integers(4, 7)).round(3)),
        replicated=(),
        replicates=int(rng.integers(1, 4)),
        trunks=int(rng.integers(1, 3)),
        horizon=1e6 * (reach or float(rng.choice([1.0, 2.0, 4.0]))),
        points=int(rng.integers(10, 21)),
        tolerance=float(rng.uniform(0.02, 0.12)),
        jitter=noise,
        correlation=float(rng.uniform(0, 0.5)),
        run_sd=noise * float(rng.uniform(0.7, 2.0)),
        trunk_sd=noise * float(rng.uniform(0.7, 2.0)),
        shape=tuple(float(rng.uniform(*ends)) for ends in ((1.5, 3), (0.02, 0.2), (0.5, 1.2), (0.05, 0.3), (0.8, 1.2))),
    )


def expected_general(
    world: World, size: float, ratio: Array | float, tokens: Array | float, shape: tuple[float, ...] = ()
) -> Array:
    """True expected change of the general loss, nats/token; ``size`` -1..1 tells sizes and worlds apart."""
    ratio, t = np.asarray(ratio, dtype=float), np.asarray(tokens, dtype=float) / 1e6
    if world == "jump":
        jump = (0.55 + 0.08 * size) * ratio**2.2 * (1 - np.exp(-((t / 0.06) ** 0.8)))
        return np.asarray(jump - (0.075 - 0.045 * ratio) * np.log1p(t / 0.12) ** (1.0 + 0.1 * size))
    if world == "law":
        s, q = 0.35 + 0.1 * size, -(0.16 - 0.1 * ratio)
        p = -0.1 + 0.62 * ratio**1.8
        return np.asarray(t**s * (p + q * np.log(t)) + 0.02)
    if world == "mixed":
        power, tau, beta, t0, fall = shape
        jump = (0.6 + 0.1 * size) * ratio**power * (1 - np.exp(-((t / tau) ** beta)))
        return np.asarray(jump - (0.08 - 0.05 * ratio) * np.log1p(t / t0) ** (fall + 0.1 * size))
    turn = np.exp(2.6 * (ratio - 0.62 - 0.05 * size)) * 2.0  # T0 in millions of tokens
    return np.asarray(0.2 * t**0.5 * (1 + 0.5 * np.log(turn) - 0.5 * np.log(t)) * (0.4 + ratio))


def expected_domain(size: float, ratio: Array | float, tokens: Array | float) -> Array:
    """True expected change of the domain loss, nats/token."""
    t = np.asarray(tokens, dtype=float) / 1e6
    return np.asarray(-(0.55 + 0.05 * size) * np.asarray(ratio) ** 0.25 * np.log1p(t / 0.08) ** 0.9)


def true_critical(
    world: World, size: float, horizon: float, tolerance: float, shift: float = 0.0, shape: tuple[float, ...] = ()
) -> float:
    """Largest feasible ratio at the horizon: within tolerance, and turned down for good."""
    ratios = np.linspace(0.001, 1, 2000)

    def general(ratio: Array | float, tokens: float) -> Array:
        return expected_general(world, size, ratio, tokens, shape) + shift

    within = general(ratios, horizon) <= tolerance
    falling = general(ratios, horizon * 1.001) <= general(ratios, horizon)
    fine = within & falling
    if fine.all() or not fine.any():
        return float(fine.all())
    last = int(np.argmin(fine))
    edge = lambda r: float(general(r, horizon) - tolerance)  # noqa: E731
    inside = within[last - 1] and not within[last]
    return float(brentq(edge, ratios[last - 1], ratios[last])) if inside and falling[last] else float(ratios[last])


def simulate(setup: Setup, seed: int) -> Study:
    """One study drawn at random: the world's sizes differ a little from study to study."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    critical: dict[int, float] = {}
    shifts: dict[int, float] = {}  # of the trunk, where there is only one
    tokens = np.round(np.geomspace(16e3, setup.pilot, setup.points) / 1024) * 1024
    kinds = {params: float(rng.uniform(-1, 1)) for params in setup.sizes}
    effects = {params: rng.standard_normal((setup.trunks, 2)) * setup.trunk_sd for params in setup.sizes}
    starts = {
        params: [(3.8 + rng.normal(0, 0.03), 5.1 + rng.normal(0, 0.03)) for _ in range(setup.trunks)]
        for params in setup.sizes
    }

    def run(params: int, ratio: float, trunk: int, at: Array) -> tuple[Array, Array]:
        grown = np.minimum(np.log1p(at / 16e3) / np.log1p(setup.pilot / 16e3), 1.3)
        losses = []
        for role in (0, 1):
            truth = (
                expected_general(setup.world, kinds[params], ratio, at, setup.shape)
                if role == 0
                else (expected_domain(kinds[params], ratio, at))
            )
            noise = rng.standard_normal(len(at))
            for i in range(1, len(at)):
                noise[i] = setup.correlation * noise[i - 1] + np.sqrt(1 - setup.correlation**2) * noise[i]
            level = effects[params][trunk, role] + setup.run_sd * rng.standard_normal()
            losses.append(starts[params][trunk][role] + truth + level * grown + setup.jitter * noise)
        return losses[0], losses[1]

    for params in setup.sizes:
        shift = effects[params][0, 0] * min(np.log1p(setup.horizon / 16e3) / np.log1p(setup.pilot / 16e3), 1.3)
        shifts[params] = float(shift) if setup.trunks == 1 else 0.0
        critical[params] = true_critical(
            setup.world,
            kinds[params],
            setup.horizon,
            setup.tolerance,
            shifts[params],
            setup.shape,
        )
        plan = [(ratio, 0, 0) for ratio in setup.ratios]
        plan += [
            (ratio, (1 + extra) % setup.trunks, 1 + extra)
            for ratio in setup.replicated or (setup.ratios[len(setup.ratios) // 2],)
            for extra in range(setup.replicates)
        ]
        for ratio, trunk, number in plan:
            name = f"{params}-{ratio:g}-{trunk}-{number}"
            for eval_on, loss, start in zip(
                ("general", "code"), run(params, ratio, trunk, tokens), starts[params][trunk], strict=True
            ):
                key = (name, "AB"[trunk] + str(params), params, ratio, number, eval_on)
                rows.append((*key, 0.0, start))
                rows += [(*key, t, value) for t, value in zip(tokens, loss, strict=True)]

    def measure(params: int, ratio: float) -> tuple[float, float]:
        general, domain = run(params, ratio, 0, np.array([setup.horizon]))
        return float(general[0]), float(domain[0])

    def expected(params: int, ratio: float) -> tuple[float, float]:
        general = expected_general(setup.world, kinds[params], ratio, setup.horizon, setup.shape)
        return float(general) + shifts[params], float(expected_domain(kinds[params], ratio, setup.horizon))

    names = ["run", "trunk", "params", "domain_ratio", "seed", "eval_on", "tokens", "loss"]
    return Study(pd.DataFrame(rows, columns=names), critical, measure, expected)
