from __future__ import annotations

import json
from pathlib import Path

import pytest

from speciate.errors import UserError
from speciate.training.folder import read_done, read_losses, read_metrics


def test_done_only_for_the_same_evaluation_text(tmp_path: Path) -> None:
    assert read_done(tmp_path) is None
    done = {"key": "k", "seconds": 1.0, "tokens": 32, "tokens_per_second": 32.0, "eval_hash": "x"}
    (tmp_path / "DONE").write_text(json.dumps(done), encoding="utf-8")
    assert read_done(tmp_path, "x") == done
    assert read_done(tmp_path, "y") is None
    for damaged in ('{"eval_h', '{"eval_hash": "x"}', "[]", ""):
        (tmp_path / "DONE").write_text(damaged, encoding="utf-8")
        assert read_done(tmp_path, "x") is None
    (tmp_path / "DONE").unlink()
    (tmp_path / "DONE").mkdir()
    assert read_done(tmp_path, "x") is None


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics.jsonl: cannot be read"):
        read_metrics(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("[1]\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a row is no measurement"):
        read_metrics(tmp_path)
    (tmp_path / "losses.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=r"losses.npy: cannot be read"):
        read_losses(tmp_path)
