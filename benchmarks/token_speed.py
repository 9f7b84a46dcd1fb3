"""Training and encoding speed beside the libraries, equality of ids, and how far mixtures stray: one run, one table.

    python benchmarks/token_speed.py [FOLDER of .jsonl.zst] [--megabytes 20] [--vocabulary 8192] [--all-characters]

Times are CPU seconds of one thread (RAYON_NUM_THREADS=1 is set).
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402

from speciate.corpus.steps.parts import cut, read_part  # noqa: E402
from speciate.corpus.tokens.byte_pairs import train_byte_pairs  # noqa: E402
from speciate.corpus.tokens.encoder import GPT2, Encoder, encoder_of  # noqa: E402
from speciate.corpus.tokens.interleave import counts_at, exact_weights, turns  # noqa: E402
from speciate.corpus.tokens.tokenizer import train_tokenizer  # noqa: E402


def clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    value = work()
    return value, time.process_time() - start


def read(folder: Path, size: float) -> list[str]:
    """As much text of every file."""
    files = sorted(folder.glob("*.jsonl.zst"))
    texts: list[str] = []
    for file in files:
        left = size / len(files)
        for part in cut(file):
            for document in read_part(part):
                texts.append(document.text)
                left -= len(document.text.encode())
                if left <= 0:
                    break
    return texts


def speeds(texts: list[str], vocabulary: int) -> None:
    import rustbpe
    import tiktoken

    size = sum(len(text.encode()) for text in texts) / 1e6

    def bare() -> Any:
        trainer = rustbpe.Tokenizer()
        trainer.train_from_iterator(iter(texts), vocabulary - 1, pattern=GPT2)
        return trainer

    trainer, rust = clocked(bare)
    ours, mine = clocked(lambda: train_byte_pairs(texts, vocabulary))
    _, theirs = clocked(lambda: train_tokenizer(texts, vocabulary))
    print(f"train {vocabulary}: rustbpe {size / rust:.2f}, ours {size / mine:.2f}, tokenizers {size / theirs:.2f} MB/s")
    ranks = {bytes(token): rank for token, rank in trainer.get_mergeable_ranks()}
    plain = tiktoken.Encoding("plain", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={})
    _, bare_time = clocked(lambda: [plain.encode_ordinary(text) for text in texts])
    fast, build = clocked(lambda: encoder_of(ours))
    ids, fast_time = clocked(lambda: fast.encode(texts))
    expected, slow_time = clocked(lambda: Encoder(ours, None).encode(texts))
    same = all(np.array_equal(a, b) for a, b in zip(ids, expected, strict=True))
    print(
        f"encode {vocabulary}: tiktoken {size / bare_time:.2f}, ours {size / fast_time:.2f} (begins in {build:.2f} s), "
        f"tokenizers {size / slow_time:.2f} MB/s; {sum(map(len, ids)):,} ids, the same: {same}"
    )


def all_characters(tokenizer: Any) -> None:
    """Every character in three contexts: both libraries cut alike."""
    fast, slow = encoder_of(tokenizer), Encoder(tokenizer, None)
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    for before, after in (("a", "b"), ("1 ", "  !"), ("\n", "\t'")):
        text = [
            before + "".join(f"{c}{after}{c}{before}" for c in characters[i : i + 1000])
            for i in range(0, len(characters), 1000)
        ]
        pairs = zip(fast.encode(text), slow.encode(text), strict=True)
        differing = sum(not np.array_equal(a, b) for a, b in pairs)
        print(f"all characters between {before!r} and {after!r}: {differing} of {len(text)} blocks differ")


def straying(mixtures: int = 300, samples: int = 3000) -> None:
    """The largest distance of a count from its share, over random mixtures, and the time of far positions."""
    rng, worst = random.Random(0), 0.0
    for _ in range(mixtures):
        parts = [rng.choice([1, 2, 5, 10, 100, 1000]) * rng.random() for _ in range(rng.randint(2, 40))]
        weights = exact_weights([part / sum(parts) for part in parts])
        counts, shares = np.zeros(len(weights)), np.array([float(w) for w in weights])
        for position, (domain, _) in enumerate(islice(turns(weights, 0), samples), 1):
            counts[domain] += 1
            worst = max(worst, float(np.abs(counts - position * shares).max()))
    _, far = clocked(lambda: counts_at(weights, 1_000_000))
    print(
        f"mixtures: at most {worst:.4f} samples off, {mixtures} mixtures x {samples} positions; 1e6-th in {far:.2f} s"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[2] / "shared/data/corpora")
    options.add_argument("--megabytes", type=float, default=20)
    options.add_argument("--vocabulary", type=int, nargs="+", default=[8192, 32768])
    options.add_argument("--all-characters", action="store_true")
    chosen = options.parse_args()
    texts = read(chosen.folder, chosen.megabytes * 1e6)
    for vocabulary in chosen.vocabulary:
        speeds(texts, vocabulary)
    straying()
    if chosen.all_characters:
        all_characters(train_byte_pairs(texts[:2000], 2000))


if __name__ == "__main__":
    main()
