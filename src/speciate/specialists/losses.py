"""What the tokens of texts cost a model, in nats: beyond the prefix that routes them, and of continuations.

A text longer than the model's sequence is read in windows of that length; the last one reaches back, so that its tokens
have as much before them as there is. The tokens of the router's prefix are read but not scored (paper 001 scores the
remaining portion), as they are spent on the choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from speciate.corpus.cluster.windows import prefix

Array = NDArray[np.float64]
LOGIT_BYTES = {"cpu": 32 << 20, "cuda": 1 << 30}  # float32 logits at a time
HOWS = ("routed", "oracle", "best", "ensemble", "base")


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """Losses of n texts by one way of choosing the model.

    ``nats``: mean per scored token of all texts; ``text_nats`` (n): sum of each text; ``text_tokens`` (n): its scored
    tokens, 0 where the text ends within the prefix; ``experts`` (n): who scored it, None for the ensemble.
    """

    how: str
    nats: float
    tokens: int
    text_nats: Array
    text_tokens: NDArray[np.int64]
    experts: tuple[str | None, ...]

    @property
    def perplexity(self) -> float:
        """exp of the mean nats per token."""
        return math.exp(self.nats)

    def over(self, chosen: Any) -> float | None:
        """Mean nats per token over some texts (indices or a mask); None if they have no scored token."""
        tokens = int(self.text_tokens[chosen].sum())
        return float(self.text_nats[chosen].sum()) / tokens if tokens else None


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """ln P(continuation | context) in nats, whether every token of it is the likeliest, how many, and by whom."""

    value: float
    greedy: bool
    tokens: int
    expert: str


@dataclass(frozen=True, slots=True)
class Text:
    """Ids of a text, and where scoring begins: never with the first, which nothing stands before."""

    ids: list[int]
    first: int

    @property
    def scored(self) -> int:
        """Tokens that count."""
        return max(0, len(self.ids) - self.first)


def after_prefix(tokenizer: Any, text: str, tokens: int) -> Text:
    """A text whose scoring begins with the first token that starts after the first ``tokens`` router tokens."""
    encoding = tokenizer.encode(text)
    end = len(prefix(text, tokens))
    first = next((at for at, (start, _) in enumerate(encoding.offsets) if start >= end), len(encoding.ids))
    return Text(encoding.ids, max(1, first))


def score(model: Any, texts: Sequence[Text], length: int) -> tuple[list[Array], list[bool]]:
    """ln P of each text's scored tokens, and whether all of them are the likeliest; ``length`` of the sequence."""
    values = [np.zeros(text.scored) for text in texts]
    greedy = [True] * len(texts)
    for batch in _batches([w for at, text in enumerate(texts) for w in _windows(at, text, length)], _rows(model)):
        found, likeliest = _log_probabilities(model, [window.ids for window in batch])
        for row, window in enumerate(batch):
            inner = slice(window.first, len(window.ids) - 1)
            values[window.text][window.to : window.to + inner.stop - inner.start] = found[row, inner]
            greedy[window.text] &= bool(likeliest[row, inner].all())
    return values, greedy


@dataclass(frozen=True, slots=True)
class _Window:
    """``ids``; predictions from ``first`` on count, and go to ``to`` of their text's values."""

    text: int
    ids: list[int]
    first: int
    to: int


def _windows(at: int, text: Text, length: int) -> Iterator[_Window]:
    ids, done = text.ids, text.first  # ids before `done` are scored, or need not be
    start = 0
    while done < len(ids):
        if start + length + 1 > len(ids):
            start = max(0, len(ids) - length - 1)
        end = min(start + length + 1, len(ids))
        if end > done:
            yield _Window(at, ids[start:end], done - start - 1, done - text.first)
            done = end
        start += length


def _batches(windows: list[_Window], positions: int) -> Iterator[list[_Window]]:
    """Windows of like length together, of at most ``positions`` tokens, or one."""
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: -len(window.ids)):
        if batch and (len(batch) + 1) * len(batch[0].ids) > positions:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _rows(model: Any) -> int:
    return LOGIT_BYTES.get(model.device.type, LOGIT_BYTES["cuda"]) // (4 * int(model.config.vocab_size))


@torch.inference_mode()
def _log_probabilities(model: Any, rows: list[list[int]]) -> tuple[Array, NDArray[np.bool_]]:
    """(rows, longest - 1): ln P of each id but the first, and whether it is the likeliest. Padded on the right, where
    a causal model does not look back from."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=model.device)
    logits: Tensor = model(input_ids=ids[:, :-1], use_cache=False).logits.float()  # (B, T, V)
    wanted = logits.gather(-1, ids[:, 1:, None])[..., 0]
    likeliest = wanted >= logits.amax(-1)
    found = wanted - logits.logsumexp(-1)
    return found.double().cpu().numpy(), likeliest.cpu().numpy()


def measure(
    texts: Sequence[Text],
    plans: Mapping[str, Sequence[str]],
    mixed: Sequence[str],
    use: Callable[[str], AbstractContextManager[Any]],
    length: int,
) -> dict[str, Losses]:
    """Losses by each of ``plans``, how: model of each text; with ``mixed`` models, ``best`` and ``ensemble`` too.

    Every model is asked for ``use(name)`` once and scores every text at most once.
    """
    count = np.array([text.scored for text in texts], np.int64)
    sums = {name: np.full(len(texts), np.inf) for plan in (*plans.values(), mixed) for name in plan}
    together = [np.full(n, -np.inf) for n in count.tolist()]
    for name in sums:
        wanted = {at for plan in plans.values() for at, each in enumerate(plan) if each == name}
        mine = list(range(len(texts))) if name in mixed else sorted(wanted)
        with use(name) as model:
            values, _ = score(model, [texts[at] for at in mine], length)
        for at, value in zip(mine, values, strict=True):
            sums[name][at] = -value.sum()
            if name in mixed:
                together[at] = np.logaddexp(together[at], value)
    found = {
        how: _losses(how, np.array([sums[name][at] for at, name in enumerate(plan)]), count, tuple(plan))
        for how, plan in plans.items()
    }
    if mixed:
        table = np.stack([sums[name] for name in mixed])  # (models, texts)
        best = tuple(mixed[int(at)] for at in table.argmin(0))
        found["best"] = _losses("best", table.min(0), count, best)
        mean = np.array([-(value - math.log(len(mixed))).sum() for value in together])
        found["ensemble"] = _losses("ensemble", mean, count, (None,) * len(texts))
    return found


def _losses(how: str, nats: Array, count: NDArray[np.int64], experts: tuple[str | None, ...]) -> Losses:
    tokens = int(count.sum())
    return Losses(how, float(nats.sum()) / tokens, tokens, nats, count, experts)
