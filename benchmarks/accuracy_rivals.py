"""How much better the direct law is than laws by way of the loss, and on which tables it is not.

    python benchmarks/accuracy_rivals.py [--studies 20] [--noise 0.002,0.006] [--json]

Simulated as Krajewski et al. 2025 (arXiv 2512.08894) describe: 18 sizes at one ratio of tokens to parameters, one run
of 17B parameters on 350B tokens the largest, runs above 6e21 FLOPs held out, the rest fitted. Every study is another
task: chance 0, .25 or .5, and its own curve. Errors are against the measured runs held out, whose noise no law can
foresee, and against the truth there. Four worlds:
  paper           accuracy by the direct law, losses that end at a floor
  no floor        accuracy by the direct law, losses a power of compute: the rivals' first stage is exactly right
  logistic        accuracy a logistic curve of losses that end at a floor: the direct law is wrong
  both stages     accuracy a logistic curve of losses that are a power of compute: the rivals are exactly right
Rivals: compute to loss by a power law (as released) or one that ends at a floor; loss to accuracy by a line or a
logistic curve. Every stage is a least-squares fit from many starts, on all runs alike and on runs weighted as
``plan accuracy`` weights them; each rival has the weighting that does better in that world, by its held-out error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from speciate.fitting.fit import rescaled
from speciate.fitting.solve import solve
from speciate.laws import LAWS
from speciate.laws.law import Array
from speciate.planning.accuracy.routes import TILT

HELD_OUT = 6e21  # FLOPs
STARTS = 12
WORLDS = ("paper", "no floor", "logistic", "both stages")
DIRECT = "direct"
Line = Callable[[Array], Array]


def study(world: str, noise: float, rng: np.random.Generator) -> tuple[Array, Array, Array, Array, float]:
    """Compute (n,) in units of 1e21 FLOPs, increasing; measured losses and accuracies; true accuracies; chance."""
    params = np.geomspace(1.5e8, 17e9, 18)
    flops = 6 * params * 20.6 * params / 1e21
    power = 2.9 * flops**-0.055
    floored = 1.75 + 0.75 * flops**-0.16
    loss = power if world in ("no floor", "both stages") else floored
    chance, place, steep = float(rng.choice([0.0, 0.25, 0.5])), rng.random(), rng.random()
    if world in ("paper", "no floor"):
        share = np.exp(-(0.3 + 0.7 * place) * flops ** -(0.15 + 0.2 * steep))
    else:  # half way between the losses of 4e19 and of 1e21 FLOPs
        middle = np.interp(np.log(0.04 * 25**place), np.log(flops), loss)
        share = 0.97 / (1 + np.exp((2.5 + 2.5 * steep) * (loss - middle)))
    scatter = rng.normal(0, 1, (2, len(flops)))
    accuracy = chance + (1 - chance) * share
    return flops, loss * np.exp(0.003 * scatter[0]), accuracy + noise * scatter[1], accuracy, chance


def fitted(name: str, given: dict[str, Array], y: Array, weights: Array) -> Line:
    """The law by least squares; what it says at values of its first input."""
    first = next(iter(given))
    law = rescaled(LAWS[name], given)
    theta = solve(law, given, y, weights, starts=STARTS).theta

    def says(at: Array) -> Array:
        return law.predict(theta, {key: at if key == first else np.full(len(at), x[0]) for key, x in given.items()})

    return says


def floored_power(flops: Array, loss: Array, weights: Array) -> Line:
    """loss = E + A C^-alpha by relative least squares, alpha on a grid of 300 from .01 to 1."""

    def of(alpha: float) -> tuple[float, Array]:
        design = np.stack([np.ones_like(flops), flops**-alpha], axis=1) / loss[:, None] * np.sqrt(weights)[:, None]
        found, *_ = np.linalg.lstsq(design, np.sqrt(weights), rcond=None)
        return float(np.sum((design @ found - np.sqrt(weights)) ** 2)), found

    best = min(np.geomspace(0.01, 1.0, 300), key=lambda alpha: of(alpha)[0])
    floor, size = of(best)[1]
    return lambda at: floor + size * at**-best


def errors(world: str, noise: float, rng: np.random.Generator, tilt: float) -> dict[str, Array]:
    """Mean relative errors on the runs held out, by route: against what was measured, against the truth; (2,)."""
    flops, loss, accuracy, true, luck = study(world, noise, rng)
    held = flops * 1e21 > HELD_OUT
    keep = ~held & (accuracy - luck > 0.05 * (1 - luck))
    x, nll, y, beyond = flops[keep], loss[keep], accuracy[keep], flops[held]
    weights = (x / x.max()) ** tilt
    chance = np.full(len(x), luck)
    direct = fitted("accuracy-compute", {"flops": 1e21 * x, "chance": chance}, y, weights)
    slope = np.polynomial.polynomial.Polynomial.fit(np.log(x), np.log(nll), 1, w=np.sqrt(weights))
    firsts: dict[str, Line] = {"power law": lambda c: np.exp(slope(np.log(c))), "floor": floored_power(x, nll, weights)}
    line = np.polynomial.polynomial.Polynomial.fit(nll, y, 1, w=np.sqrt(weights))
    logistic = fitted("accuracy-loss-logistic", {"loss": nll}, y, weights)
    thens: dict[str, Line] = {"line": lambda value: np.asarray(line(value)), "logistic": logistic}
    said = {f"{a}, {b}": then(first(beyond)) for a, first in firsts.items() for b, then in thens.items()}
    said[DIRECT] = direct(1e21 * beyond)
    asked = np.stack([accuracy, true])[:, held]
    return {name: np.abs(value / asked - 1).mean(axis=1) for name, value in said.items()}


def world_of(world: str, noise: float, studies: int) -> dict[str, Any]:
    """Mean errors by route, in %, of the better weighting for every rival, and how many times the direct law's.

    Each a pair: against what was measured, against the truth.
    """
    means: dict[str, list[Array]] = {}
    for tilt in (TILT, 0.0):
        found = [errors(world, noise, np.random.default_rng(seed), tilt) for seed in range(studies)]
        for name in found[0]:
            means.setdefault(name, []).append(100 * np.mean([one[name] for one in found], axis=0))
    ours = means[DIRECT][0]  # as plan accuracy weights it
    rivals = {name: np.min(value, axis=0) for name, value in means.items() if name != DIRECT}
    return {"world": world, "noise": noise, "direct": ours.tolist(),
            "rivals": {name: value.tolist() for name, value in rivals.items()},
            "times": {name: (value / ours).tolist() for name, value in rivals.items()}}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--noise", type=lambda text: [float(part) for part in text.split(",")], default=[0.002, 0.006])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    lines = [world_of(world, noise, asked.studies) for world in WORLDS for noise in asked.noise]
    if asked.json:
        print(json.dumps({"lines": lines}))
        return
    names = list(lines[0]["rivals"])
    print("Errors of rivals as multiples of the direct law's; each against measured runs, then against the truth.\n")
    print("| world | noise | direct law's error | " + " | ".join(names) + " |")
    print("|---" * (3 + len(names)) + "|")
    for one in lines:
        times = [" / ".join(f"{value:.1f}" for value in one["times"][name]) for name in names]
        direct = " / ".join(f"{value:.2f}" for value in one["direct"])
        print(f"| {one['world']} | {one['noise']:g} | {direct} % | " + " | ".join(times) + " |", flush=True)


if __name__ == "__main__":
    main()
