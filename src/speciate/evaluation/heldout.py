"""Loss on held-out text: the same windows of every domain at every measurement.

nats per token is the mean of -ln P(token) over all predicted tokens; bits per byte is the sum of the same, divided by
ln 2 and by the bytes of text which those tokens stand for, so it does not depend on the tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from speciate.errors import Problem, UserError
from speciate.training.model import CausalLM
from speciate.training.step import chunk_rows, hidden_states

BATCH_TOKENS = 8192  # per forward pass (measured best on one CPU thread of 2,048 to 32,768; little depends on it)


class HeldOutText(Protocol):
    """The part of `corpus.shards.Corpus` that measuring needs."""

    @property
    def held_out(self) -> Mapping[str, Any]: ...
    @property
    def token_bytes(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class _Windows:
    tokens: Tensor  # (windows, sequence_length + 1), int64
    bytes_per_token: float  # of the predicted tokens


class HeldOut:
    """Held-out windows of some domains, and groups of domains such as "general".

    ``groups`` maps a name to {domain: weight}: its loss is the weighted mean of its domains' losses (weights need not
    sum to 1), its bits per byte the weighted nats over the weighted bytes. From each domain ``tokens_per_set`` tokens
    are taken (fewer if it has not as many), in windows spread evenly over its held-out text.

    Raises UserError naming every domain without one window, unknown domain of a group, and group named like a domain.
    """

    def __init__(
        self,
        corpus: HeldOutText,
        domains: Sequence[str],
        groups: Mapping[str, Mapping[str, float]],
        tokens_per_set: int,
        sequence_length: int,
    ) -> None:
        _check(corpus, domains, groups, sequence_length)
        self.domains, self.groups = tuple(domains), {name: dict(weights) for name, weights in groups.items()}
        self.sequence_length = sequence_length
        wanted = max(1, tokens_per_set // sequence_length)
        self._sets = {
            d: _windows(corpus.held_out[d], wanted, sequence_length, corpus.token_bytes) for d in self.domains
        }

    @property
    def tokens(self) -> dict[str, int]:
        """Predicted tokens of each domain."""
        return {d: s.tokens.shape[0] * self.sequence_length for d, s in self._sets.items()}

    def measure(self, model: CausalLM, precision: str, only: Collection[str] | None = None) -> list[dict[str, Any]]:
        """[{"eval_on", "loss" in nats per token, "bits_per_byte"}, ...], domains first, then groups.

        ``only``: of these domains, and of the groups that need no other; None: all. A domain's loss is the same
        whichever others are measured. The model is left in the mode it was in; ``bits_per_byte`` is None where the
        tokens stand for no text.
        """
        wanted = [d for d in self.domains if only is None or d in only]
        losses = self._losses(model, precision, wanted)
        rows = [_row(d, losses[d], self._sets[d].bytes_per_token) for d in wanted]
        for name, weights in self.groups.items():
            if not weights.keys() <= losses.keys():
                continue
            total = math.fsum(weights.values())
            loss = math.fsum(w * losses[d] for d, w in weights.items()) / total
            rows.append(
                _row(name, loss, math.fsum(w * self._sets[d].bytes_per_token for d, w in weights.items()) / total)
            )
        return rows

    def _losses(self, model: CausalLM, precision: str, domains: Sequence[str]) -> dict[str, float]:
        training = model.training
        model.train(False)
        try:
            return {d: _mean_loss(model, self._sets[d].tokens, precision) for d in domains}
        finally:
            model.train(training)


@torch.inference_mode()
def _mean_loss(model: CausalLM, windows: Tensor, precision: str) -> float:
    """Mean -ln P over windows (n, T + 1), in nats per token; logits and softmax in float32, summed in float64."""
    count = max(1, BATCH_TOKENS // (windows.shape[1] - 1))
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    for batch in torch.split(windows, count):
        samples = batch.to(model.device)
        hidden = hidden_states(model, samples[:, :-1], precision)
        total += _sum_loss(hidden.float(), model.lm_head.weight, samples[:, 1:].reshape(-1))
    return float(total) / (windows.shape[0] * (windows.shape[1] - 1))


def _sum_loss(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    rows = chunk_rows(len(head), hidden.device.type)
    total = torch.zeros((), dtype=torch.float64, device=hidden.device)
    for part, wanted in zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True):
        logits = part @ head.t()
        logits -= logits.amax(-1, keepdim=True)
        right = logits.gather(1, wanted[:, None])
        total += (logits.exp_().sum(-1, keepdim=True).log() - right).sum(dtype=torch.float64)
    return total


def _windows(held_out: Any, wanted: int, length: int, token_bytes: NDArray[np.int64]) -> _Windows:
    available = (len(held_out) - 1) // length
    count = min(wanted, available)
    starts = [index * available // count * length for index in range(count)]
    tokens = np.stack([np.asarray(held_out[start : start + length + 1]) for start in starts]).astype(np.int64)
    return _Windows(torch.from_numpy(tokens), float(token_bytes[tokens[:, 1:]].mean()))


def _row(name: str, loss: float, bytes_per_token: float) -> dict[str, Any]:
    bits = loss / math.log(2) / bytes_per_token if bytes_per_token > 0 else None
    return {"eval_on": name, "loss": loss, "bits_per_byte": bits}


def _check(corpus: HeldOutText, domains: Sequence[str], groups: Mapping[str, Mapping[str, float]], length: int) -> None:
    problems = []
    for domain in domains:
        if domain not in corpus.held_out:
            fix = f"use one of {', '.join(sorted(corpus.held_out))}"
            problems.append(Problem(f"no domain {domain!r} in the corpus", "evaluation", fix))
        elif len(corpus.held_out[domain]) <= length:
            what = f"domain {domain!r} has {len(corpus.held_out[domain])} held-out tokens, less than one window"
            problems.append(Problem(what, "evaluation", f"give it more text, or a larger share than {length} tokens"))
    for name, weights in groups.items():
        if name in domains:
            problems.append(Problem(f"group {name!r} has the name of a domain", "evaluation", "rename the group"))
        problems += [
            Problem(f"group {name!r} names the domain {d!r}", "evaluation", f"use some of {', '.join(domains)}")
            for d in weights
            if d not in domains
        ]
        if not weights or min(weights.values()) < 0 or not math.fsum(weights.values()) > 0:
            problems.append(Problem(f"group {name!r} has no positive weight", "evaluation", "weigh its domains"))
    if problems:
        raise UserError(problems)
