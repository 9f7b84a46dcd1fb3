"""Worker processes for the tests of worker.py and executor.py: python worker_process.py (real|fake) ROOT."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from speciate.errors import Problem, UserError
from speciate.storage import write_atomic
from speciate.training.worker import serve


def fake(root: Path, key: str, progress: Callable[[int, float], None], stop: Callable[[], bool]) -> str:
    """Does what root/orders.json says for this node, or for "*", and trains nothing."""
    orders = json.loads((root / "orders.json").read_text(encoding="utf-8"))
    order = orders.get(key, orders.get("*", "done"))
    with (root / "log").open("a", encoding="utf-8") as log:
        log.write(f"{key} {os.getpid()}\n")
    print("this goes to standard error")
    if order == "die" or (order == "die once" and not (root / f"{key}.died").exists()):
        (root / f"{key}.died").touch()
        os.kill(os.getpid(), 9)
    if order == "user error":
        raise UserError([Problem("too hot", "run a", "cool it"), Problem("too cold", "run b", "warm it")])
    if order == "full disk":
        raise OSError(28, "No space left on device", "checkpoint")
    if order == "bug":
        raise ZeroDivisionError("a bug of ours")
    progress(16, 1000.0)
    while order == "wait":
        if stop():
            (root / f"{key}.stopped").touch()
            return "stopped"
        time.sleep(0.01)
    done = {"key": key, "seconds": 1.0, "tokens": 32, "tokens_per_second": 32.0, "eval_hash": ""}
    write_atomic(root / key / "DONE", json.dumps(done))
    return "done"


def real(root: Path, key: str, progress: Callable[[int, float], None], stop: Callable[[], bool]) -> str:
    """Trains the node of root/tree.json, telling its progress at every step."""
    import numpy as np

    from speciate.corpus.tokens.stream import Stream
    from speciate.runs.tree import RunTree
    from speciate.training import node as node_module

    with (root / "log").open("a", encoding="utf-8") as log:
        log.write(f"{key} {os.getpid()}\n")
    node = RunTree.from_json(json.loads((root / "tree.json").read_text(encoding="utf-8"))).node(key)
    phases = [(p.mixture, p.tokens, p.order_seed) for p in node.spec.phases]
    stream = Stream({"a": np.arange(500) % 61, "b": np.arange(500) % 53}, phases, 0, node.spec.model.sequence_length)
    node_module.PROGRESS_SECONDS = 0.0
    return node_module.train_node(
        node,
        stream,
        root,
        measure=lambda model, tokens: [{"eval_on": "a", "loss": float(model.lm_head.weight.detach().sum())}],
        eval_tokens=range(0, node.end_tokens + 1, 64),
        checkpoint_seconds=0.0,
        progress=progress,
        stop=stop,
    )


if __name__ == "__main__":
    train, folder = {"real": real, "fake": fake}[sys.argv[1]], Path(sys.argv[2])

    def work(key: str, progress: Callable[[int, float], None], stop: Callable[[], bool]) -> str:
        def held(tokens: int, rate: float) -> None:
            """Tell the progress, then wait in the middle of the node for as long as root/<key>.hold exists."""
            progress(tokens, rate)
            while (folder / f"{key}.hold").exists() and (folder / key / "checkpoint").exists() and not stop():
                time.sleep(0.01)

        return train(folder, key, held, stop)

    serve(work)
