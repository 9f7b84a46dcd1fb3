"""Training throughput of Speciate's step against a plain `transformers` Trainer, on the same model and batch.

    python benchmarks/training_throughput.py [--sizes 36k 142k] [--steps 12] [--repeats 3] [--compile] [--json OUT]

All variants train in this process in turns, so a noisy machine hurts them alike; a time is the median over steps.
On a CPU, times are CPU seconds of one thread. The Trainer needs `pip install accelerate`; without it its rows are
left out. The first columns are ratios, which carry over to other machines better than the absolute figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from speciate.runs.cost import flops_per_token
from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.training import step as training_step
from speciate.training.model import build_model, device
from speciate.training.step import build_optimizer, train_step

SIZES = {
    "36k": ModelSpec("llama", 40, 2, 2, 96, 1024, 256),
    "142k": ModelSpec("llama", 64, 3, 4, 160, 1024, 256),
    "142k-2-heads": ModelSpec("llama", 64, 3, 2, 160, 1024, 256),
    "500k": ModelSpec("llama", 96, 5, 3, 256, 4096, 256),
}
BATCH = 16
clock = time.perf_counter if torch.cuda.is_available() else time.process_time


@dataclass
class Variant:
    """``run(steps)`` trains so many steps and yields the seconds of each."""

    name: str
    precision: str
    run: Callable[[int], Iterator[float]]
    seconds: list[float] = field(default_factory=list)


def ours(name: str, spec: RunSpec, samples: torch.Tensor, *, kernel: bool, chunks: bool, compiled: bool) -> Variant:
    model = build_model(spec.model, 0)
    if not kernel:
        model.set_attn_implementation("sdpa")
    if compiled:
        model.model.forward = torch.compile(model.model.forward)
    optimizer = build_optimizer(model, spec)

    def run(steps: int) -> Iterator[float]:
        budget = dict(training_step.CHUNK_BYTES)
        if not chunks:
            training_step.CHUNK_BYTES.update(dict.fromkeys(budget, 1 << 40))
        for _ in range(steps):
            start = clock()
            float(train_step(model, optimizer, samples, spec, 1e-3))
            yield clock() - start
        training_step.CHUNK_BYTES.update(budget)

    return Variant(name, spec.precision, run)


def trainer(name: str, spec: RunSpec, samples: torch.Tensor, precision: str) -> Variant:
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    model = build_model(spec.model, 0)
    model.set_attn_implementation("sdpa")  # what transformers chooses
    rows = [{"input_ids": row[:-1], "labels": row[:-1]} for row in samples.cpu()]

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_begin(self, *arguments: Any, **options: Any) -> None:
            self.times.append(clock())

        def on_train_end(self, *arguments: Any, **options: Any) -> None:
            self.times.append(clock())

    def run(steps: int) -> Iterator[float]:
        arguments = TrainingArguments(
            output_dir=tempfile.gettempdir(),  # nothing is saved
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=1e-3,
            bf16=precision == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        times = Clock()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = Trainer(model=model, args=arguments, train_dataset=rows * steps, callbacks=[times])
            plain.remove_callback(PrinterCallback)
            plain.train()
        yield from (end - start for start, end in zip(times.times, times.times[1:], strict=False))

    return Variant(name, precision, run)


def variants(model: ModelSpec, compiled: bool) -> list[Variant]:
    phase = Phase((("text", 1.0),), 10**9 // 4096 * 4096, 1e-3)
    low = RunSpec("benchmark", model, 0, (phase,), BATCH, "")
    full = replace(low, precision="float32")
    torch.manual_seed(0)
    samples = torch.randint(0, model.vocab_size, (BATCH, model.sequence_length + 1)).to(device())
    found = [
        ours("ours, bf16 (the default)", low, samples, kernel=True, chunks=True, compiled=False),
        ours("ours, bf16, all logits at once", low, samples, kernel=True, chunks=False, compiled=False),
        ours("ours, bf16, torch's attention", low, samples, kernel=False, chunks=True, compiled=False),
        ours("ours, fp32", full, samples, kernel=True, chunks=True, compiled=False),
        ours("ours, fp32, torch's attention", full, samples, kernel=False, chunks=True, compiled=False),
    ]
    if compiled:
        found.append(ours("ours, bf16, torch.compile", low, samples, kernel=True, chunks=True, compiled=True))
    if find_spec("accelerate"):
        found.append(trainer("transformers Trainer, fp32", full, samples, "float32"))
        found.append(trainer("transformers Trainer, bf16", low, samples, "bfloat16"))
    return found


def matmul_flops_per_second(precision: str) -> float:
    """The best of ten products of 1,024 x 1,024 matrices (8,192 on a GPU), 2 n^3 FLOPs each."""
    size = 8192 if torch.cuda.is_available() else 1024
    matrix = torch.randn(size, size, dtype=getattr(torch, precision), device=device())
    best = float("inf")
    for _ in range(10):
        start = clock()
        product = matrix @ matrix
        float(product[0, 0])
        best = min(best, clock() - start)
    return 2 * size**3 / best


def measure(size: str, steps: int, repeats: int, compiled: bool, peak: dict[str, float]) -> list[dict[str, Any]]:
    model = SIZES[size]
    found = variants(model, compiled)
    first = {}
    for variant in found:
        start = time.perf_counter()
        list(variant.run(3))  # caches, allocator, compiler
        first[variant.name] = time.perf_counter() - start
    for _ in range(repeats):
        for variant in found:
            variant.seconds += list(variant.run(steps))[1:]
    tokens = BATCH * model.sequence_length
    speed = {v.name: tokens / statistics.median(v.seconds) for v in found}
    rows = []
    for v in found:
        share = speed[v.name] * flops_per_token(model) / peak[v.precision]
        plain = {p: speed.get(f"transformers Trainer, {p}") for p in ("fp32", "bf16")}
        ratio = {p: speed[v.name] / s if s else None for p, s in plain.items()}
        row = {"model": size, "variant": v.name, "against_trainer_fp32": ratio["fp32"]}
        row |= {"against_trainer_bf16": ratio["bf16"], "share_of_matmul_speed": share}
        rows.append(row | {"tokens_per_second": speed[v.name], "first_three_steps_seconds": first[v.name]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["36k", "142k"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="also torch.compile (a minute, needs a C++ compiler)")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not find_spec("accelerate"):
        print("The Trainer is left out: it needs `pip install accelerate`.\n")
    peak = {precision: matmul_flops_per_second(precision) for precision in ("float32", "bfloat16")}
    seconds = "second" if torch.cuda.is_available() else "CPU second of one thread"
    print(f"torch {torch.__version__} on {device()}; batch {BATCH} x 256 tokens; tokens per {seconds}.")
    print(f"Matrix products: {peak['float32'] / 1e9:.0f} GFLOP/s fp32, {peak['bfloat16'] / 1e9:.0f} GFLOP/s bf16.\n")
    print("| model | variant | x Trainer fp32 | x Trainer bf16 | of matmul speed | tokens/s | first 3 steps, s |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for size in options.sizes:
        for row in measure(size, options.steps, options.repeats, options.compile, peak):
            rows.append(row)
            ratios = " | ".join(
                f"{row[f'against_trainer_{p}']:.2f}" if row[f"against_trainer_{p}"] else "" for p in ("fp32", "bf16")
            )
            print(
                f"| {size} | {row['variant']} | {ratios} | {row['share_of_matmul_speed']:.1%} "
                f"| {row['tokens_per_second']:,.0f} | {row['first_three_steps_seconds']:.1f} |"
            )
    if options.json:
        options.json.write_text(json.dumps({"matmul_flops_per_second": peak, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
