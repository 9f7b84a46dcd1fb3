"""A split study small enough for a test: three made-up languages of the same words, each in an order of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

DOMAINS = ("birds", "code", "law")
STUDY = """
decide: split
name: tiny
corpus:
  sources: {birds: birds, code: code, law: law}
  held_out_share: 0.1
  vocabulary: 300
  weights: {birds: 1, code: 1, law: 1}
  prefix: 8
models:
  - {name: a, hidden_size: 16, layers: 1, heads: 2, intermediate_size: 32}
training: {sequence_length: 32, batch_sequences: 32, precision: float32, learning_rate: 0.02, warmup_tokens: 2048}
split: {budgets: [15360, 30720], shares: [0.4, 0.8, 1], extra_seeds: {0.4: [1]}, learning_rate: 0.02, warmup_tokens: 0}
plan: {total_tokens: 46080, draws: 100, options: [0, 1]}
evaluation: {tokens_per_set: 1024, points: 5}
compute: {processes: 1, checkpoint_seconds: 0.05}
"""


def write_languages(folder: Path) -> None:
    """A folder of text for each domain; every word has two successors, other ones in every language."""
    syllables = ["ba", "ko", "ri", "tu", "ne", "sha", "lo", "mi", "fe", "du"]
    words = [first + second for first in syllables[:5] for second in syllables[5:]]
    for domain in DOMAINS:
        (folder / domain).mkdir(parents=True)
        rng = random.Random(domain)
        follow = {word: rng.sample(words, 2) for word in words}
        for number in range(30):
            rng, word, lines = random.Random(f"{domain} {number}"), words[number % len(words)], []
            for _ in range(60):
                line = []
                for _ in range(10):
                    word = rng.choice(follow[word])
                    line.append(word)
                lines.append(" ".join(line))
            (folder / domain / f"{number:02}.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="session")
def split_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file in a folder of its own, with its texts; nothing is trained yet."""
    folder = tmp_path_factory.mktemp("split")
    write_languages(folder)
    path = folder / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path
