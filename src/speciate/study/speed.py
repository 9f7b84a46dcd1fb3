"""How fast this machine trains, measured: ``python -m speciate.study.speed`` with specs on stdin.

As many processes as the study will use measure at once, because two busy cores are slower than one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from speciate.errors import Problem, UserError, machine_problem
from speciate.runs.spec import RunSpec

SECONDS_PER_MODEL = 1.5  # (measured: a second estimate is within 10 % of the first)
EVALUATION_SHARE = 1 / 3  # a forward pass against a forward and a backward pass


def tokens_per_second(specs: Sequence[RunSpec], processes: int, threads: int) -> dict[int, float]:
    """Training speed of one process while all are busy, by the model's non-embedding parameters."""
    payload = json.dumps([spec.to_json() for spec in specs])
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "speciate.study.speed"]
    pipe: Any = subprocess.PIPE
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) for _ in range(processes)]
    for worker in workers:  # all start before any is waited for
        assert worker.stdin is not None
        worker.stdin.write(payload)
        worker.stdin.close()
        worker.stdin = None
    answers: list[dict[str, float]] = []
    problems: list[Problem] = []
    for worker in workers:
        printed = worker.communicate()[0]
        if worker.returncode == -signal.SIGKILL:
            problems.append(
                Problem("a process was killed (SIGKILL)", "measuring the speed", "look for too little memory")
            )
        elif worker.returncode != 0:
            raise RuntimeError(f"measuring the speed failed in a worker (exit {worker.returncode})")
        elif "problem" in (answer := json.loads(printed)):
            problems.append(Problem(*answer["problem"]))
        else:
            answers.append(answer)
    if problems:
        raise UserError(dict.fromkeys(problems))  # every process says the same
    return {int(params): sum(answer[params] for answer in answers) / len(answers) for params in answers[0]}


def _measure(spec: RunSpec) -> float:
    import torch

    from speciate.training.model import build_model, device
    from speciate.training.step import build_optimizer, train_step

    torch.set_num_threads(spec.threads)
    model = build_model(spec.model, spec.init_seed)
    optimizer = build_optimizer(model, spec)
    generator = torch.Generator().manual_seed(0)
    shape = (spec.batch_sequences, spec.model.sequence_length + 1)
    samples = torch.randint(spec.model.vocab_size, shape, generator=generator).to(device())
    for _ in range(2):  # the first steps allocate
        train_step(model, optimizer, samples, spec, 1e-4).item()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS_PER_MODEL:
        train_step(model, optimizer, samples, spec, 1e-4).item()
        steps += 1
    return steps * spec.tokens_per_step / (time.perf_counter() - started)


def main() -> None:
    """Read a JSON list of RunSpecs, print {params: tokens per second}, or {"problem": what the machine refused}."""
    specs = [RunSpec.from_json(value) for value in json.load(sys.stdin)]
    try:
        answer: dict[str, Any] = {str(spec.model.params): _measure(spec) for spec in specs}
    except Exception as error:
        refused = machine_problem(error)
        if refused is None:
            raise
        answer = {"problem": [refused.what, refused.where, refused.fix]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
