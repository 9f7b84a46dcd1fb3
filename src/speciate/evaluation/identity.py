"""Which held-out text a loss was measured on, known without loading a model or torch."""

from __future__ import annotations

from collections.abc import Mapping

from speciate.storage import digest


def eval_hash(
    held_out: Mapping[str, str], groups: Mapping[str, Mapping[str, float]], tokens_per_set: int, sequence_length: int
) -> str:
    """The name of a choice of held-out windows: 16 hexadecimal digits.

    ``held_out`` maps every measured domain to the SHA-256 of its held-out tokens. Losses with different
    names must not be fitted together, and a node measured under another name is trained again.

    >>> eval_hash({"a": "00"}, {"general": {"a": 1.0}}, 8192, 256) == eval_hash({"a": "01"}, {}, 8192, 256)
    False
    """
    settings = {"tokens_per_set": tokens_per_set, "sequence_length": sequence_length}
    return digest({"held_out": dict(held_out), "groups": {n: dict(g) for n, g in groups.items()}, **settings})[:16]
