"""Routed generation (`Specialists.generate`, `.stream`) against plain `transformers` generate of one expert, in turns.

Every turn times the three on the same prompt, one after the other in an order that rotates; the ratio of a turn is the
plain time over the routed one (1: as fast), tokenising, routing and decoding included. Weights are random, text is the
same in all three. The router is one of a hundred thousand words and 128 directions, as large as routers get.

    python benchmarks/generate.py [--sizes 0.1,10,100] [--tokens 64] [--turns 15]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from speciate.corpus.cluster.embed import TfidfSvd
from speciate.corpus.cluster.router import train_router
from speciate.corpus.tokens.tokenizer import train_tokenizer
from speciate.specialists.build import build_specialists
from speciate.specialists.experts import Specialists

SHAPES = {0.1: (48, 4, 4), 1.0: (128, 5, 4), 10.0: (320, 8, 5), 100.0: (768, 12, 12)}  # millions: width, layers, heads
NAMES = ("even", "odd")
VOCABULARY, WORDS, SEQUENCE = 4096, 100_000, 512


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="0.1,10,100", help=f"millions of parameters, of {sorted(SHAPES)}")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--turns", type=int, default=15)
    asked = parser.parse_args()
    disable_progress_bar()
    print(f"{torch.get_num_threads()} threads, {asked.tokens} new tokens, median of {asked.turns} turns")
    print(
        "   params  plain tokens/s  generate tokens/s  stream tokens/s  generate/plain  stream/plain  route ms  load ms"
    )
    with tempfile.TemporaryDirectory() as scratch:
        router, words = make_router(Path(scratch) / "router")
        for size in map(float, asked.sizes.split(",")):
            folder = make_folder(Path(scratch) / f"{size}", SHAPES[size], router, words)
            print(row(folder, words, asked.tokens, asked.turns), flush=True)


def row(folder: Path, words: list[str], tokens: int, turns: int) -> str:
    """One line of the table."""
    specialists = Specialists.load(folder)
    rng = random.Random(1)
    prompts = [" ".join(rng.choices(words, k=40)) for _ in range(turns + 2)]
    expert = specialists.route(prompts[:1])[0].expert
    prompts = [p for p in prompts * 9 if specialists.route([p])[0].expert == expert][: turns + 2]
    model = AutoModelForCausalLM.from_pretrained(folder / "experts" / expert, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder / "experts" / expert)

    def plain(prompt: str) -> str:
        batch = tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(**batch, max_new_tokens=tokens, do_sample=False, use_cache=True, pad_token_id=0)
        return str(tokenizer.decode(out[0, batch["input_ids"].shape[1] :], skip_special_tokens=True))

    ways: list[Callable[[str], str]] = [
        plain,
        lambda prompt: specialists.generate(prompt, max_new_tokens=tokens).text,
        lambda prompt: "".join(specialists.stream(prompt, max_new_tokens=tokens)),
    ]
    seconds = np.zeros((len(prompts), len(ways)))
    for turn, prompt in enumerate(prompts):
        texts = [""] * len(ways)
        for each in range(len(ways)):
            at = (turn + each) % len(ways)
            start = time.perf_counter()
            texts[at] = ways[at](prompt)
            seconds[turn, at] = time.perf_counter() - start
        assert len(set(texts)) == 1, "all three generate the same text"
    seconds = seconds[2:]
    speeds = tokens / np.median(seconds, 0)
    ratios = np.median(seconds[:, :1] / seconds[:, 1:], 0)
    params = next(e.params for e in specialists.manifest.experts)
    return (
        f"{params:>9,}  {speeds[0]:>14.1f}  {speeds[1]:>17.1f}  {speeds[2]:>15.1f}  {ratios[0]:>14.3f}"
        f"  {ratios[1]:>12.3f}"
        f"  {1e3 * timed(lambda: specialists.route(prompts[:1])):>8.2f}"
        f"  {1e3 * timed(lambda: Specialists.load(folder).generate('a', expert=expert, max_new_tokens=1), 3):>7.1f}"
    )


def timed(call: Callable[[], Any], times: int = 20) -> float:
    """Median seconds of a call."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def make_folder(out: Path, shape: tuple[int, int, int], router: Path, words: list[str]) -> Path:
    """Two experts of random weights behind the router."""
    width, layers, heads = shape
    rng = random.Random(0)
    plain = train_tokenizer([" ".join(rng.choices(words, k=200)) for _ in range(200)], VOCABULARY)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=8 * width // 3, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=SEQUENCE,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, initializer_range=0.1,
    )  # fmt: skip
    folders = {}
    for seed, name in enumerate(NAMES):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        folders[name] = out.parent / f"{out.name}-{name}"
        model.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return build_specialists(out, folders, router)


def make_router(out: Path) -> tuple[Path, list[str]]:
    """A router by an embedding of many words; half of the words are each expert's."""
    out.mkdir(parents=True)
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(4, 10))) for _ in range(WORDS)]
    vocabulary = sorted(set(words))
    values = np.random.default_rng(0)
    components = values.normal(0, 0.01, (128, len(vocabulary))).astype(np.float32)
    embedding = TfidfSvd(tuple(vocabulary), np.ones(len(vocabulary), np.float32), components)
    embedding.save(out / "embedding.npz")
    texts = [" ".join(rng.choices(words[side::2], k=60)) for _ in range(2000) for side in (0, 1)]
    targets = np.tile(np.eye(2, dtype=np.float32), (2000, 1))
    train_router(texts, targets, embedding).save(out / "router.npz")
    told = {"names": list(NAMES), "embedding": embedding.told(), "prefix_tokens": 32}
    (out / "clusters.json").write_text(json.dumps(told), encoding="utf-8")
    return out, words


if __name__ == "__main__":
    main()
