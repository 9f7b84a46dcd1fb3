"""Writes the tables of the README's examples, simulated from known truths."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from speciate.laws.split import PRESET, SPLIT
from speciate.planning.decide.simulate import World
from speciate.planning.decide.simulate import simulate as simulate_kinds
from speciate.planning.domains.simulate import DomainSetup, simulate_domains
from speciate.planning.mixture.simulate import Setup
from speciate.planning.mixture.simulate import simulate as simulate_mixture


def mixture() -> pd.DataFrame:
    """Two sizes, four ratios, a second seed at two of them; pilots of 1M tokens."""
    setup = Setup(world="jump", replicated=(0.5, 0.75), jitter=0.002, run_sd=0.003, trunk_sd=0.004)
    return simulate_mixture(setup, 1).table


def domains() -> pd.DataFrame:
    """Shares of two domains."""
    return simulate_domains(DomainSetup(), 3).table


def split() -> pd.DataFrame:
    """76 short runs of four sizes after the published law, noise .003 nats."""
    seeds, tokens = (0, 5e9, 2e10, 6e10, 1.2e11), (0, 2e9, 8e9, 3e10)
    runs = [(n, d, t) for n, d, t in product((1e8, 3.5e8, 7.6e8, 1.3e9), seeds, tokens) if d + t]
    table = pd.DataFrame(runs, columns=["params", "seed_tokens", "tokens"])
    table.insert(0, "run", [f"run{i}" for i in range(len(table))])
    table["loss"] = SPLIT.predict(PRESET, table[["params", "seed_tokens", "tokens"]])
    table["loss"] += np.random.default_rng(1).normal(0, 0.003, len(table))
    return table


def specialize() -> pd.DataFrame:
    """Perplexity of exams by checkpoint, minima as published: law 33.6B tokens at 1.5B params, 12.6B at 14B."""
    rng = np.random.default_rng(1)
    tokens = np.arange(1, 15) * 2000 * 512 * 4096
    minima = {"general": (53.8e9, 54.0e9, 54.1e9, 54.2e9), "law": (33.6e9, 24.4e9, 17.1e9, 12.6e9)}
    parts = []
    for (regime, level), seed in product((("general", 2.30), ("law", 2.12)), (0, 1)):
        for params, minimum in zip((1.5e9, 3e9, 7e9, 14e9), minima[regime], strict=True):
            exam = level * (params / 1e9) ** -0.12 * np.exp(0.05 * np.log(tokens / minimum) ** 2)
            exam *= np.exp(rng.normal(0, 0.01) + rng.normal(0, 0.002, len(tokens)))
            columns = {"run": f"{regime}-{params:g}-{seed}", "seed": seed, "params": params, "train_on": regime}
            parts.append(pd.DataFrame(columns | {"tokens": tokens, "eval_on": "oab", "perplexity": exam}))
    return pd.concat(parts)


def accuracy() -> pd.DataFrame:
    """Twenty runs on a task with four choices."""
    rng = np.random.default_rng(0)
    params, ratio = (one.ravel() for one in np.meshgrid([6e7, 1.2e8, 2.5e8, 5e8, 1e9], [10.0, 20, 40, 160]))
    tokens = params * ratio
    share = np.exp(-0.35 / (params / 1e9) ** 0.35 - 0.5 / (tokens / 1e9) ** 0.3)
    score = 0.25 + 0.75 * share + rng.normal(0, 0.008, len(share))
    return pd.DataFrame({"params": params, "tokens": tokens, "accuracy": score, "chance": 0.25})


def decide() -> pd.DataFrame:
    """Pilots of every kind at three sizes."""
    return simulate_kinds(World(), seed=1)


def write_tables(folder: Path) -> None:
    """One CSV for each decision."""
    for make in (mixture, domains, split, specialize, accuracy, decide):
        make().round(5).to_csv(folder / f"{make.__name__}.csv", index=False)


if __name__ == "__main__":
    write_tables(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
