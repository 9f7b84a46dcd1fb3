from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from speciate.errors import UserError
from speciate.training.lock import exclusive


def test_a_second_launch_is_told_who_trains(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        second = exclusive(tmp_path)
        with pytest.raises(UserError, match=f"process {os.getpid()} trains here already"):
            second.__enter__()
    with exclusive(tmp_path):
        pass


def test_workers_of_a_dead_parent_hold_it_until_they_end(tmp_path: Path) -> None:
    parent = os.fork()
    if parent == 0:
        with exclusive(tmp_path) as lock:
            child = subprocess.Popen(
                [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(lock,)
            )
            os.write(os.open(tmp_path / "child", os.O_CREAT | os.O_WRONLY), str(child.pid).encode())
            os.kill(os.getpid(), 9)
    os.waitpid(parent, 0)
    with exclusive(tmp_path, patience_seconds=10):  # the child saw the end of its input, and ended
        pass
