from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WORKER = str(Path(__file__).with_name("worker_process.py"))


def test_protocol(tmp_path: Path) -> None:
    (tmp_path / "orders.json").write_text('{"b": "user error", "c": "full disk"}', encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    tasks = "".join(json.dumps({"key": key}) + "\n" for key in "abc")
    ended = subprocess.Popen(
        [sys.executable, WORKER, "fake", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert ended.stdin is not None and ended.stdout is not None
    ended.stdin.write(tasks)
    ended.stdin.flush()
    events = [json.loads(ended.stdout.readline()) for _ in range(5)]
    rest, errors = ended.communicate(timeout=20)  # the input ends, and so does the process
    assert [event["event"] for event in events] == ["ready", "progress", "done", "error", "error"]
    assert events[3]["problems"] == [["too hot", "run a", "cool it"], ["too cold", "run b", "warm it"]]
    assert events[4]["problems"][0][:2] == ["No space left on device", "checkpoint"]
    assert rest == "" and "this goes to standard error" in errors
    assert ended.returncode == 0


def test_needs_no_torch() -> None:
    """The executor's process imports these; torch would cost it seconds and 200 MB."""
    code = (
        "import sys, speciate.training.executor, speciate.training.worker, speciate.training.folder;"
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
