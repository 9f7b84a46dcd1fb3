"""Text from one model by `transformers`' own generate, whole or in pieces as it comes.

Sampling is the largest of logits plus Gumbel noise, which is a draw from their softmax: the noise comes from a
generator of this call, so a seed gives the same text whatever other threads draw.
"""

from __future__ import annotations

import atexit
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from speciate.errors import Problem, UserError
from speciate.specialists.pieces import Pieces

COLDEST = 1e-4  # temperatures below it are 0: scores divided by them would overflow
LAST_SECONDS = 10.0  # for threads to end the token that they are in
LEAST_SECONDS = 0.005  # between pieces: waking the reader for every token of a small model costs a tenth of its speed


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. ``temperature`` 0: always the likeliest; ``top_p``: the least set of tokens whose
    probabilities reach it; ``stop``: strings before which the text ends."""

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks = [
            (self.max_new_tokens >= 1, "max_new_tokens", self.max_new_tokens, "give at least 1"),
            (0 <= self.temperature < float("inf"), "temperature", self.temperature, "give a finite number, 0 or more"),
            (0 < self.top_p <= 1, "top_p", self.top_p, "give a share above 0 and up to 1"),
            (
                self.seed is None or 0 <= self.seed < 2**63,
                "seed",
                self.seed,
                "give a whole number from 0 to below 2^63",
            ),
            (all(self.stop), "stop", "an empty string", "give strings of at least one letter"),
        ]
        problems = [Problem(f"{name} is {value}", name, fix) for fine, name, value, fix in checks if not fine]
        if problems:
            raise UserError(problems)


@dataclass(frozen=True, slots=True)
class Generation:
    """What was generated. ``tokens``: generated, one that ends the text included; ``finish``: "stop" at the end of the
    text or a stop string, "length" at the most tokens or where the model's sequence is full."""

    text: str
    expert: str
    prompt_tokens: int
    tokens: int
    finish: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, ready for a model: ``ids`` of the prompt, ``room`` for new tokens."""

    expert: str
    ids: list[int]
    room: int
    sampling: Sampling
    decode: Callable[[list[int]], str]
    end: int


_working: dict[threading.Thread, threading.Event] = {}  # threads of streams, and what ends them


def _end_streams() -> None:
    """Before the interpreter ends, which a thread within a step of torch's would crash."""
    working, end = dict(_working), time.monotonic() + LAST_SECONDS
    for cancelled in working.values():
        cancelled.set()
    for thread in working:
        thread.join(max(0.0, end - time.monotonic()))


atexit.register(_end_streams)


class Stream(Iterator[str]):
    """Pieces of text as they are generated, by a thread of its own: a slow reader holds nobody up.

    ``expert`` is known at once, ``result`` when the pieces have ended. ``close``, the end of a ``with`` block, or
    dropping the stream ends the generation.
    """

    def __init__(self, expert: str, run: Callable[[Callable[[str], None], Callable[[], bool]], Generation]) -> None:
        self.expert = expert
        self.result: Generation | None = None
        self._ended = False
        self._items: queue.SimpleQueue[str | Generation | BaseException] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        items, cancelled = self._items, self._cancelled

        def work() -> None:  # knows the queue, not the stream: a stream that nobody holds is cancelled
            try:
                items.put(run(items.put, cancelled.is_set))
            except BaseException as error:
                items.put(error)
            finally:
                _working.pop(thread, None)

        thread = threading.Thread(target=work, name=f"generate {expert}", daemon=True)
        _working[thread] = cancelled
        try:
            thread.start()
        except BaseException:
            del _working[thread]
            raise

    def __next__(self) -> str:
        if self._ended:
            raise StopIteration
        item = self._items.get()
        if isinstance(item, str):
            return item
        self._ended = True
        if isinstance(item, BaseException):
            raise item
        self.result = item
        raise StopIteration

    def close(self) -> None:
        """End the generation after its present token."""
        self._cancelled.set()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._cancelled.set()


def generate(
    model: Any,
    asked: Asked,
    tell: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Generation:
    """Generate with a model; ``tell`` gets each piece of text as soon as it is certain."""
    sampling = asked.sampling
    watched = tell is not None or bool(sampling.stop)
    watch = _Watch(Pieces(asked.decode, sampling.stop), tell, cancelled, asked.end)
    most = min(sampling.max_new_tokens, asked.room)
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=most, do_sample=False, use_cache=True, eos_token_id=asked.end, pad_token_id=asked.end
    )
    draws = [_Draw(sampling, model.device)] if sampling.temperature >= COLDEST else []
    ids = torch.tensor([asked.ids], device=model.device)
    with torch.inference_mode():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            logits_processor=LogitsProcessorList(draws),
            stopping_criteria=StoppingCriteriaList([watch] if watched else []),
        )
    new = out[0, len(asked.ids) :].tolist()
    ended = new[-1] == asked.end
    text = watch.finish() if watched else asked.decode(new)
    finish = "stop" if ended or watch.pieces.stopped else "length"
    return Generation(text, asked.expert, len(asked.ids), len(new), finish)


class _Draw(LogitsProcessor):
    """Scores whose largest is a draw: temperature, top-p, Gumbel noise."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self.temperature, self.top_p = sampling.temperature, sampling.top_p
        self.noise = torch.Generator(device)
        if sampling.seed is None:
            self.noise.seed()
        else:
            self.noise.manual_seed(sampling.seed)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float() / self.temperature  # (1, V)
        if self.top_p < 1:
            ordered, order = scores.sort(-1, descending=True)
            chances = ordered.softmax(-1)
            beyond = chances.cumsum(-1) - chances >= self.top_p  # never the first
            scores = scores.masked_fill(beyond.scatter(-1, order, beyond), float("-inf"))
        uniform = torch.empty_like(scores).exponential_(generator=self.noise)
        return scores - uniform.log()  # minus the log of an exponential is Gumbel noise


class _Watch(StoppingCriteria):
    """Sees every token: makes pieces, and ends the generation at a stop string or when nobody wants it."""

    def __init__(
        self, pieces: Pieces, tell: Callable[[str], None] | None, cancelled: Callable[[], bool], end: int
    ) -> None:
        self.pieces, self.tell, self.cancelled, self.end = pieces, tell, cancelled, end
        self.text: list[str] = []
        self._untold, self._told_at = "", 0.0
        self._going_on, self._done = torch.tensor([False]), torch.tensor([True])

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        token = input_ids[0, -1].item()
        if token != self.end:
            self._out(self.pieces.push(int(token)), LEAST_SECONDS)
        done = self._done if self.pieces.stopped or self.cancelled() else self._going_on
        return done.to(input_ids.device)

    def finish(self) -> str:
        """The rest, and all of the text."""
        self._out(self.pieces.finish(), 0.0)
        return "".join(self.text)

    def _out(self, piece: str, wait: float) -> None:
        if piece:
            self.text.append(piece)
        if self.tell is None:
            return
        self._untold += piece
        now = time.monotonic()
        if self._untold and now - self._told_at >= wait:
            self.tell(self._untold)
            self._untold, self._told_at = "", now
