from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from speciate.errors import UserError
from speciate.runs.spec import RunSpec
from speciate.runs.tree import RunTree, build_tree
from speciate.training.executor import Interrupted, run_nodes
from speciate.training.schedule import Progress

WORKER = str(Path(__file__).with_name("worker_process.py"))


def command(root: Path, mode: str = "fake") -> list[str]:
    return [sys.executable, WORKER, mode, str(root)]


@pytest.fixture(autouse=True)
def package_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))


def order(root: Path, orders: dict[str, str]) -> None:
    root.mkdir(exist_ok=True)
    (root / "orders.json").write_text(json.dumps(orders), encoding="utf-8")


def log(root: Path) -> list[list[str]]:
    return [line.split() for line in (root / "log").read_text(encoding="utf-8").splitlines()]


def test_order_and_relaunch(short_and_long: RunTree, tmp_path: Path) -> None:
    order(tmp_path, {})
    seen: list[Progress] = []
    done = run_nodes(short_and_long, tmp_path, command(tmp_path), processes=2, progress=seen.append)
    trunk, short, long = (node.key for node in short_and_long.nodes)
    assert [key for key, _ in log(tmp_path)] == [trunk, short, long]
    assert set(done) == {trunk, short, long}
    assert (seen[-1].nodes_done, seen[-1].tokens_done, seen[-1].seconds_left) == (3, 256, 0.0)
    (tmp_path / long / "DONE").unlink()
    run_nodes(short_and_long, tmp_path, command(tmp_path), processes=2)
    assert [key for key, _ in log(tmp_path)] == [trunk, short, long, long]
    run_nodes(short_and_long, tmp_path, ["no such program"], processes=2)  # nothing is left to start it for


def test_a_worker_that_dies_is_replaced(short_and_long: RunTree, tmp_path: Path) -> None:
    trunk, *_ = (node.key for node in short_and_long.nodes)
    order(tmp_path, {trunk: "die once"})
    run_nodes(short_and_long, tmp_path, command(tmp_path), processes=1)
    assert [key for key, _ in log(tmp_path)][:2] == [trunk, trunk]
    assert len({pid for _, pid in log(tmp_path)}) == 2  # one process before the death, one for all after it


def test_a_worker_that_always_dies_is_reported(short_and_long: RunTree, tmp_path: Path) -> None:
    order(tmp_path, {"*": "die"})
    trunk = short_and_long.nodes[0].key
    with pytest.raises(UserError, match=f"node {trunk}: a worker process ended 2 times by SIGKILL"):
        run_nodes(short_and_long, tmp_path, command(tmp_path), processes=1, retries=1)
    with pytest.raises(UserError, match="ended 1 times with exit code 3"):
        run_nodes(short_and_long, tmp_path, [sys.executable, "-c", "raise SystemExit(3)"], processes=1, retries=0)


def test_errors_of_the_user_and_of_ours(short_and_long: RunTree, tmp_path: Path) -> None:
    order(tmp_path, {"*": "user error"})
    with pytest.raises(UserError) as caught:
        run_nodes(short_and_long, tmp_path, command(tmp_path), processes=1)
    assert [str(problem) for problem in caught.value.problems] == [
        "run a: too hot; cool it",
        "run b: too cold; warm it",
    ]
    order(tmp_path, {"*": "bug"})
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ZeroDivisionError: a bug of ours"):
        run_nodes(short_and_long, tmp_path, command(tmp_path), processes=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_workers_first(short_and_long: RunTree, tmp_path: Path, number: signal.Signals) -> None:
    order(tmp_path, {"*": "wait"})
    before = signal.getsignal(number)

    def interrupt(progress: Progress) -> None:
        if progress.tokens_done:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted):
        run_nodes(short_and_long, tmp_path, command(tmp_path), processes=2, progress=interrupt)
    assert (tmp_path / f"{short_and_long.nodes[0].key}.stopped").exists()
    assert signal.getsignal(number) is before


def wait_for(path: Path, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.02)


LAUNCH = """
import json, sys
from pathlib import Path
from speciate.runs.tree import RunTree
from speciate.training.executor import run_nodes
root = Path(sys.argv[1])
tree = RunTree.from_json(json.loads((root / "tree.json").read_text()))
run_nodes(tree, root, sys.argv[2:], processes=1)
"""


def test_workers_stop_by_themselves_when_the_executor_is_killed(short_and_long: RunTree, tmp_path: Path) -> None:
    trunk = short_and_long.nodes[0].key
    order(tmp_path, {trunk: "wait"})
    (tmp_path / "tree.json").write_text(json.dumps(short_and_long.to_json()), encoding="utf-8")
    executor = subprocess.Popen([sys.executable, "-c", LAUNCH, str(tmp_path), *command(tmp_path)])
    wait_for(tmp_path / "log")
    with pytest.raises(UserError, match=f"process {executor.pid} trains here already"):
        run_nodes(short_and_long, tmp_path, command(tmp_path), processes=1)
    executor.kill()
    executor.wait()
    wait_for(tmp_path / f"{trunk}.stopped")
    order(tmp_path, {})
    run_nodes(short_and_long, tmp_path, command(tmp_path), processes=1)


def test_true_kill_of_a_training_worker(spec: RunSpec, tmp_path: Path) -> None:
    """kill -9 in the middle of a node of 20 steps, after a checkpoint; the losses are those of a node left alone.

    A second worker, done with its own short node, takes over: to wait for a new one's imports would take seconds.
    """
    long = replace(spec, phases=(replace(spec.phases[0], tokens=20 * spec.tokens_per_step),))
    short = replace(spec, name="short", init_seed=1, phases=(replace(spec.phases[0], tokens=32),))
    tree = build_tree([long, short])
    key = tree.runs["run"][-1]
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    for root in (killed, alone):
        root.mkdir()
        (root / "tree.json").write_text(json.dumps(tree.to_json()), encoding="utf-8")
    for name in ("log", f"{key}.hold"):
        (killed / name).touch()
    victims: list[int] = []

    def trainers() -> list[int]:
        return [int(pid) for started, pid in log(killed) if started == key]

    def kill(progress: Progress) -> None:
        if not victims and progress.nodes_done == 1 and (killed / key / "checkpoint").exists():
            victims.extend(trainers())
            os.kill(victims[0], signal.SIGKILL)
            (killed / f"{key}.hold").unlink()

    run_nodes(tree, killed, command(killed, "real"), processes=2, progress=kill)
    assert len(victims) == 1 and len(trainers()) == 2
    runpy.run_path(WORKER)["real"](alone, key, lambda tokens, rate: None, lambda: False)
    for name in ("losses.npy", "metrics.jsonl", "checkpoint/model.safetensors", "checkpoint/optimizer.safetensors"):
        assert (killed / key / name).read_bytes() == (alone / key / name).read_bytes(), name
