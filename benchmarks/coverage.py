"""How often do the 90 % intervals of ``speciate fit`` hold the truth? Simulated studies with correlated trunks.

    python benchmarks/coverage.py                     # 500 studies of each world, about 15 minutes of one core
    python benchmarks/coverage.py --studies 40 --only ladder --json

A study is a table: trunks (a starting model or a seed), runs that continue them, checkpoints of a run. Every trunk,
run and checkpoint has its own error; the rows of a trunk share its error. The law is fitted as a user would, and
three things are asked: do the intervals of the parameters hold the truth, does ``predict_mean`` hold the law's true
value, does ``predict`` hold the measurement of a new run on a new trunk?
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from speciate.fitting.fit import fit
from speciate.laws import LAWS
from speciate.laws.law import Law

RATIOS = (0.1, 0.25, 0.5, 0.75, 1.0)
MIXTURES = [(a, b, round(1 - a - b, 6)) for a, b in product((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), repeat=2) if a + b < 1.0001]


@dataclass(frozen=True)
class World:
    """A kind of study: the law and its truth, the trunks' inputs, the runs of a trunk, the errors, what is asked.

    ``sd`` are the standard deviations of trunk, run and checkpoint: of ln loss under log-huber, else of the value.
    """

    law: Law
    truth: tuple[float, ...]
    trunks: list[list[dict[str, float]]]  # for every trunk, the inputs of its runs
    sd: tuple[float, float, float]
    ask: list[dict[str, float]]
    checkpoints: int = 1
    noise_by: str | None = None
    steep: float = 0.0  # noise grows by exp(steep * domain_ratio)
    objective: str | None = None


def ladder(sizes: int, seeds: int, runs: int) -> list[list[dict[str, float]]]:
    """Trunks of every size and seed; a run for each of some token counts, 5 to 80 tokens per parameter."""
    grid = np.geomspace(5e7, 2e9, sizes)
    return [[{"params": n, "tokens": r * n} for r in np.geomspace(5, 80, runs)] for n in grid for _ in range(seeds)]


def worlds() -> dict[str, World]:
    """Every kind of study, by name."""
    chinchilla, truth = LAWS["chinchilla"], (1.8, 480.0, 2100.0, 0.35, 0.37)
    ask = [{"params": n, "tokens": d} for n, d in ((1e8, 2e9), (5e8, 1e10), (2e9, 4e10), (1e10, 2e11))]
    ratios = [[{"domain_ratio": r} for r in RATIOS] for _ in range(10)]
    asked = [{"domain_ratio": r} for r in (0.15, 0.4, 0.9)]
    mixing = LAWS["mixing"].family(["web", "code", "law"])
    rng = np.random.default_rng(0)
    mixed = [[shares(MIXTURES[i]) for i in rng.choice(len(MIXTURES), 4, replace=False)] for _ in range(12)]
    exam = [[{**row, "chance": 0.25} for row in trunk] for trunk in ladder(6, 3, 4)]
    exams = LAWS["accuracy-params-tokens"]
    return {
        "ladder": World(chinchilla, truth, ladder(6, 3, 4), (0.003, 0.002, 0.001), ask),
        "ladder, squared": World(chinchilla, truth, ladder(6, 3, 4), (0.003, 0.002, 0.001), ask, objective="squared"),
        "ladder, 3 checkpoints": World(chinchilla, truth, ladder(6, 3, 4), (0.003, 0.002, 0.001), ask, 3),
        "ladder, 10 trunks": World(chinchilla, truth, ladder(5, 2, 4), (0.003, 0.002, 0.001), ask),
        "mixture ratio": World(LAWS["mixture-ratio"], (2.0, 0.4, 0.7), ratios, (0.004, 0.002, 0.001), asked),
        "noise by ratio": World(
            LAWS["mixture-ratio"], (2.0, 0.4, 0.7), ratios, (0, 0.003, 0), asked, 1, "domain_ratio", 1.5
        ),
        "mixing": World(
            mixing,
            (2.6, 0.6, -0.5, 0.3),
            mixed,
            (0.003, 0.002, 0.001),
            [shares((0.3, 0.3, 0.4)), shares((0.7, 0.1, 0.2))],
        ),
        "accuracy": World(
            exams, (0.3, 0.5, 0.25, 0.28), exam, (0.006, 0.004, 0.003), [{**a, "chance": 0.25} for a in ask]
        ),
    }


def shares(mixture: tuple[float, ...]) -> dict[str, float]:
    return {f"share_{name}": share for name, share in zip(("web", "code", "law"), mixture, strict=True)}


def simulate(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """One study's table."""
    rows = []
    for t, runs in enumerate(world.trunks):
        of_trunk = rng.normal(0, world.sd[0])
        for r, inputs in enumerate(runs):
            of_run = rng.normal(0, world.sd[1])
            for step in range(world.checkpoints):
                at = dict(inputs)
                if world.checkpoints > 1:
                    at["tokens"] *= 1 - 0.15 * step
                error = (of_trunk + of_run + rng.normal(0, world.sd[2])) * louder(world, at)
                rows.append({**at, "run": f"t{t}-r{r}", "trunk": f"t{t}", "error": error})
    table = pd.DataFrame(rows)
    table[world.law.output] = disturbed(world, table, table.pop("error").to_numpy())
    return table


def louder(world: World, at: dict[str, float]) -> float:
    return float(np.exp(world.steep * at["domain_ratio"])) if world.steep else 1.0


def disturbed(world: World, at: pd.DataFrame, error: np.ndarray) -> np.ndarray:
    """The law's value with errors: multiplied under log-huber, else added."""
    exact = world.law.predict(world.truth, {g.name: at[g.name].to_numpy(dtype=float) for g in world.law.inputs})
    return exact * np.exp(error) if world.law.objective == "log-huber" else exact + error


def study(world: World, seed: int, draws: int) -> dict[str, np.ndarray]:
    """Which intervals hold: of parameters (P,), of the law's values and of new runs at ``ask`` (m,)."""
    rng = np.random.default_rng(seed)
    result = fit(
        world.law, simulate(world, rng), bootstrap=draws, seed=seed, noise_by=world.noise_by, objective=world.objective
    )
    spans = [result.parameters[name] for name in world.law.names]
    ask = pd.DataFrame(world.ask)
    inputs = {given.name: ask[given.name].to_numpy() for given in world.law.inputs}
    exact = disturbed(world, ask, np.zeros(len(ask)))
    mean, new = result.predict_mean(**inputs), result.predict(**inputs)
    repeats = []
    for _ in range(20):  # of the same interval: less chance in the figure, not more studies
        loud = np.array([louder(world, at) for at in world.ask])
        measured = disturbed(world, ask, sum(rng.normal(0, sd, len(ask)) for sd in world.sd) * loud)
        repeats.append((new.low <= measured) & (measured <= new.high))
    return {
        "parameters": np.array([s["low"] <= t <= s["high"] for s, t in zip(spans, world.truth, strict=True)]),
        "law": (mean.low <= exact) & (exact <= mean.high),
        "new runs": np.mean(repeats, axis=0),
    }


def measure(name: str, world: World, studies: int, draws: int) -> dict[str, object]:
    """Coverage over many studies of one world."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [study(world, seed, draws) for seed in range(studies)]
    each = {kind: np.mean([one[kind] for one in found], axis=0) for kind in found[0]}
    return {
        "world": name,
        "studies": studies,
        **{kind: round(float(values.mean()), 3) for kind, values in each.items()},
        "each": {kind: [round(float(value), 3) for value in values] for kind, values in each.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500, help="of each world")
    parser.add_argument("--draws", type=int, default=300, help="bootstrap draws of each fit")
    parser.add_argument("--only", help="worlds whose name contains this")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = []
    for name, world in worlds().items():
        if options.only and options.only not in name:
            continue
        found.append(measure(name, world, options.studies, options.draws))
        if not options.json:
            row = found[-1]
            print(f"{name:22} parameters {row['parameters']:.3f}  law {row['law']:.3f}  new runs {row['new runs']:.3f}")
            print(f"{'':22} {row['each']}  {row['seconds']} s", flush=True)
    kinds = ("parameters", "law", "new runs")
    overall = {kind: round(float(np.mean([row[kind] for row in found])), 3) for kind in kinds}
    print(json.dumps({"worlds": found, "overall": overall}) if options.json else f"overall {overall}")


if __name__ == "__main__":
    main()
