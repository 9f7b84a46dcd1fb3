"""A whole split study on real text: ../shared/data/corpora in K clusters, two sizes, two pilot budgets, carried out.

    python benchmarks/split_study.py [--out DIR] [--clusters 8] [--scale 1.0] [--seed 0] [--until STAGE]

Prints what the study measured: the error of the law, fitted on the short runs, on the longer splits it had not seen;
the regret of the chosen split among all options tried at equal total tokens, and whether it fell into its sealed
interval; the loss with routing against the right expert; the table of perplexities (paper 001, table 4). ``--scale``
multiplies every number of tokens. The same command goes on with a study that was stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from speciate.planning.split.at import losses_at

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "data" / "corpora"
STUDY = """\
decide: split
name: {clusters} clusters of eight kinds of text
seed: {seed}
corpus:
  sources:
{sources}
  clusters: {clusters}
  cap_megabytes: 8
  vocabulary: 1024
models:
  - {{name: small, hidden_size: 32, layers: 3, heads: 2, intermediate_size: 80}}
  - {{name: medium, hidden_size: 64, layers: 3, heads: 4, intermediate_size: 160}}
training: {{sequence_length: 256, batch_sequences: 8, learning_rate: 3.0e-3, warmup_tokens: 51_200}}
split:
  budgets: [{short}, {long}, {longest}]
  shares: [0, 0.1, 0.25, 0.5, 0.75, 1]
  extra_seeds: {{0.75: [1]}}
  learning_rate: 3.0e-3
  warmup_tokens: 10_240
plan:
  total_tokens: {total}
  options: [0, 0.1, 0.25, 0.5, 0.75, 1]
evaluation: {{tokens_per_set: 32_768, points: 12}}
compute: {{processes: 2, threads: 1}}
"""
BUDGETS = {"short": 3_145_728, "long": 6_291_456, "longest": 12_582_912, "total": 18_874_368}


def write_study(folder: Path, clusters: int, scale: float, seed: int) -> Path:
    """The study file; the same every time it is asked for the same."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = "\n".join(f"    {file.name.split('.')[0]}: {file}" for file in sorted(CORPORA.glob("*.jsonl.zst")))
    unit = 2048 * clusters
    budgets = {name: max(1, round(tokens * scale / unit)) * unit for name, tokens in BUDGETS.items()}
    path = folder / "study.yaml"
    path.write_text(STUDY.format(clusters=clusters, sources=sources, seed=seed, **budgets), encoding="utf-8")
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def show_tried(folder: Path) -> None:
    """Predicted against measured at equal total tokens."""
    comparison = read(folder / "comparison.json")
    tried = comparison["tried"]
    print("\nshare of the seed  predicted (sealed interval)    measured  chosen")
    for one in tried:
        interval = f"{one['low']:.4f} to {one['high']:.4f}" if one["low"] is not None else "-"
        print(f"{one['share']:17.3f}  {one['predicted']:.4f} ({interval})  {one['measured']:.4f}  {one['chosen']}")
    errors = [abs(one["predicted"] - one["measured"]) for one in tried]
    print(f"law fitted on the short runs, on the longer options: MAE {sum(errors) / len(errors):.4f} nats (goal .02)")
    chosen = next(one for one in tried if one["chosen"])
    best = min(tried, key=lambda one: one["measured"])
    inside = chosen["low"] is not None and chosen["low"] <= chosen["measured"] <= chosen["high"]
    print(
        f"chosen share {chosen['share']:.3f}: {chosen['measured'] - best['measured']:.4f} nats above the best tried "
        f"(share {best['share']:.3f}; goal .01), inside its sealed interval: {inside}; {comparison['verdict']}"
    )


def show_longer(folder: Path) -> None:
    """The law of the plan on everything that was measured beyond the longest pilots, on the way to each option too."""
    pilots = pd.read_parquet(folder / "fits" / "rows.parquet")
    plan, ledger = read(folder / "plan.json"), pd.read_parquet(folder / "ledger.parquet")
    params, domains = plan["params"], len(plan["domains"])
    measured = ledger[(ledger["eval_on"] == "mean") & (ledger["params"] == params)]
    measured = measured.assign(spent=measured["seed_tokens"].fillna(0) + domains * measured["tokens"])
    fitted = pilots[pilots["params"] == params]
    longest = (fitted["seed_tokens"].fillna(0) + domains * fitted["tokens"]).max()
    split = fitted["tokens"] > 0  # nothing is asked of experts younger than any that the law has seen
    held = measured[(measured["spent"] > longest) & ~measured["tokens"].between(1, fitted[split]["tokens"].min() - 1)]
    runs = list(zip(held["seed_tokens"].fillna(0), held["tokens"], strict=True))
    said = losses_at(fitted, runs, params=params, domains=domains, eval_on="mean", draws=100)
    errors = [abs(one["value"] - loss) for one, loss in zip(said, held["loss"], strict=True)]
    print(
        f"on all {len(errors)} measurements that cost more than the longest pilots (to {measured['spent'].max():.3g} "
        f"tokens after {longest:.3g}): MAE {sum(errors) / len(errors):.4f} nats, fitted on {len(fitted)}"
    )


def show_routing(folder: Path) -> None:
    """What routing costs, and the paper's table 4."""
    routing = read(folder / "routing.json")
    over = routing["routed_over_oracle"] - 1
    print(
        f"\nlosses of {routing['held_out_texts']} held-out texts after {routing['prefix_tokens']} tokens: right expert "
        f"{routing['oracle']:.4f}, routed {routing['routed']:.4f} ({over:+.2%}; goal 1 %), "
        f"uniform ensemble {routing['ensemble']:.4f}, unsplit {routing['base']:.4f}; "
        f"routed right {routing['routed_right']:.1%}"
    )
    print("perplexity         unsplit   expert routed to most often")
    for one in routing["sources"]:
        base, expert = (math.exp(one[name]) for name in ("base", "expert_loss"))
        print(f"{one['source']:17}  {base:7.2f}   {expert:7.2f}  {one['expert']} ({one['share']:.0%})")


def main() -> None:
    """Run the study and print what it found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("split-study"))
    parser.add_argument("--clusters", type=int, default=8)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until", default="report")
    options = parser.parse_args()
    study = write_study(options.out, options.clusters, options.scale, options.seed)
    started = time.monotonic()
    code = subprocess.run(
        [sys.executable, "-m", "speciate", "run", str(study), "--until", options.until], check=False
    ).returncode
    print(f"\nexit code {code} after {(time.monotonic() - started) / 60:.1f} minutes of this launch")
    if (options.out / "cost.json").exists():
        cost = read(options.out / "cost.json")
        tokens = cost.get("tokens", 0) / 1e6
        print(f"of all launches: {cost['wall_seconds'] / 60:.1f} minutes, {tokens:.1f}M tokens trained")
    parts = (("comparison.json", show_tried), ("comparison.json", show_longer), ("routing.json", show_routing))
    for name, show in parts:
        if (options.out / name).exists():
            show(options.out)
    sys.exit(code)


if __name__ == "__main__":
    main()
