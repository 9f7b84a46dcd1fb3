"""Which sources are held out: whole files, because neighbouring documents repeat each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def shuffled(names: Mapping[str, object] | list[str], salt: str) -> list[str]:
    """Names in the order of a hash: the same everywhere, and adding a name moves no other."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{salt}/{name}".encode()).digest())


def choose_held_out(sizes: Mapping[str, int], share: float, seed: int) -> set[str]:
    """Sources (name -> bytes) to hold out: in shuffled order until ``share`` of the bytes is reached.

    A source that would carry the sum past twice the share is passed over; at least one is held out, and at least
    one is left to train on.

    >>> choose_held_out({"a": 10, "b": 10, "c": 1000}, 0.01, seed=0) <= {"a", "b"}
    True
    """
    total, held, chosen = sum(sizes.values()), 0, set[str]()
    for name in shuffled(list(sizes), f"held out {seed}"):
        if held >= share * total:
            break
        if held + sizes[name] <= 2 * share * total and len(chosen) + 1 < len(sizes):
            chosen.add(name)
            held += sizes[name]
    if not chosen and len(sizes) > 1:
        chosen.add(min(sizes, key=lambda name: (sizes[name], name)))
    return chosen
