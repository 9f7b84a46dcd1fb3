"""What every plan verb costs on tables of 100 to 1,000,000 rows: CPU seconds, peak memory, and both beside reading.

    python benchmarks/plan_speed.py [--quick] [--rows 100,10000] [--verbs split,accuracy] [--repeats 3] [--json]

Each figure is of a process of its own, ``speciate plan VERB TABLE.csv ... --json`` with the verb's usual 1,000 draws:
start-up, reading, deciding and printing together, on one core. CPU seconds (user and system; the least of the repeats,
which a busy machine disturbs least) are compared with a process that only starts and reads the same table, so that the
ratio carries over to other machines. Tables are simulated: no two runs of them have the same inputs. A verb that this
version has not is left out. --quick is for tests: one small table, once.
"""

from __future__ import annotations

import os

# one core for everybody; the processes that are timed inherit it
os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")), "1"))

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from speciate.laws.split import PRESET, SPLIT
from speciate.planning.decide.simulate import World, simulate
from speciate.planning.domains.simulate import DomainSetup, simulate_domains

ROWS = (100, 1_000, 10_000, 100_000, 1_000_000)
READ = "from speciate.runs.table import read_table; import sys; read_table(sys.argv[1])"


def mixture_table(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Four sizes, four ratios, two evaluation sets; two seeds of each run, and as many checkpoints as it takes."""
    points = max(rows // 64, 2)
    params, ratio, seed, step = grid([1.2e8, 2.5e8, 5e8, 1e9], [0.1, 0.25, 0.5, 0.75], [0, 1], points)
    tokens = 1e8 * 200.0 ** (step / (points - 1))  # to 20e9
    return continued(params, ratio, seed, tokens, rng)


def many_runs(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """As mixture_table, four sizes of ten ratios and five seeds each: 200 runs (fewer seeds in a small table)."""
    seeds = min(max(rows // 1600, 1), 5)
    points = max(rows // (80 * seeds), 6)
    params, ratio, seed, step = grid([6e7, 1.2e8, 2.5e8, 1e9], np.linspace(0.05, 0.95, 10), seeds, points)
    return continued(params, ratio, seed, 2e10 * (step + 1) / points, rng)


def continued(
    params: np.ndarray, ratio: np.ndarray, seed: np.ndarray, tokens: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows of continued runs on two evaluation sets, and of the starting models."""
    t = tokens / 1e9
    general = 2.6 + 0.5 * ratio**2 * (1 - np.exp(-t / 0.8)) - 0.06 * (1 - 0.5 * ratio) * np.log1p(t)
    domain = 2.9 - 0.25 * ratio**0.3 * np.log1p(t / 0.1)
    run = [f"{n:g}-{r:g}-{s:g}" for n, r, s in zip(params, ratio, seed, strict=True)]
    trunk = [f"{n:g}-{s:g}" for n, s in zip(params, seed, strict=True)]
    table = pd.DataFrame({"run": run, "trunk": trunk, "params": params, "domain_ratio": ratio, "tokens": tokens})
    luck = dict(zip(dict.fromkeys(run), rng.normal(0, 0.003, len(set(run))), strict=True))
    own = table["run"].map(luck).to_numpy()
    start = table.drop_duplicates("run").assign(tokens=0.0)
    parts = [
        part.assign(eval_on=name, loss=np.append(loss + own, [begun] * len(start)) + rng.normal(0, 0.004, len(part)))
        for name, loss, begun, part in (
            ("general", general, 2.6, pd.concat([table, start])),
            ("domain", domain, 2.9, pd.concat([table, start])),
        )
    ]
    return pd.concat(parts)


def domains_table(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Eleven runs of a million tokens on mixtures of two domains, three evaluation sets."""
    setup = DomainSetup(points=max(rows // 33, 6))
    return simulate_domains(setup, int(rng.integers(1000))).table


def ledger_table(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Runs of every kind at three sizes: 78 runs, as many checkpoints as it takes."""
    world = World(replicated=World().ratios, points=max(rows // 66, 6))
    return simulate(world, int(rng.integers(1000)))


def split_table(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Five sizes, six seeds of each (checkpoints of ten trunks), experts measured at any token count."""
    params, seeds = (rng.choice(values, rows) for values in ([1e8, 2e8, 3.5e8, 7.6e8, 1.3e9], SEEDS))
    tokens = np.where(rng.random(rows) < 0.05, 0.0, np.exp(rng.uniform(np.log(1e9), np.log(4e10), rows)))
    tokens = np.where((seeds == 0) & (tokens == 0), 1e9, tokens)
    table = pd.DataFrame({"params": params, "seed_tokens": seeds, "tokens": tokens})
    table["run"] = np.char.add("r", np.arange(rows).astype(str))
    trunk = rng.integers(0, 10, rows)
    table["trunk"] = np.char.add("t", trunk.astype(str))
    noise = rng.normal(0, 0.003, rows) + rng.normal(0, 0.002, 10)[trunk]
    return table.assign(loss=SPLIT.predict(PRESET, table) + noise)


SEEDS = [0.0, 5e9, 2e10, 6e10, 1.2e11, 2.4e11]


def specialize_table(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two regimes, checkpoints of runs with five seeds, up to ten sizes: curves that fall and rise again."""
    sizes = np.geomspace(5e7, 14e9, 10 if rows >= 1000 else 2)
    points = max(rows // (2 * len(sizes) * 5), 5)
    params, general, seed, step = grid(sizes, [0, 1], np.arange(5), points)
    tokens = 2e9 * 30.0 ** (step / (points - 1))  # to 60e9
    best = np.where(general == 1, 5e10 * (params / 1e9) ** -0.1, 2e10 * (params / 1e9) ** -0.35)
    level = np.log(2.6) - 0.1 * np.log(params / 1e9) + 0.08 * general
    log = level + 0.05 * np.log(tokens / best) ** 2 + rng.normal(0, 0.004, len(params))
    return pd.DataFrame({
        "params": np.round(params), "train_on": np.where(general == 1, "general", "law"), "tokens": np.round(tokens),
        "seed": seed.astype(int), "eval_on": "exam", "perplexity": np.exp(log),
    })  # fmt: skip


def many_sizes(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """As specialize_table, all rows in ever more sizes of ten checkpoints and one seed each."""
    sizes = np.geomspace(5e7, 14e9, max(rows // 20, 2))
    params, general, step = grid(sizes, [0, 1], 10)
    tokens = 2e9 * 40.0 ** (step / 9)
    best = np.where(general == 1, 5e10 * (params / 1e9) ** -0.1, 2e10 * (params / 1e9) ** -0.35)
    level = np.log(2.6) - 0.1 * np.log(params / 1e9) + 0.08 * general
    log = level + 0.05 * np.log(tokens / best) ** 2 + rng.normal(0, 0.004, len(params))
    return pd.DataFrame({
        "params": params, "train_on": np.where(general == 1, "general", "law"), "tokens": np.round(tokens),
        "eval_on": "exam", "perplexity": np.exp(log),
    })  # fmt: skip


def accuracy_table(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sizes and tokens anywhere on the plane, with losses: all laws take part."""
    params = 10 ** rng.uniform(7.8, 9.2, rows)
    tokens = params * 10 ** rng.uniform(1, 2.2, rows)
    share = np.exp(-0.35 / (params / 1e9) ** 0.35 - 0.5 / (tokens / 1e9) ** 0.3)
    loss = (1.8 + 480 / params**0.35 + 2100 / tokens**0.37) * np.exp(rng.normal(0, 0.003, rows))
    accuracy = 0.25 + 0.75 * share + rng.normal(0, 0.008, rows)
    table = pd.DataFrame({"params": params, "tokens": tokens, "loss": loss, "accuracy": accuracy.clip(0, 1)})
    table["run"] = np.char.add("r", np.arange(rows).astype(str))
    return table.assign(chance=0.25)


def grid(*parts: object) -> list[np.ndarray]:
    """Every combination of the parts' values, the last fastest; a number stands for 0 .. number - 1."""
    lists = [np.arange(part) if isinstance(part, int) else np.asarray(part) for part in parts]
    return [values.ravel().astype(float) for values in np.meshgrid(*lists, indexing="ij")]


@dataclass(frozen=True)
class Case:
    """A question: the verb, a name for the line, the table by rows, and what is asked."""

    verb: str
    name: str
    table: Callable[[int, np.random.Generator], pd.DataFrame]
    asked: tuple[str, ...]


CASES = (
    Case("mixture", "mixture", mixture_table, ("--horizon", "4e10")),
    Case("mixture", "mixture, 200 runs", many_runs, ("--horizon", "4e10")),
    Case("mixture", "mixture of two domains", domains_table, ("--domains", "law,code", "--horizon", "2e6")),
    Case("next", "next, for a mixture", mixture_table, ("--horizon", "4e10")),
    Case("next", "next, for a mixture, 200 runs", many_runs, ("--horizon", "4e10")),
    Case("decide", "decide", ledger_table, ("--flops-budget", "2e20", "--pilots", "sunk", "--domains", "4")),
    Case("split", "split", split_table, ("--params", "2.7e9", "--tokens", "347e9", "--domains", "16")),
    Case("specialize", "specialize", specialize_table, ()),
    Case("specialize", "specialize, a tenth as many sizes as rows", many_sizes, ()),
    Case("accuracy", "accuracy", accuracy_table, ("--params", "4e9", "--tokens", "80e9")),
)


@dataclass(frozen=True)
class Cost:
    """Of one process: CPU seconds, and the most memory it held, MB."""

    seconds: float
    megabytes: float
    code: int


def cost_of(command: list[str], repeats: int) -> Cost:
    """The least CPU time of some runs, and the most memory of any."""
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(command, stdout=said, stderr=said)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode not in (0, 3):  # 3: not decidable from these rows, which is an answer
                said.seek(0)
                sys.exit(f"{' '.join(command)}\n{said.read().decode()}")
        found.append(Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, child.returncode))
    return Cost(min(c.seconds for c in found), max(c.megabytes for c in found), found[-1].code)


def written(table: Callable[[int, np.random.Generator], pd.DataFrame], rows: int, file: Path) -> None:
    """The table of about so many rows as a file."""
    table(rows, np.random.default_rng(0)).to_csv(file, index=False)


def measured(case: Case, rows: int, repeats: int, folder: Path) -> dict[str, object]:
    """One line of the table."""
    file = folder / "table.csv"
    # a child starts with the memory of its parent: tables are made elsewhere
    maker = multiprocessing.get_context("spawn").Process(target=written, args=(case.table, rows, file))
    maker.start()
    maker.join()
    python = [sys.executable]
    read = cost_of([*python, "-c", READ, str(file)], repeats)
    verb = cost_of([*python, "-m", "speciate.cli.main", "plan", case.verb, str(file), *case.asked, "--json"], repeats)
    return {
        "verb": case.name, "rows": rows, "seconds": round(verb.seconds, 2), "megabytes": round(verb.megabytes),
        "times_reading": round(verb.seconds / read.seconds, 1), "seconds_reading": round(read.seconds, 2),
        "megabytes_reading": round(read.megabytes), "decided": verb.code == 0,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: [int(float(part)) for part in text.split(",")], default=list(ROWS))
    parser.add_argument("--verbs", type=lambda text: text.split(","), default=sorted({case.verb for case in CASES}))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="100 rows, once: for tests")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    rows, repeats = ([100], 1) if asked.quick else (asked.rows, asked.repeats)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        if not asked.json:
            print("| verb | rows | CPU s | peak MB | times reading | reading alone, CPU s, MB |")
            print("|---|---|---|---|---|---|")
        for case in CASES:
            if case.verb not in asked.verbs:
                continue
            for count in rows:
                line = measured(case, count, repeats, Path(folder))
                lines.append(line)
                if not asked.json:
                    print(
                        f"| {line['verb']} | {line['rows']:,} | {line['seconds']} | {line['megabytes']} "
                        f"| {line['times_reading']} | {line['seconds_reading']}, {line['megabytes_reading']} |",
                        flush=True,
                    )
    if asked.json:
        print(json.dumps({"lines": lines}))


if __name__ == "__main__":
    main()
