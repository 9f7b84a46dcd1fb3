from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from speciate.errors import UserError
from speciate.evaluation.heldout import HeldOut
from speciate.runs.spec import ModelSpec
from speciate.training.model import build_model

MODEL = ModelSpec("llama", 16, 1, 2, 32, 64, 16)
RANDOM = np.random.default_rng(0)


@dataclass(frozen=True)
class Text:
    """Token 0 ends a text and has no bytes; token t has 1 + t % 3."""

    held_out: dict[str, Any] = field(
        default_factory=lambda: {"a": np.arange(1, 400, dtype=np.uint16) % 64, "b": RANDOM.integers(0, 64, 200)}
    )
    token_bytes: Any = field(default_factory=lambda: np.where(np.arange(64) > 0, 1 + np.arange(64) % 3, 0))


def rows(held_out: HeldOut, precision: str = "float32") -> dict[str, dict[str, Any]]:
    return {row["eval_on"]: row for row in held_out.measure(build_model(MODEL, 0), precision)}


def test_equals_the_definition() -> None:
    text = Text()
    held_out = HeldOut(text, ["a", "b"], {"general": {"a": 3.0, "b": 1.0}}, 10**6, 16)
    assert held_out.tokens == {"a": 384, "b": 192}  # all there is, in whole windows
    measured = rows(held_out)
    assert list(measured) == ["a", "b", "general"]
    model = build_model(MODEL, 0).double()
    nats, size = {}, {}
    for domain, windows in (("a", 24), ("b", 12)):
        tokens = np.stack([text.held_out[domain][i * 16 : i * 16 + 17] for i in range(windows)]).astype(np.int64)
        with torch.no_grad():
            logits = model(torch.from_numpy(tokens[:, :-1])).logits
        nats[domain] = float(cross_entropy(logits.flatten(0, 1), torch.from_numpy(tokens[:, 1:]).reshape(-1)))
        size[domain] = text.token_bytes[tokens[:, 1:]].mean()
        assert measured[domain]["loss"] == pytest.approx(nats[domain], rel=1e-6)
        assert measured[domain]["bits_per_byte"] == pytest.approx(nats[domain] / math.log(2) / size[domain], rel=1e-6)
    mean = (3 * nats["a"] + nats["b"]) / 4
    assert measured["general"]["loss"] == pytest.approx(mean, rel=1e-6)
    bits = mean / math.log(2) / ((3 * size["a"] + size["b"]) / 4)
    assert measured["general"]["bits_per_byte"] == pytest.approx(bits, rel=1e-6)


def test_same_each_time_and_leaves_the_model_alone() -> None:
    held_out = HeldOut(Text(), ["a"], {}, 64, 16)
    model = build_model(MODEL, 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert held_out.measure(model, "bfloat16") == held_out.measure(model, "bfloat16")
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert rows(held_out, "bfloat16")["a"]["loss"] == pytest.approx(rows(held_out)["a"]["loss"], abs=0.01)


def test_no_bytes_is_null_and_not_zero() -> None:
    text = Text({"a": np.zeros(100, np.uint16)})
    assert rows(HeldOut(text, ["a"], {}, 64, 16))["a"]["bits_per_byte"] is None


def test_all_problems_at_once() -> None:
    with pytest.raises(UserError) as caught:
        HeldOut(
            Text({"a": np.arange(16), "b": np.arange(99)}), ["a", "b", "c"], {"b": {"b": 1.0}, "g": {"x": 0.0}}, 64, 16
        )
    said = [problem.what for problem in caught.value.problems]
    assert said == [
        "domain 'a' has 16 held-out tokens, less than one window",
        "no domain 'c' in the corpus",
        "group 'b' has the name of a domain",
        "group 'g' names the domain 'x'",
        "group 'g' has no positive weight",
    ]
