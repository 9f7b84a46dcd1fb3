"""When to split a model that has to learn two phonebooks by heart: section 3.2 of Seto et al. 2026 (arXiv 2603.19149).

    python benchmarks/phonebook.py [--folder phonebook-runs] [--steps 1200] [--overlaps 0 0.5 1] [--seeds 0 1 2]

A share of a budget of optimizer steps trains one model on both books; copies of it get the rest, half each, on their
own book (optimizer reset, constant rate). Exact-match accuracy is the mean over both books, each asked of its own
expert; a share of 1 is one model, asked both; a share of 0 is two models from scratch. The trunk is trained once. At an
overlap of 1 it reads one of the books, which are the same.
Training, run tree and measuring are the project's own; the text is examples/phonebook/make_text.py's. Running the
command again goes on with what was finished. Prints a table and writes FOLDER/accuracy.csv.

The paper's sizes: --facts 80000 --hidden 256 --layers 6 --heads 8 --intermediate 1024 --batch 640 --warmup 20000, and
--steps 100000 (its limited budget) 200000 (its sufficient one).
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from speciate.corpus.build import build_corpus
from speciate.corpus.tokens.shards import Corpus
from speciate.evaluation.facts import Facts
from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.runs.tree import RunTree, build_tree
from speciate.storage import canonical_json, write_atomic
from speciate.training.executor import run_nodes

BOOKS = ("book_a", "book_b")
POINTS = 10  # measurements of a stretch of training
MAKE_TEXT = Path(__file__).parents[1] / "examples" / "phonebook" / "make_text.py"


def build_text(folder: Path, overlap: float, seed: int, options: argparse.Namespace) -> Corpus:
    """The corpus of two books, below ``folder``."""
    text = folder / f"text-{overlap:g}-{seed}"
    if not (text / "facts").exists():
        sizes = ["--facts", options.facts, "--letters", options.letters, "--digits", options.digits]
        command = [sys.executable, MAKE_TEXT, "--out", text, "--overlap", overlap, "--seed", seed, *sizes]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    tokens = options.letters + options.digits + 2
    sources: dict[str, str | Path] = {book: text / book for book in BOOKS}
    corpus = build_corpus(
        sources, folder / f"corpus-{overlap:g}-{seed}", held_out_share=0.01, vocab_size=257, window_tokens=tokens + 1
    )
    facts = sum(1 for _ in (text / "facts" / "book_a.jsonl").open(encoding="utf-8"))
    assert all(corpus.train[book].documents == facts for book in BOOKS), "every fact that is asked is trained on"
    return corpus


def run_name(overlap: float, seed: int, steps: int, share: float, book: str | None) -> str:
    return f"overlap{overlap:g}-seed{seed}-steps{steps}-share{share:g}" + (f"-{book}" if book else "")


def run_specs(overlap: float, seed: int, corpus: Corpus, options: argparse.Namespace) -> list[RunSpec]:
    """All runs on one text: an unsplit one, and two experts for every smaller share, at every budget."""
    tokens = options.letters + options.digits + 2
    shape = (options.hidden, options.layers, options.heads, options.intermediate)
    model = ModelSpec("llama", *shape, corpus.vocab_size, tokens)
    step = options.batch * tokens
    books = BOOKS if overlap < 1 else BOOKS[:1]  # the same book twice in a batch would only make it noisier
    both = Phase(tuple((b, 1 / len(books)) for b in books), step, options.learning_rate, options.warmup * step)
    common = RunSpec("", model, seed, (both,), options.batch, corpus.digest, options.precision, weight_decay=0.0)
    specs = []
    for steps, share in product(options.steps, options.shares):
        seed_steps = round(share * steps)
        if seed_steps == steps:
            whole = (replace(both, tokens=steps * step),)
            specs.append(replace(common, name=run_name(overlap, seed, steps, share, None), phases=whole))
            continue
        for book in BOOKS:
            own = replace(both, mixture=((book, 1.0),), tokens=(steps - seed_steps) // 2 * step)
            if seed_steps:
                own = replace(own, warmup_tokens=options.expert_warmup * step)
            phases = (*([replace(both, tokens=seed_steps * step)] if seed_steps else []), own)
            specs.append(replace(common, name=run_name(overlap, seed, steps, share, book), phases=phases))
    return specs


def worker(folder: Path) -> None:
    """A process that trains nodes for the executor."""
    from speciate.corpus.tokens.stream import Stream
    from speciate.training.node import train_node
    from speciate.training.worker import serve

    tree = RunTree.from_json(json.loads((folder / "tree.json").read_text(encoding="utf-8")))
    texts: dict[str, tuple[Corpus, Facts]] = {}

    def text(digest: str) -> tuple[Corpus, Facts]:
        if digest not in texts:
            name = json.loads((folder / "texts.json").read_text(encoding="utf-8"))[digest]
            corpus = Corpus.open(folder / f"corpus-{name}", verify=False)
            paths = {book: folder / f"text-{name}" / "facts" / f"{book}.jsonl" for book in BOOKS}
            texts[digest] = corpus, Facts(paths, corpus.path / "tokenizer.json")
        return texts[digest]

    def train(key: str, progress: Callable[[int, float], None], stop: Callable[[], bool]) -> str:
        node = tree.node(key)
        corpus, facts = text(node.spec.corpus_digest)
        phases = [(phase.mixture, phase.tokens, phase.order_seed) for phase in node.spec.phases]
        stream = Stream(corpus.train, phases, node.spec.init_seed, node.spec.model.sequence_length)

        def measure(model: Any, tokens: int) -> list[dict[str, Any]]:
            found = {book: facts.recall(model, book, node.spec.precision) for book in BOOKS}
            return [{"eval_on": book, **recall._asdict()} for book, recall in found.items()]

        asked = [node.start_tokens + (i + 1) * node.tokens // POINTS for i in range(POINTS)]
        return train_node(
            node, stream, folder / "runs", measure=measure, eval_tokens=asked, progress=progress, stop=stop
        )

    serve(train)


def last_accuracy(tree: RunTree, folder: Path, run: str, book: str) -> float:
    """Exact-match accuracy on a book at the end of a run."""
    node = tree.path(run)[-1]
    lines = (folder / "runs" / node.key / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["eval_on"] == book and row["tokens"] == node.end_tokens]
    return float(rows[-1]["accuracy"])


def results(tree: RunTree, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for every text, budget and share: accuracy on each book, and the mean."""
    rows = []
    for overlap, seed, steps, share in product(options.overlaps, options.seeds, options.steps, options.shares):
        split = run_name(overlap, seed, steps, share, BOOKS[0]) in tree.runs
        names = {book: run_name(overlap, seed, steps, share, book if split else None) for book in BOOKS}
        found = {book: last_accuracy(tree, folder, name, book) for book, name in names.items()}
        mean = statistics.fmean(found.values())
        rows.append({"overlap": overlap, "steps": steps, "share": share, "seed": seed, **found, "accuracy": mean})
    return rows


def print_table(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    """Mean over seeds, and between which values the seeds lie."""
    for steps in options.steps:
        print(
            f"\n{steps} steps in all: exact-match accuracy in percent, mean of books and seeds (least, most of a seed)"
        )
        print("overlap | " + " | ".join(f"share {share:g}" for share in options.shares))
        for overlap in options.overlaps:
            cells = []
            for share in options.shares:
                chosen = (r for r in rows if (r["overlap"], r["steps"], r["share"]) == (overlap, steps, share))
                found = [100 * row["accuracy"] for row in chosen]
                cells.append(f"{statistics.fmean(found):.1f} ({min(found):.1f}, {max(found):.1f})")
            print(f"{overlap:7.0%} | " + " | ".join(cells))


def parse() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, default=Path("phonebook-runs"))
    options.add_argument("--overlaps", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    options.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    options.add_argument("--steps", type=int, nargs="+", default=[1200], help="budgets, in optimizer steps")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of text and model")
    options.add_argument("--facts", type=int, default=250)
    options.add_argument("--letters", type=int, default=6)
    options.add_argument("--digits", type=int, default=22)
    options.add_argument("--hidden", type=int, default=32)
    options.add_argument("--layers", type=int, default=2)
    options.add_argument("--heads", type=int, default=2)
    options.add_argument("--intermediate", type=int, default=128)
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--learning-rate", type=float, default=5e-3)
    options.add_argument("--warmup", type=int, default=240, help="steps, of models from scratch")
    options.add_argument("--expert-warmup", type=int, default=0, help="steps, of copies")
    options.add_argument("--precision", default="float32", help="float32 or bfloat16")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return options.parse_args()


def main() -> None:
    options = parse()
    if options.worker:
        worker(options.folder)
        return
    began = time.monotonic()
    options.folder.mkdir(parents=True, exist_ok=True)
    specs, texts = [], {}
    for overlap, seed in product(options.overlaps, options.seeds):
        corpus = build_text(options.folder, overlap, seed, options)
        specs += run_specs(overlap, seed, corpus, options)
        texts[corpus.digest] = f"{overlap:g}-{seed}"
    tree = build_tree(specs)
    write_atomic(options.folder / "tree.json", canonical_json(tree.to_json()))
    write_atomic(options.folder / "texts.json", canonical_json(texts))
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", "--folder", str(options.folder)]
    done = run_nodes(tree, options.folder / "runs", command, processes=options.processes)
    rows = results(tree, options.folder, options)
    with (options.folder / "accuracy.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(
        f"{len(tree.nodes)} nodes, {specs[0].model.params} parameters, {tree.tokens / 1e6:.1f} million tokens; ", end=""
    )
    print(
        f"{sum(d['seconds'] for d in done.values()):.0f} s of training, {time.monotonic() - began:.0f} s of this call"
    )
    print_table(rows, options)


if __name__ == "__main__":
    main()
