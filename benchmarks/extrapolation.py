"""Laws fitted to small runs of published studies, asked for their large ones; beside what was published.

    python benchmarks/extrapolation.py [--data ../shared/data]

One table. Errors are |predicted / measured - 1|, their mean over the rows predicted. Nothing is tuned here: every fit
is ``solve`` with the law's own objective, on all rows that the stated rule leaves.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve
from speciate.laws.accuracy_broken import ACCURACY_BROKEN
from speciate.laws.accuracy_ceiling import ACCURACY_CEILING
from speciate.laws.accuracy_compute import ACCURACY_COMPUTE
from speciate.laws.accuracy_loss_linear import ACCURACY_LOSS_LINEAR
from speciate.laws.accuracy_loss_logistic import ACCURACY_LOSS_LOGISTIC
from speciate.laws.accuracy_params_tokens import ACCURACY_PARAMS_TOKENS
from speciate.laws.chinchilla import CHINCHILLA
from speciate.laws.law import Array, Inputs, Law
from speciate.laws.loss_compute import LOSS_COMPUTE
from speciate.laws.sger import SGER

LARGE = 1e9  # parameters; the models of Gadre et al. below it are fitted, the 1.4B ones predicted
MARGIN = 0.05  # runs nearer to chance than this are left out: they say nothing yet
# Gadre's tasks that Krajewski et al. report too; the rule above leaves out ARC-Challenge and WinoGrande altogether
SHARED_TASKS = ("arc_easy", "arc_challenge", "piqa", "hellaswag", "winogrande", "lambada_openai")
LADDER = {  # chance, accuracy at 7B-4T as the ladder predicted it and as measured, % (2412.04403)
    "mmlu_avg_test_5shot": (0.25, 48.4, 49.0),
    "hellaswag_val_5shot": (0.25, 82.5, 81.3),
    "arc_challenge_test_5shot": (0.25, 51.5, 61.9),
    "arc_easy_test_5shot": (0.25, 76.6, 84.6),
    "piqa_val_5shot": (0.5, 81.2, 82.0),
    "csqa_val_5shot": (0.2, np.nan, np.nan),
    "socialiqa_val_5shot": (1 / 3, np.nan, np.nan),
    "openbookqa_test_5shot": (0.25, np.nan, np.nan),
}
PORIAN = {  # exponents of N*(C) in 2406.19146
    "refinedweb|rw|base|long|kaplan|kaplan|train": 0.833768,
    "refinedweb|rw|base|long|kaplan|standard|val": 0.700899,
    "refinedweb|rw|base|short|kaplan|standard|val": 0.603528,
    "refinedweb|rw|base|short|chinchilla|standard|val": 0.571425,
    "refinedweb|rw|tuned|short|const|standard|val": 0.497029,
}
PUBLISHED_MRE = {"direct": "1.96 %", "broken": "2.71 %", "by loss, linear": "6.67 %", "by loss, logistic": "6.35 %"}
REPEATED = {"params": [8.7e9], "tokens": [178e9], "unique_tokens": [178e9 / 7]}
Predict = Callable[[pd.DataFrame, pd.DataFrame], Array]


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    fitted_on: str
    predicts: str
    published: str
    ours: str
    verdict: str


def inputs(law: Law, rows: pd.DataFrame) -> dict[str, Array]:
    return {given.name: rows[given.name].to_numpy(dtype=float) for given in law.inputs}


def fitted(law: Law, rows: pd.DataFrame) -> Array:
    return solve(law, inputs(law, rows), rows[law.output].to_numpy(dtype=float)).theta


def errors(law: Law, small: pd.DataFrame, large: pd.DataFrame) -> Array:
    """Relative errors on the large rows of the law fitted to the small ones."""
    guess = law.predict(fitted(law, small), inputs(law, large))
    relative: Array = np.abs(guess / large[law.output].to_numpy(dtype=float) - 1)
    return relative


def percent(values: Array | list[float]) -> str:
    return f"{100 * float(np.mean(values)):.2f} %"


def one_exponent(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, N^-alpha, D^-alpha: Gadre's E + (a M^eta + b M^-eta) C^-eta with M = D/N, alpha = 2 eta."""
    return 1.0, np.exp(-nonlinear["alpha"] * np.log(x["params"])), np.exp(-nonlinear["alpha"] * np.log(x["tokens"]))


GADRE = replace(CHINCHILLA, name="gadre", parameters=CHINCHILLA.parameters[:4], terms=one_exponent, slopes=None)


def losses_line(what: str, said: str, published: str, ours: Array, theirs: Array) -> Line:
    within = [name for name, found in (("chinchilla", ours), ("one exponent", theirs)) if found.mean() < 0.01]
    verdict = f"within 1 %: {' and '.join(within)}" if within else "beyond 1 %"
    found = f"chinchilla {percent(ours)}, one exponent {percent(theirs)}"
    return Line(what, said, f"{len(ours)} of 1.4B", published, found, verdict)


def gadre_losses(data: Path) -> list[Line]:
    """Chinchilla on non-embedding parameters (our convention), and Gadre's law on all parameters (theirs)."""
    table = pd.read_csv(data / "overtraining_losses.csv").rename(columns={"params": "all_params"})
    lines, everything = [], []
    for (corpus, path), rows in table.groupby(["dataset", "val_data"]):
        small, large = rows[rows.all_params < LARGE], rows[rows.all_params > LARGE]
        ours = errors(
            CHINCHILLA, small.assign(params=small.params_no_embed), large.assign(params=large.params_no_embed)
        )
        theirs = errors(GADRE, small.assign(params=small.all_params), large.assign(params=large.all_params))
        everything.append((path, ours, theirs))
        what = f"loss of {corpus.split('_')[0]} on {path.split('/')[-2][:29]}"
        lines.append(losses_line(what, f"{len(small)} runs <= 412M", "within 1 %", ours, theirs))
    for name, mark, said in (("C4", "/c4_val/", "0.7 % (one model)"), ("all 8 sets", "", "within 1 %")):
        ours, theirs = (np.concatenate([entry[i] for entry in everything if mark in entry[0]]) for i in (1, 2))
        lines.append(losses_line(f"loss of all corpora on {name}", "runs <= 412M", said, ours, theirs))
    return lines


def direct(law: Law) -> Predict:
    """Accuracy of the large runs from a law fitted to the small ones."""
    return lambda small, large: law.predict(fitted(law, small), inputs(law, large))


def by_loss(law: Law) -> Predict:
    """Accuracy in two stages: loss from compute, accuracy from loss."""

    def predict(small: pd.DataFrame, large: pd.DataFrame) -> Array:
        loss = LOSS_COMPUTE.predict(fitted(LOSS_COMPUTE, small), inputs(LOSS_COMPUTE, large))
        return law.predict(fitted(law, small), {"loss": loss})

    return predict


def least_squares_of_logarithms(small: pd.DataFrame, large: pd.DataFrame) -> Array:
    """The direct law as the paper fits it: OLS of ln(-ln Q') on ln C."""
    chance = float(small.chance.iloc[0])
    above = ((small.accuracy - chance) / (1 - chance)).to_numpy()
    line = np.polyfit(np.log(small.flops), np.log(-np.log(above)), 1)
    return chance + (1 - chance) * np.exp(-np.exp(np.polyval(line, np.log(large.flops.to_numpy()))))


RIVALS: dict[str, tuple[Predict, int]] = {  # and how many runs each needs at least
    "direct": (direct(ACCURACY_COMPUTE), 3),
    "direct, OLS of ln(-ln Q')": (least_squares_of_logarithms, 3),
    "with a ceiling": (direct(ACCURACY_CEILING), 4),
    "size and tokens": (direct(ACCURACY_PARAMS_TOKENS), 5),
    "broken": (direct(ACCURACY_BROKEN), 7),
    "by loss, linear": (by_loss(ACCURACY_LOSS_LINEAR), 3),
    "by loss, logistic": (by_loss(ACCURACY_LOSS_LOGISTIC), 5),
}


def gadre_series(data: Path) -> list[pd.DataFrame]:
    """One table per corpus and task: accuracy with its chance, compute, and the loss on C4."""
    evals = pd.read_csv(data / "overtraining_evals.csv")
    losses = pd.read_csv(data / "overtraining_losses.csv")
    losses = losses[losses.val_data.str.contains("c4_val")][["name", "loss"]]
    chance = pd.read_csv(data / "overtraining_tasks.csv").set_index("Eval Task")["Random baseline"] / 100
    evals = evals.merge(losses, on="name")
    evals["flops"] = 6.0 * evals.params_no_embed * evals.tokens
    evals["large"] = evals.params > LARGE
    evals["params"] = evals.params_no_embed
    kept = ["dataset", "params", "tokens", "flops", "loss", "mult", "large"]
    return [
        rows[kept].assign(accuracy=rows[task], chance=chance[task], task=task)
        for _, rows in evals.groupby("dataset")
        for task in SHARED_TASKS
    ]


def ladder_series(data: Path) -> list[pd.DataFrame]:
    """One table per task of the OLMo ladder; its loss is the task's own, in bits per byte."""
    table = pd.read_csv(data / "olmo_ladder_final_points.csv")
    table = table.rename(columns={"N": "params", "D": "tokens", "task_acc_rc": "accuracy", "task_bpb": "loss"})
    table["flops"], table["large"] = 6.0 * table.params * table.tokens, table["mode"] == "eval"
    return [table[table.task == task].assign(chance=given[0]) for task, given in LADDER.items()]


def compared(
    name: str, series: list[pd.DataFrame], said: str, least: int, rivals: list[str], margin: float = MARGIN
) -> list[Line]:
    """Each rival's error on the large runs, over the series that keep enough runs above chance for all of them."""
    usable = []
    for rows in series:
        far = rows[rows.accuracy - rows.chance > margin]
        if len(far[~far.large]) >= least and far.large.any():
            usable.append((far[~far.large], far[far.large]))
    lines = []
    for rival in rivals:
        found = [np.abs(RIVALS[rival][0](small, large) / large.accuracy.to_numpy() - 1) for small, large in usable]
        mean, middle = percent(np.concatenate(found)), f"median {100 * np.median(np.concatenate(found)):.2f} %"
        published = f"{PUBLISHED_MRE[rival]} (own runs)" if rival in PUBLISHED_MRE else ""
        count = f"{sum(len(large) for _, large in usable)} rows, {len(usable)} series"
        lines.append(Line(f"{name}: {rival}", said, count, published, f"{mean}, {middle}", ""))
    best = min(lines, key=lambda line: float(line.ours.split(" ")[0]))
    return [replace(line, verdict="best" if line is best else "") for line in lines]


def accuracies(data: Path) -> list[Line]:
    """Section 5's laws: at one ratio of tokens to parameters, at all ratios, and on the OLMo ladder."""
    gadre = gadre_series(data)
    at_one = [rows[rows["mult"] == m] for rows in gadre for m in rows["mult"][rows.large].unique()]
    few = [name for name, (_, least) in RIVALS.items() if least <= 3]
    lines = compared("accuracy, Gadre, one ratio", at_one, "<= 412M", 3, few)
    lines += compared("the same, all that is above chance", at_one, "<= 412M", 3, few[:2], 0.0)
    lines += compared("accuracy, Gadre, any ratio", gadre, "<= 412M", 8, list(RIVALS))
    lines += compared("accuracy, OLMo ladder", ladder_series(data), "<= 1.3B", 8, list(RIVALS))
    rows = [r[(r["mult"] == 1)] for r in gadre if r.task.iloc[0] == "arc_easy"]
    at = pd.DataFrame({"flops": [6 * 20 * 6.9e9**2], "chance": [0.25]})
    guesses = [
        float(ACCURACY_COMPUTE.predict(fitted(ACCURACY_COMPUTE, r), inputs(ACCURACY_COMPUTE, at))[0]) for r in rows
    ]
    shown = " ".join(f"{guess:.3f}" for guess in guesses)
    said = "measured value not in the file"
    return [*lines, Line("ARC-Easy at 6.9B, 20 tokens/parameter", "<= 1.4B", "3 corpora", said, shown, "not checked")]


def gemstones(data: Path) -> list[Line]:
    """The published optima beside ours, and the largest quarter of the sizes predicted from the others."""
    table = pd.read_csv(data / "gemstones_N_D_loss.csv").rename(columns={"N": "params", "D": "tokens"})
    known = pd.read_csv(data / "reference_fits.csv").set_index(["dataset", "delta"])
    lines = []
    for subset, rows in table.groupby("subset"):
        name, sizes = f"gemstones_{subset}", np.sort(rows.params.unique())
        if (name, 1e-3) in known.index:
            found = solve(CHINCHILLA, inputs(CHINCHILLA, rows), rows.loss.to_numpy())
            excess = float(known.loc[(name, 1e-3), "obj_published"]) / found.objective - 1
            verdict = "agrees" if -1e-9 < excess < 3e-6 else "differs"
            text = f"published is {excess:.1e} above ours"
            lines.append(Line(f"gemstones {subset}: optimum", f"{len(rows)} rows", "-", "3e-6", text, verdict))
        if len(sizes) < 20:  # too few to keep any apart
            continue
        cut = sizes[-(len(sizes) // 4)]
        missed = errors(CHINCHILLA, rows[rows.params < cut], rows[rows.params >= cut])
        said, asked = f"< {cut / 1e9:.2f}B", f"{len(missed)} rows to {sizes[-1] / 1e9:.1f}B"
        lines.append(Line(f"gemstones {subset}: larger sizes", said, asked, "", percent(missed), ""))
    return lines


def porian(data: Path) -> list[Line]:
    """Exponents of the optimal size: a straight line through (ln C, ln N*). SGER's law is the power law at hand."""
    pairs = pd.read_csv(data / "porian_optimal_pairs.csv").dropna(subset=["n", "flops"])
    lines = []
    for config, published in PORIAN.items():
        rows = pairs[pairs.config == config]
        x = {"params": rows.flops.to_numpy()}
        found = solve(SGER, x, rows.n.to_numpy(), objective="log-huber", delta=1e3)  # a corner beyond all rows: squares
        exponent = float(found.theta[1])
        verdict = "agrees" if abs(exponent - published) < 1e-6 else "differs"
        what = f"Porian exponent {config.split('|', 2)[2]}"
        lines.append(Line(what, f"{len(rows)} pairs", "-", f"{published:.6f}", f"{exponent:.6f}", verdict))
    return lines


def repetition(data: Path) -> list[Line]:
    """The repetition law's value at the published constants; and fitted to small models, beside Chinchilla's."""
    try:
        module = importlib.import_module("speciate.laws.repetition")
    except ModuleNotFoundError:
        return [Line("repetition law", "", "", "2.22608", "absent", "")]
    law: Law = module.REPETITION
    value = float(law.predict(module.PUBLISHED, REPEATED)[0])
    verdict = "agrees" if abs(value - 2.22608) < 5e-6 else "differs"
    lines = [Line("repetition: 8.7B, 178B tokens, 7 epochs", "constants", "value", "2.22608", f"{value:.5f}", verdict)]
    table = pd.read_csv(data / "datablations_N_D_U_loss.csv")
    table = table.rename(columns={"N": "params", "D": "tokens", "U": "unique_tokens"})
    table = table[table.epochs <= 10]  # beyond, text gets worse than worthless, which no effective count can be
    small, large = table[table.params < 4e9], table[table.params > 4e9]
    measured = large.loss.to_numpy()
    published = np.abs(law.predict(module.PUBLISHED, inputs(law, large)) / measured - 1)
    ours, plain = errors(law, small, large), errors(CHINCHILLA, small, large)
    found = f"{percent(ours)} (chinchilla {percent(plain)})"
    verdict = "repetition helps" if ours.mean() < plain.mean() else "repetition does not help"
    said = f"{len(small)} rows < 4B, <= 10 epochs"
    return [
        *lines,
        Line("repetition, refitted", said, f"{len(large)} rows to 8.7B", percent(published), found, verdict),
    ]


def ladder(data: Path) -> list[Line]:
    """Step 1, bits per byte from N and D; step 2, accuracy from bits per byte, final checkpoints only.

    Step 2 gets the ladder's two ideal rows: perfect at 0 bits, chance at the most bits seen. The ladder fits all
    intermediate checkpoints too, which the file lacks.
    """
    lines = []
    for rows in ladder_series(data):
        task = str(rows.task.iloc[0])
        chance, published, actual = LADDER[task]
        small, large = rows[~rows.large], rows[rows.model == "7B-4T"]
        theta = fitted(CHINCHILLA, small)
        if task.startswith("mmlu"):
            e, a, b, alpha, beta = theta
            found = f"{a:.2f} {alpha:.3f} {b:.2f} {beta:.3f} {e:.3f}"
            agrees = "agrees" if found == "38.07 0.226 100.09 0.236 0.454" else "differs"
            said = "38.07 .226 100.09 .236 .454"
            lines.append(Line("OLMo ladder MMLU bits/byte: A alpha B beta E", "16 runs", "-", said, found, agrees))
        if np.isnan(published):
            continue
        bits = CHINCHILLA.predict(theta, inputs(CHINCHILLA, large))
        seen = {"loss": np.append(small.loss, [0.0, small.loss.max()])}
        step = solve(ACCURACY_LOSS_LOGISTIC, seen, np.append(small.accuracy, [1.0, chance])).theta
        chained = 100 * float(ACCURACY_LOSS_LOGISTIC.predict(step, {"loss": bits})[0])
        law = ACCURACY_PARAMS_TOKENS
        at_once = 100 * float(law.predict(fitted(law, small), inputs(law, large))[0])
        verdict = f"chained is off by {chained - actual:+.1f}, at once by {at_once - actual:+.1f}"
        said = f"{published} ({published - actual:+.1f}); measured {actual}"
        found = f"{chained:.1f} chained, {at_once:.1f} at once"
        lines.append(
            Line(f"OLMo ladder accuracy, {task.split('_5')[0]}", "16 runs <= 1.3B", "7B-4T", said, found, verdict)
        )
    return lines


def references(data: Path) -> list[Line]:
    """How many of the best known objectives of a 4,500-start search are reached."""
    known = pd.read_csv(data / "reference_fits.csv")
    tables = {name: pd.read_csv(data / f"{name}.csv") for name in
              ("gemstones_N_D_loss", "porian_isoflop_points", "olmo_ladder_final_points")}  # fmt: skip
    missed = []
    for dataset, wanted, delta in zip(known.dataset, known.obj_4500, known.delta, strict=True):
        source, _, subset = dataset.partition("_")
        if source == "gemstones":
            rows = tables["gemstones_N_D_loss"].query("subset == @subset")[["N", "D", "loss"]]
        elif source == "porian":
            rows = tables["porian_isoflop_points"].query("config == @subset")[["n", "t", "loss"]]
        elif source == "olmo":
            final = tables["olmo_ladder_final_points"].query("mode == 'train'")
            task, column = (final.task.iloc[0], "c4_loss") if subset == "c4" else (subset, "task_bpb")
            rows = final[final.task == task][["N", "D", column]]
        else:  # the file of points has fewer digits than the reference had
            rows = pd.read_csv(data / "chinchilla_points.csv").sort_values("loss")[["params", "tokens", "loss"]]
            rows = rows[: int(dataset.removeprefix("epoch"))]
        size, tokens, loss = rows.to_numpy(dtype=float).T
        found = solve(CHINCHILLA, {"params": size, "tokens": tokens}, loss, delta=delta)
        at = float(Loss("log-huber", delta).total(CHINCHILLA.predict(found.theta, {"params": size, "tokens": tokens}),
                                                  loss, np.ones(len(loss))))  # fmt: skip
        if at > wanted * (1 + 1e-9):
            missed.append(f"{dataset} at {delta:g}")
    reached = f"{len(known) - len(missed)} of {len(known)}"
    said = f"{len(known)} best known objectives"
    return [
        Line("objective <= best known (1 + 1e-9)", "all reference rows", "-", said, reached, ", ".join(missed) or "all")
    ]


def show(lines: list[Line]) -> None:
    heads = ("what", "fitted on", "predicts", "published", "ours", "verdict")
    table = [
        heads,
        *((line.what, line.fitted_on, line.predicts, line.published, line.ours, line.verdict) for line in lines),
    ]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    for row in table:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def main() -> None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=beside, help="folder of the published figures")
    data: Path = parser.parse_args().data
    if not (data / "reference_fits.csv").exists():
        sys.exit(
            f"no published figures in {data}: this benchmark reads them from beside the project; give --data FOLDER"
        )
    began = time.perf_counter()
    sections = (references, gadre_losses, accuracies, gemstones, porian, repetition, ladder)
    lines = [line for section in sections for line in section(data)]
    show(lines)
    print(f"\n{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
