"""A study small enough to be carried out in a test: two made-up languages and models of a few thousand parameters."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

STUDY = """
decide: mixture
name: tiny
corpus:
  sources: {prose: prose, code: code}
  general: [prose]
  domain: code
  held_out_share: 0.1
  vocabulary: 300
models:
  - {name: a, hidden_size: 16, layers: 1, heads: 2, intermediate_size: 32}
training: {sequence_length: 32, batch_sequences: 16, precision: float32, learning_rate: 0.01, warmup_tokens: 2560}
trunk: {tokens: 61440}
pilot:
  ratios: [0.2, 0.5, 0.8, 0.95]
  extra_seeds: {0.5: [1], 0.8: [1]}
  tokens: 20480
  learning_rate: 0.005
  warmup_tokens: 512
plan: {horizon_tokens: 24576, tolerance: 0.05, draws: 200}
evaluation: {tokens_per_set: 4096, points: 14}
compute: {processes: 2, checkpoint_seconds: 0.2}
"""


def _sentences(follow: dict[str, list[str]], rng: random.Random, count: int) -> str:
    # Every word prefers a few successors, so there is something to learn beyond how often a word occurs.
    words = sorted(follow)
    lines, word = [], words[0]
    for _ in range(count):
        line = []
        for _ in range(rng.randrange(6, 14)):
            word = rng.choice(follow[word]) if rng.random() < 0.9 else rng.choice(words)
            line.append(word)
        lines.append(" ".join(line))
    return "\n".join(lines)


def write_texts(folder: Path) -> None:
    rng = random.Random(0)
    syllables = ["ba", "ko", "ri", "tu", "ne", "sha", "lo", "mi", "fe", "du"]
    prose = ["".join(rng.choices(syllables, k=2)) for _ in range(40)]
    code = [f"x{i}()" for i in range(20)] + [f"{{{name}}}" for name in "abcdefgh"]
    for domain, words in (("prose", prose), ("code", code)):
        (folder / domain).mkdir(parents=True)
        follow = {word: rng.sample(words, 4) for word in words}
        for number in range(30):
            text = _sentences(follow, random.Random(f"{domain}{number}"), 60)
            (folder / domain / f"{number:02}.txt").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file in a folder of its own, with its texts; nothing is trained yet."""
    folder = tmp_path_factory.mktemp("study")
    write_texts(folder)
    path = folder / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path
