from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speciate.errors import UserError
from speciate.runs.spec import RunSpec
from speciate.runs.tree import Node, RunTree, build_tree
from speciate.training import node as node_module
from speciate.training.folder import read_done, read_losses, read_metrics

Train = Callable[..., str]
RESULTS = ("losses.npy", "metrics.jsonl", "checkpoint/model.safetensors", "checkpoint/optimizer.safetensors")


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULTS]


@pytest.mark.parametrize("run", ["spec", "mixed"])
def test_trunk_and_branch_equal_one_piece_bitwise(
    run: str, request: pytest.FixtureRequest, train: Train, tmp_path: Path
) -> None:
    """The same run as 2 nodes, as 4 nodes (cut by shorter runs), and stopped after every single step."""
    spec: RunSpec = request.getfixturevalue(run)
    pieces = [
        replace(spec, name=f"cut{i}", phases=(*spec.phases[:i], replace(spec.phases[i], tokens=64))) for i in (0, 1)
    ]
    whole, cut = build_tree([spec]), build_tree([spec, *pieces])
    assert (len(whole.nodes), len(cut.nodes)) == (2, 4)
    for tree, root in ((whole, tmp_path / "whole"), (cut, tmp_path / "cut")):
        for node in tree.nodes:
            assert train(node, root) == "done"
    for node in whole.nodes:
        while train(node, tmp_path / "stopped", stop=itertools.cycle([False, True]).__next__) != "done":
            pass
    last = whole.runs["run"][-1]
    assert results(tmp_path / "stopped" / last) == results(tmp_path / "whole" / last)
    for name in ("checkpoint/model.safetensors", "checkpoint/optimizer.safetensors"):
        assert (tmp_path / "whole" / last / name).read_bytes() == (tmp_path / "cut" / last / name).read_bytes()
    for read in (read_losses, read_metrics):
        one = [value for key in whole.runs["run"] for value in list(read(tmp_path / "whole" / key))]
        other = [value for key in cut.runs["run"] for value in list(read(tmp_path / "cut" / key))]
        assert one == other


def test_optimizer_is_kept_or_reset_at_a_phase(spec: RunSpec, train: Train, tmp_path: Path) -> None:
    kept = replace(spec, name="kept", phases=(spec.phases[0], replace(spec.phases[1], reset_optimizer=False)))
    tree = build_tree([spec, kept])
    for node in tree.nodes:
        train(node, tmp_path)
    first, second = (read_losses(tmp_path / tree.runs[run][-1]) for run in ("run", "kept"))
    assert first[0] == second[0] and first[-1] != second[-1]


def test_measures_where_asked(short_and_long: RunTree, train: Train, tmp_path: Path) -> None:
    said: list[int] = []
    for node in short_and_long.nodes:
        train(node, tmp_path, progress=lambda tokens, rate: said.append(tokens))
    tokens = [[row["tokens"] for row in read_metrics(tmp_path / node.key)] for node in short_and_long.nodes]
    assert tokens == [[0, 64, 128], [0, 64], [128]]  # 40 is rounded up to a step, once; phases start at 0
    done = read_done(tmp_path / short_and_long.nodes[0].key)
    assert done is not None and done["tokens"] == 128 and done["tokens_per_second"] > 0
    assert read_losses(tmp_path / short_and_long.nodes[0].key).dtype == np.float32


def test_other_evaluation_text_measures_again(short_and_long: RunTree, train: Train, tmp_path: Path) -> None:
    node = short_and_long.nodes[0]
    train(node, tmp_path)
    before = results(tmp_path / node.key)
    (tmp_path / node.key / "losses.npy").unlink()
    train(node, tmp_path)  # done: nothing happens
    assert not (tmp_path / node.key / "losses.npy").exists()
    train(node, tmp_path, eval_hash="other")
    assert results(tmp_path / node.key) == before
    assert read_done(tmp_path / node.key, "other") and not read_done(tmp_path / node.key)


def test_altered_measurements_are_written_again_from_the_last_checkpoint(
    short_and_long: RunTree, train: Train, tmp_path: Path
) -> None:
    node = short_and_long.nodes[0]
    train(node, tmp_path)
    before, metrics = results(tmp_path / node.key), tmp_path / node.key / "metrics.jsonl"
    for altered in ("", metrics.read_text(encoding="utf-8").replace("loss", "lass"), "[1]\n"):
        metrics.write_text(altered, encoding="utf-8")
        assert read_done(metrics.parent) is None
        train(node, tmp_path)
        assert results(metrics.parent) == before
    metrics.unlink()
    assert read_done(metrics.parent) is None


def test_a_loss_that_is_not_finite_is_the_users_to_mend(spec: RunSpec, train: Train, tmp_path: Path) -> None:
    wild = replace(spec, phases=(replace(spec.phases[0], learning_rate=1e30, warmup_tokens=0),))
    with pytest.raises(UserError, match="run run, phase 0.*no longer finite; lower its learning_rate"):
        train(build_tree([wild]).nodes[0], tmp_path)


def test_damaged_checkpoints(short_and_long: RunTree, train: Train, tmp_path: Path) -> None:
    trunk, short, _ = short_and_long.nodes
    train(trunk, tmp_path)
    train(short, tmp_path)
    before = results(tmp_path / short.key)
    (tmp_path / short.key / "DONE").unlink()
    (tmp_path / short.key / "checkpoint/model.safetensors").write_bytes(b"")
    train(short, tmp_path)  # its own: started again
    assert results(tmp_path / short.key) == before
    shutil.rmtree(tmp_path / short.key)
    (tmp_path / trunk.key / "checkpoint/model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=f"{trunk.key}.checkpoint.model.safetensors: the checkpoint is damaged"):
        train(short, tmp_path)  # its finished parent's


def run_killed(train: Train, node: Node, root: Path, moment: int) -> bool:
    """Train in a forked process that ends by SIGKILL at its ``moment``-th touch of the disk or training step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 dislikes forks of threaded processes
        child = os.fork()
    if child == 0:
        try:
            left = iter(range(moment))

            def dying(function: Callable[..., object]) -> Callable[..., object]:
                def call(*arguments: object, **options: object) -> object:
                    if next(left, None) is None:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return function(*arguments, **options)

                return call

            for name in ("replace", "fsync", "unlink", "rmdir", "mkdir"):
                setattr(os, name, dying(getattr(os, name)))
            node_module.train_step = dying(node_module.train_step)  # type: ignore[assignment]
            train(node, root, checkpoint_seconds=0.0)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_ten_random_moments(spec: RunSpec, train: Train, tmp_path: Path, seed: int) -> None:
    spec = replace(spec, phases=(replace(spec.phases[0], tokens=20 * spec.tokens_per_step),))
    (node,) = build_tree([spec]).nodes
    train(node, tmp_path / "undisturbed")
    moments = random.Random(seed)
    deaths = sum(run_killed(train, node, tmp_path / "killed", moments.randrange(1, 40)) for _ in range(10))
    assert deaths == 10
    assert train(node, tmp_path / "killed") == "done"
    assert results(tmp_path / "killed" / node.key) == results(tmp_path / "undisturbed" / node.key)
    left = {path.name for path in (tmp_path / "killed" / node.key).iterdir() if not path.name.startswith(".")}
    assert left == {"spec.json", "checkpoint", "metrics.jsonl", "losses.npy", "DONE"}


def test_killed_at_every_moment_of_a_short_node(spec: RunSpec, train: Train, tmp_path: Path) -> None:
    """2 steps with a checkpoint after each: die at every third touch of the disk until none is left to die at."""
    (node,) = build_tree([replace(spec, phases=(replace(spec.phases[0], tokens=64),))]).nodes
    train(node, tmp_path / "undisturbed")
    expected = results(tmp_path / "undisturbed" / node.key)
    for moment in range(0, 200, 3):
        root = tmp_path / str(moment)
        if not run_killed(train, node, root, moment):
            break
        assert train(node, root) == "done"
        assert results(root / node.key) == expected
    assert 30 < moment < 199
