"""How long training is expected to take, and how long it took: what one stage took corrects the next one's estimate."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from speciate.runs.actuals import Actual, Correction, append_actuals, correction, is_duration, read_actuals
from speciate.runs.cost import estimate_seconds, train_flops
from speciate.runs.spec import RunSpec
from speciate.runs.tree import Node, RunTree
from speciate.study.layout import Layout
from speciate.study.measuring import node_measured_tokens, sets_measured
from speciate.study.progress import duration
from speciate.study.speed import EVALUATION_SHARE, SECONDS_PER_MODEL, tokens_per_second
from speciate.study.split.config import AnyStudy
from speciate.training.folder import read_done

WORTH_MEASURING = 6e11  # FLOPs of one process, a minute of a slow core; measuring the speed takes some seconds itself


@dataclass(frozen=True)
class Expectation:
    """Seconds (low, expected, high) of a stage, with the ``correction`` in them; each node's without it.

    ``start`` of them are the workers' start, which no node's time holds.
    """

    seconds: tuple[float, float, float]
    start: float
    nodes: dict[str, float]
    correction: Correction | None
    launch: str

    def told(self) -> str:
        """One line for a person."""
        low, expected, high = self.seconds
        text = f"about {duration(expected)} of training expected ({duration(low)} to {duration(high)})"
        return text if self.correction is None else f"{text}; {self.correction.told()}"


def expect(config: AnyStudy, layout: Layout, tree: RunTree, title: str) -> Expectation | None:
    """What the tree's unfinished nodes will take, from the speed of now and what earlier launches took.

    None where so little is left that measuring the speed would not be worth its seconds.
    """
    done = {node.key for node in tree.nodes if (layout.runs / node.key / "DONE").exists()}
    left = [node for node in tree.nodes if node.key not in done]
    if sum(train_flops(node) for node in left) < WORTH_MEASURING * config.compute.processes:
        return None
    learned = correction(read_actuals(layout.actuals))
    began = time.monotonic()
    measured = measured_speeds(config, left)
    start = max(time.monotonic() - began - SECONDS_PER_MODEL * len(measured), 0.0)  # imports: workers need them too
    speeds = with_measuring(config, tree, measured)
    low, expected, high = estimate_seconds(tree, speeds, config.compute.processes, done, learned)
    nodes = {node.key: node.tokens / speeds[node.spec.model.params] for node in left}
    launch = f"{title} {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
    return Expectation((low + start, expected + start, high + start), start, nodes, learned, launch)


def record(config: AnyStudy, layout: Layout, tree: RunTree, expected: Expectation, eval_hash: str) -> None:
    """Log what the nodes that were expected, and are done now, took."""
    device = f"{platform.machine()}, {config.compute.processes} processes of {config.compute.threads} threads"
    runs = []
    for key, estimated in expected.nodes.items():
        done = read_done(layout.runs / key, eval_hash)
        if done is not None and is_duration(done["seconds"]) and is_duration(estimated):
            model = f"{tree.node(key).spec.model.params} params"
            runs.append(Actual(key, expected.launch, device, model, estimated, float(done["seconds"])))
    if runs:
        append_actuals(layout.actuals, runs)


def measured_speeds(config: AnyStudy, nodes: Sequence[Node]) -> dict[int, float]:
    """Training tokens per second of one process while all are busy, by model size, measured here and now."""
    specs: dict[int, RunSpec] = {node.spec.model.params: node.spec for node in nodes}
    # Random weights are as fast as a checkpoint's, and an estimate must not read gigabytes.
    fresh = [replace(spec, model=replace(spec.model, init_from=None)) for spec in specs.values()]
    wanted = min(config.compute.processes, len(nodes))  # as the executor does
    processes = min(wanted, os.cpu_count() or 1)  # more would share the same cores: told below, not tried
    measured = tokens_per_second(fresh, processes, config.compute.threads)
    return {params: speed * processes / wanted for params, speed in measured.items()}


def with_measuring(config: AnyStudy, tree: RunTree, measured: dict[int, float]) -> dict[int, float]:
    """Tokens per second by model size, with the time spent on measuring losses spread over the tokens trained."""
    one_set = config.evaluation.tokens_per_set * EVALUATION_SHARE
    spread = {}
    for params, speed in measured.items():
        nodes = [node for node in tree.nodes if node.spec.model.params == params]
        sets = sum(len(node_measured_tokens(config, node)) * sets_measured(config, node) for node in nodes)
        spread[params] = speed / (1 + sets * one_set / sum(node.tokens for node in nodes))
    return spread
