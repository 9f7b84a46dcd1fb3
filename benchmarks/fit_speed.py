"""How fast a law is fitted, on one core, beside what is in use: scipy's 4,500 starts, PyPI packages, basin-hopping.

    python benchmarks/fit_speed.py [--full] [--quick] [--packages VENVS] [--points CSV] [--json]

Figures: the 240 Chinchilla points (../shared/data/chinchilla_points.csv without the 5 largest losses); a five-domain
mixing law on 26 simulated points; the split law on 800 simulated rows. Ratios come first and are of CPU seconds: they
carry over to other machines, and a busy machine disturbs them least. Slow rivals run on a stated sample of their
starts and are scaled up; --full runs all of them. --quick is for tests: everything tiny, ratios of no value.
"""

from __future__ import annotations

import os

# one core for everybody; read when numpy is first imported
os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")), "1"))

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from baselines import basin_hopping, chinchilla_grid, mixing_starts, packages
from numpy.typing import NDArray

from speciate.fitting.fit import fit
from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve, solve_batch
from speciate.laws import LAWS
from speciate.laws.split import PRESET

Array = NDArray[Any]
POINTS = Path(__file__).parents[2] / "shared" / "data" / "chinchilla_points.csv"
BEST_KNOWN = 0.0010182740178006  # of a 4,500-start search, on points with more digits than the CSV has
ARRIVED = 1e-6  # a start has arrived when its objective is this near the optimum, as a share
NAMES = ("web", "books", "code", "science", "news")
MIXING_TRUTH = (3.4, 0.72, -0.55, 0.35, -0.9, 0.2)  # base, floor and w of all domains but the last


@dataclass(frozen=True)
class Size:
    """How much of everything is run."""

    repeats: int
    draws: int
    starts: int
    mixing_starts: int
    split_draws: int
    hops: int
    package_starts: int


USUAL = Size(repeats=25, draws=4000, starts=150, mixing_starts=100, split_draws=1000, hops=50, package_starts=32)
FULL = Size(repeats=25, draws=4000, starts=4500, mixing_starts=1000, split_draws=1000, hops=500, package_starts=4500)
QUICK = Size(repeats=2, draws=20, starts=1, mixing_starts=2, split_draws=2, hops=0, package_starts=1)


@dataclass(frozen=True)
class Timed:
    """A result and what it took: medians over repeats, in seconds."""

    result: Any
    wall: float
    cpu: float

    def seconds(self) -> dict[str, float]:
        return {"wall_seconds": self.wall, "cpu_seconds": self.cpu}


def timed(work: Callable[[], Any], repeats: int = 1) -> Timed:
    """Run something a few times."""
    walls, cpus, result = [], [], None
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timed(result, statistics.median(walls), statistics.median(cpus))


def in_turns(table: pd.DataFrame, size: Size) -> tuple[Timed, Timed, chinchilla_grid.Grid]:
    """Our global fit and scipy's starts in turns, so that a noisy machine hurts both alike.

    Ours: median over repeats; scipy's: all that were run, together.
    """
    law, y = LAWS["chinchilla"], table["loss"].to_numpy()
    x = {name: table[name].to_numpy() for name in ("params", "tokens")}
    blocks = min(5, size.starts)
    ours, theirs = [], []
    for chosen in np.array_split(chinchilla_grid.sample(size.starts), blocks):
        ours += [timed(lambda: solve(law, x, y)) for _ in range(-(-size.repeats // blocks))]
        theirs.append(timed(partial(chinchilla_grid.fit, x["params"], x["tokens"], y, chosen)))
    ends = [took.result for took in theirs]
    best = min(ends, key=lambda end: float(end.objectives.min()))
    joined = chinchilla_grid.Grid(
        best.theta, np.concatenate([end.objectives for end in ends]), np.concatenate([end.success for end in ends])
    )
    wall, cpu = (statistics.median(getattr(took, name) for took in ours) for name in ("wall", "cpu"))
    rival = Timed(None, sum(took.wall for took in theirs), sum(took.cpu for took in theirs))
    return Timed(ours[0].result, wall, cpu), rival, joined


def chinchilla(table: pd.DataFrame, size: Size, alone: Timed) -> dict[str, Any]:
    """Our global fit; the same with bootstrap, through ``fit`` as users do and as bare solver calls."""
    law, y = LAWS["chinchilla"], table["loss"].to_numpy()
    x = {name: table[name].to_numpy() for name in ("params", "tokens")}

    def bootstrap() -> tuple[Array, Array]:
        weights = np.random.default_rng(0).multinomial(len(y), np.full(len(y), 1 / len(y)), size=size.draws)
        return solve_batch(law, x, y, weights.astype(float), solve(law, x, y).theta)

    bare = timed(bootstrap, min(3, size.repeats))
    whole = timed(lambda: fit("chinchilla", table, bootstrap=size.draws), min(3, size.repeats))
    squared = timed(lambda: solve(law, x, y, objective="squared"), size.repeats)
    found = alone.result
    return {
        "fit": alone.seconds() | {"objective": found.objective, "of_best_known": found.objective / BEST_KNOWN},
        "agreeing_starts": [found.agreeing, found.starts],
        "squared": squared.seconds() | {"objective": squared.result.objective},
        "bootstrap": {"draws": size.draws, "solver": bare.seconds(), "fit": whole.seconds()},
    }


def grid(took: Timed, found: chinchilla_grid.Grid, ours: Timed) -> dict[str, Any]:
    """scipy's 4,500 starts, scaled up where a sample of them was run."""
    count, scale = len(found.objectives), len(chinchilla_grid.GRID) / len(found.objectives)
    lowest, reached = float(found.objectives.min()), ours.result.objective
    return {
        "starts_run": count,
        "starts": len(chinchilla_grid.GRID),
        "cpu_seconds": took.cpu * scale,
        "wall_seconds": took.wall * scale,
        "arrived": float(np.mean(found.objectives <= min(lowest, reached) * (1 + ARRIVED))),
        "success": float(np.mean(found.success)),
        "best_over_ours": lowest / reached,
        "times_ours": took.cpu * scale / ours.cpu,
    }


def others(table: pd.DataFrame, size: Size, ours: dict[str, Any], folder: Path | None) -> list[dict[str, Any]]:
    """PyPI packages; objectives are ours (log-Huber) at the parameters they return."""
    x = {name: table[name].to_numpy() for name in ("params", "tokens")}
    y = table["loss"].to_numpy()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        points = Path(place) / "points.csv"
        table.to_csv(points, index=False)
        for name in packages.PACKAGES:
            number = size.package_starts if name == "chinchilla" else size.draws
            found = packages.run(name, folder, points, number)
            if found.printed is None:
                rows.append({"package": name, "skipped": found.why})
                continue
            printed, huber = found.printed, name == "chinchilla"
            scale, rival = (len(chinchilla_grid.GRID), "fit") if huber else (1, "squared")
            loss = Loss("log-huber") if huber else Loss("squared")
            reached = float(loss.total(LAWS["chinchilla"].predict(printed["theta"], x), y, np.ones(len(y))))
            row = {"package": name, "objective_is": loss.kind, "cpu_seconds": printed["cpu"] * scale}
            row |= {"times_ours": row["cpu_seconds"] / ours[rival]["cpu_seconds"]}
            row |= {"objective_over_ours": reached / ours[rival]["objective"], "starts_run": printed.get("starts")}
            if "cpu_draws" in printed:
                draws = ours["bootstrap"]["solver"]["cpu_seconds"]
                row |= {"draws_cpu_seconds": printed["cpu_draws"], "draws_times_ours": printed["cpu_draws"] / draws}
            rows.append(row)
    return rows


def mixing(size: Size) -> dict[str, Any]:
    """A five-domain mixing law on 26 simulated mixtures with noise .003 of the loss."""
    family = LAWS["mixing"].family
    assert family is not None
    law, rng = family(NAMES), np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(len(NAMES)), 26)
    x = {f"share_{name}": shares[:, i] for i, name in enumerate(NAMES)}
    y = law.predict(MIXING_TRUTH, x) * np.exp(rng.normal(0, 0.003, len(shares)))
    ours = timed(lambda: solve(law, x, y), size.repeats)
    rival = timed(lambda: mixing_starts.fit(shares, y, size.mixing_starts))
    ends, success = rival.result
    best = min(float(ends.min()), ours.result.objective)
    return {
        "fit": ours.seconds() | {"objective": ours.result.objective, "status": ours.result.status},
        "least_squares": {
            "starts": size.mixing_starts,
            "cpu_seconds": rival.cpu,
            "arrived": float(np.mean(ends <= best * (1 + ARRIVED))),
            "success": float(np.mean(success)),
            "best_over_ours": float(ends.min()) / ours.result.objective,
            "times_ours": rival.cpu / ours.cpu,
        },
    }


def split(size: Size) -> dict[str, Any]:
    """The split law on 800 rows simulated from its preset with noise .005 nats: 5 sizes, 16 D, 10 D'."""
    sizes, seeds = np.array([0.1, 0.35, 0.76, 1.3, 2.7]) * 1e9, np.geomspace(2e9, 4e11, 16)
    tokens = np.concatenate([[0.0], np.geomspace(1e9, 1e11, 9)])
    law, rng = LAWS["split"], np.random.default_rng(0)
    grids = np.meshgrid(sizes, seeds, tokens, indexing="ij")
    x = dict(zip(("params", "seed_tokens", "tokens"), (values.ravel() for values in grids), strict=True))
    y = law.predict(PRESET, x) + rng.normal(0, 0.005, sizes.size * seeds.size * tokens.size)
    alone = timed(lambda: solve(law, x, y))

    def bootstrap() -> tuple[Array, Array]:
        weights = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=size.split_draws).astype(float)
        return solve_batch(law, x, y, weights, alone.result.theta)

    draws = timed(bootstrap)
    table = pd.DataFrame(x | {"loss": y})
    whole = None if size is QUICK else timed(lambda: fit("split", table, bootstrap=size.split_draws))
    given = (x["params"], x["seed_tokens"], x["tokens"], y)
    rival = timed(lambda: basin_hopping.fit(*given, hops=size.hops, rng=np.random.default_rng(0)))
    return {
        "rows": len(y),
        "fit": alone.seconds() | {"objective": alone.result.objective, "status": alone.result.status},
        "agreeing_starts": [alone.result.agreeing, alone.result.starts],
        "fit_and_draws": {"draws": size.split_draws, "cpu_seconds": alone.cpu + draws.cpu},
        "through_fit": None if whole is None else whole.seconds() | {"status": whole.result.status},
        "basin_hopping": {
            "hops": size.hops,
            "cpu_seconds": rival.cpu,
            "objective_over_ours": rival.result / alone.result.objective,
            "times_ours": rival.cpu / alone.cpu,
        },
    }


def points(path: Path) -> pd.DataFrame | None:
    """The 240 points, or None where the file is not there."""
    if not path.exists():
        return None
    table = pd.read_csv(path)[["params", "tokens", "loss"]].astype(float)
    return table.drop(table["loss"].nlargest(len(table) - 240).index).reset_index(drop=True)


@dataclass
class Page:
    """What is printed: ratios first."""

    ratios: list[str] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    seconds: list[str] = field(default_factory=list)

    def ratio(self, times: float, what: str) -> None:
        self.ratios.append(f"{times:10,.1f}x  {what}")

    def time(self, seconds: float, what: str) -> None:
        self.seconds.append(f"{seconds:10.3f} s  {what}")

    def __str__(self) -> str:
        parts = {"CPU time, rival over ours": self.ratios, "Reached": self.reached}
        parts["CPU seconds of one core"] = self.seconds
        return "\n\n".join("\n".join([title, *rows]) for title, rows in parts.items())


def tell_chinchilla(page: Page, ours: dict[str, Any], theirs: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Our fit, scipy's grid, packages."""
    sample = "" if theirs["starts_run"] == theirs["starts"] else f" (scaled up from {theirs['starts_run']} of them)"
    page.ratio(theirs["times_ours"], f"scipy L-BFGS-B from {theirs['starts']:,} starts{sample}")
    page.reached.append(f"chinchilla: objective {ours['fit']['objective']:.15g}, best known {BEST_KNOWN}")
    share = f"{theirs['arrived']:.1%} of starts arrive, {theirs['success']:.1%} report success"
    page.reached.append(f"scipy grid: {share}; its best {theirs['best_over_ours'] - 1:+.1e} of ours")
    boot = ours["bootstrap"]
    page.time(ours["fit"]["cpu_seconds"], "chinchilla, global fit (target .020)")
    for name, label in (("solver", "solve and solve_batch"), ("fit", "speciate.fit")):
        what = f"chinchilla, fit and {boot['draws']:,} bootstraps by {label} (target 1)"
        page.time(boot[name]["cpu_seconds"], what)
    page.time(theirs["cpu_seconds"], f"scipy's {theirs['starts']:,} starts")
    for row in rows:
        name = row["package"]
        if "skipped" in row:
            page.reached.append(f"{name}: {row['skipped']}")
            continue
        sample = f", {row['starts_run']} starts run, scaled to 4,500" if row["starts_run"] else ""
        page.ratio(row["times_ours"], f"{name} ({row['objective_is']}{sample})")
        if "draws_times_ours" in row:
            page.ratio(row["draws_times_ours"], f"{name}, fit and {boot['draws']:,} draws")
        page.reached.append(f"{name}: {row['objective_over_ours'] - 1:+.1e} of our {row['objective_is']} objective")


def tell_simulated(page: Page, mixed: dict[str, Any], parted: dict[str, Any]) -> None:
    """The mixing and the split law."""
    rival = mixed["least_squares"]
    page.ratio(rival["times_ours"], f"mixing law: scipy least_squares from {rival['starts']} random starts")
    share = f"{rival['arrived']:.1%} of scipy's starts arrive, {rival['success']:.1%} report success"
    page.reached.append(f"mixing: {share}; its best {rival['best_over_ours'] - 1:+.1e} of ours")
    page.time(mixed["fit"]["cpu_seconds"], "mixing law, 5 domains, 26 points (target .200)")
    rival, agree, draws = parted["basin_hopping"], parted["agreeing_starts"], parted["fit_and_draws"]
    page.ratio(rival["times_ours"], f"split law: scipy basin-hopping, {rival['hops']} hops from one start")
    ends = f"basin-hopping ends {rival['objective_over_ours'] - 1:+.1e} of our objective"
    page.reached.append(f"split: {agree[0]} of {agree[1]} of our descents agree; {ends}")
    page.time(parted["fit"]["cpu_seconds"], f"split law, {parted['rows']} rows, global fit")
    page.time(draws["cpu_seconds"], f"split law, fit and {draws['draws']:,} bootstraps by solve_batch (target 60)")
    if parted["through_fit"] is not None:
        page.time(parted["through_fit"]["cpu_seconds"], "the same by speciate.fit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all 4,500 starts, 500 hops (several minutes)")
    parser.add_argument("--quick", action="store_true", help="tiny, for tests")
    parser.add_argument("--packages", type=Path, help="folder of virtual environments named as their packages")
    parser.add_argument("--points", type=Path, default=POINTS, help="CSV with params, tokens, loss")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    size = FULL if given.full else QUICK if given.quick else USUAL
    found: dict[str, Any] = {"size": "full" if given.full else "quick" if given.quick else "usual"}
    table = points(given.points)
    if table is None:
        found["absent"] = f"{given.points} is not there: the Chinchilla comparisons are left out (--points CSV)"
    else:
        alone, took, ends = in_turns(table, size)
        found["chinchilla"] = chinchilla(table, size, alone)
        found["grid"] = grid(took, ends, alone)
        found["packages"] = others(table, size, found["chinchilla"], given.packages)
    found["mixing"], found["split"] = mixing(size), split(size)
    if given.json:
        print(json.dumps(found, indent=1))
        return
    page = Page()
    if table is None:
        print(found["absent"] + "\n")
    else:
        tell_chinchilla(page, found["chinchilla"], found["grid"], found["packages"])
    tell_simulated(page, found["mixing"], found["split"])
    print(page)


if __name__ == "__main__":
    main()
