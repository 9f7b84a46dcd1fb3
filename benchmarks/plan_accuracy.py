"""plan accuracy asked for the large runs of published studies, from the small ones: error and coverage.

    python benchmarks/plan_accuracy.py [--data ../shared/data]

Gadre et al. 2403.08540: 1.4B models from those up to 412M, and 412M models from those up to 154M, three corpora, every
task of at least 1,000 questions. OLMo ladder 2412.04403: 7B and 13B models from those up to 1.3B, eight tasks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from speciate.errors import NotDecidable
from speciate.planning.accuracy.plan import plan_accuracy

FEWEST_QUESTIONS = 1000
OF_THE_PAPER = ("arc_easy", "piqa", "lambada_openai")  # also in Krajewski et al., and above chance at half of the rows
LADDER_CHANCE = {"mmlu": 0.25, "hellaswag": 0.25, "arc": 0.25, "piqa": 0.5, "csqa": 0.2, "socialiqa": 1 / 3,
                 "openbookqa": 0.25}  # fmt: skip
Series = tuple[str, str, pd.DataFrame, pd.DataFrame]  # study, task, rows seen, rows asked for


def gadre(data: Path, size: float) -> Iterator[Series]:
    """Runs below ``size`` parameters (embeddings included), and the next larger ones."""
    evals = pd.read_csv(data / "overtraining_evals.csv")
    losses = pd.read_csv(data / "overtraining_losses.csv")
    evals = evals.merge(losses[losses.val_data.str.contains("c4_val")][["name", "loss"]], on="name")
    tasks = pd.read_csv(data / "overtraining_tasks.csv").set_index("Eval Task")
    for corpus, runs in evals.groupby("dataset"):
        for task in tasks.index[tasks["#datapoints"] >= FEWEST_QUESTIONS].intersection(runs.columns):
            rows = pd.DataFrame({
                "run": runs.name, "params": runs.params_no_embed, "tokens": runs.tokens.astype(float),
                "loss": runs.loss, "accuracy": runs[task].astype(float),
                "chance": tasks.loc[task, "Random baseline"] / 100,
            })  # fmt: skip
            seen, next_size = runs.params < size, (runs.params >= size) & (runs.params < 4 * size)
            asked = rows[next_size & rows.accuracy.notna()]
            yield f"Gadre {size:.0e} {corpus}", task, rows[seen & rows.accuracy.notna()], asked


def ladder(data: Path) -> Iterator[Series]:
    """Final checkpoints; their loss is bits per byte of the task."""
    table = pd.read_csv(data / "olmo_ladder_final_points.csv")
    for task, runs in table.groupby("task"):
        rows = pd.DataFrame({
            "run": runs.model + runs.length.fillna(""), "params": runs.N.astype(float), "tokens": runs.D.astype(float),
            "bits_per_byte": runs.task_bpb, "accuracy": runs.task_acc_rc,
            "chance": LADDER_CHANCE[str(task).partition("_")[0]],
        })  # fmt: skip
        yield "OLMo ladder", str(task), rows[runs["mode"] == "train"], rows[runs["mode"] == "eval"]


def answers(series: Iterator[Series]) -> pd.DataFrame:
    """One row per question asked."""
    found = []
    for study, task, seen, asked in series:
        half = bool((seen.accuracy - seen.chance > 0.05).mean() >= 0.5)
        for _, run in asked.iterrows():
            line = {"study": study, "task": task, "half": half, "measured": run.accuracy}
            try:
                one = plan_accuracy(seen, params=run.params, tokens=run.tokens)
            except NotDecidable as error:
                found.append({**line, "answered": False, "status": error.reason})
                continue
            assert one.accuracy is not None and one.low is not None and one.high is not None
            found.append({
                **line, "answered": True, "decided": one.decided, "accuracy": one.accuracy, "low": one.low,
                "high": one.high, "inside": one.low <= run.accuracy <= one.high, "law": one.law, "reach": one.reach,
                "mre": abs(one.accuracy / run.accuracy - 1), "width": one.high - one.low, "status": one.status,
            })  # fmt: skip
    return pd.DataFrame(found)


def summary(name: str, rows: pd.DataFrame) -> str:
    """Coverage, width and error of some answers."""
    if rows.empty:
        return f"{name}: none"
    inside = f"{int(rows.inside.sum())} of {len(rows)} inside ({100 * rows.inside.mean():.0f} %)"
    error = f"MRE {100 * rows.mre.mean():.2f} %, median {100 * rows.mre.median():.2f} %"
    return f"{name}: {inside}, width {rows.width.mean():.3f}, {error}"


def main() -> None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=beside, help="folder of the published figures")
    data: Path = parser.parse_args().data
    if not (data / "overtraining_evals.csv").exists():
        sys.exit(f"no published figures in {data}; give --data FOLDER")
    for name, series in (("OLMo ladder, 7B and 13B", ladder(data)), ("Gadre, 1.4B", gadre(data, 1e9)),
                         ("Gadre, 412M", gadre(data, 4e8))):  # fmt: skip
        every = answers(series)
        rows = every[every.answered.astype(bool)].assign(inside=lambda rows: rows.inside.astype(bool))
        print(f"{name}: {len(every)} questions, {len(every) - len(rows)} at chance or with too few rows")
        print(summary("  answered", rows))
        print(summary("  decided", rows[rows.decided.astype(bool)]))
        print(summary("  above chance by 5 points at half of the rows", rows[rows.half]))
        print(summary("  of these ARC-Easy, PIQA, LAMBADA", rows[rows.half & rows.task.isin(OF_THE_PAPER)]))


if __name__ == "__main__":
    main()
