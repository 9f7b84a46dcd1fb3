"""Files are whole or absent; a value has one hash."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.storage import canonical_json, digest, file_digest, write_atomic

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_canonical_json_is_json_with_one_spelling(value: object) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_order_of_keys_changes_nothing(value: dict[str, int]) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_nan_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(value)


def test_digest_is_golden() -> None:
    expected = hashlib.sha256(b'{"a":null,"b":[1,2.5]}').hexdigest()
    assert digest({"b": [1, 2.5], "a": None}) == expected
    assert digest("é") == hashlib.sha256('"é"'.encode()).hexdigest()


def test_write_atomic_makes_folders_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, "é")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert file_digest(path) == hashlib.sha256(b"new").hexdigest()
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(path.parent) == ["b.txt"]


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    write_atomic(path, "old")

    def crash(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["plan.json"]
