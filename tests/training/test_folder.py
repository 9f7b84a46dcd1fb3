from __future__ import annotations

from pathlib import Path

import pytest

from speciate.errors import UserError
from speciate.training.folder import read_done, read_losses, read_metrics


def test_done_only_for_the_same_evaluation_text(tmp_path: Path) -> None:
    assert read_done(tmp_path) is None
    (tmp_path / "DONE").write_text('{"eval_hash": "x"}', encoding="utf-8")
    assert read_done(tmp_path, "x") == {"eval_hash": "x"}
    assert read_done(tmp_path, "y") is None
    (tmp_path / "DONE").write_text('{"eval_h', encoding="utf-8")
    assert read_done(tmp_path, "x") is None


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics.jsonl: cannot be read"):
        read_metrics(tmp_path)
    (tmp_path / "losses.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=r"losses.npy: cannot be read"):
        read_losses(tmp_path)
