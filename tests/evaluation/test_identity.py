from __future__ import annotations

from speciate.evaluation.identity import eval_hash


def test_text_groups_and_sizes_all_count_and_order_does_not() -> None:
    held_out = {"a": "00", "b": "11"}
    groups = {"general": {"a": 0.5, "b": 0.5}}
    base = eval_hash(held_out, groups, 8192, 256)
    assert base == eval_hash({"b": "11", "a": "00"}, groups, 8192, 256)
    others = [
        eval_hash({"a": "00", "b": "12"}, groups, 8192, 256),
        eval_hash({"a": "00"}, groups, 8192, 256),
        eval_hash(held_out, {"general": {"a": 1.0}}, 8192, 256),
        eval_hash(held_out, groups, 4096, 256),
        eval_hash(held_out, groups, 8192, 128),
    ]
    assert len({base, *others}) == 6
    assert len(base) == 16
