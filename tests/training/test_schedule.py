from __future__ import annotations

from dataclasses import replace

from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.runs.tree import RunTree, build_tree
from speciate.training.schedule import Running, Schedule

DONE = {"tokens_per_second": 100.0}


def lengths(*steps: int) -> RunTree:
    """Runs of so many steps of 32 tokens, each with its own seed."""
    model = ModelSpec("llama", 16, 1, 2, 32, 64, 16)
    phase = Phase((("a", 1.0),), 32, 1e-2)
    return build_tree(
        [RunSpec(f"run{i}", model, i, (replace(phase, tokens=32 * n),), 2, "") for i, n in enumerate(steps)]
    )


def test_longest_first_and_parents_before_children(short_and_long: RunTree) -> None:
    trunk, short, long = (node.key for node in short_and_long.nodes)
    schedule = Schedule(short_and_long, {})
    assert schedule.next() == trunk
    schedule.running.add(trunk)
    assert schedule.next() is None
    schedule.done[trunk] = DONE
    assert schedule.next() == short
    schedule.done |= {short: DONE, long: DONE}
    assert schedule.finished and schedule.next() is None
    tree = lengths(2, 5, 3)
    assert Schedule(tree, {}).next() == tree.runs["run1"][0]


def test_time_left() -> None:
    tree = lengths(4, 4, 4)
    schedule = Schedule(tree, {})
    assert schedule.progress([], 2).seconds_left is None
    first, second, _ = (node.key for node in tree.nodes)
    schedule.done[first] = DONE
    progress = schedule.progress([Running(second, 64, 100.0)], 2)
    assert (progress.nodes_done, progress.nodes, progress.tokens_done, progress.tokens) == (1, 3, 192, 384)
    assert progress.tokens_per_second == 100.0
    assert progress.seconds_left == 1.28  # the third run alone, longer than half of the 192 tokens that are left
