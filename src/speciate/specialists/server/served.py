"""What the server needs of specialists; ``speciate.specialists`` has it, and tests stand in for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol


class Routed(Protocol):
    """The expert for a text, and how much the router thinks of each."""

    @property
    def expert(self) -> str: ...
    @property
    def scores(self) -> Mapping[str, float]: ...


class Ended(Protocol):
    """An answer that is complete."""

    @property
    def tokens(self) -> int: ...
    @property
    def finish(self) -> str: ...


class Streamed(Protocol):
    """The pieces of one answer; ``result`` once they have ended, ``close`` (from any thread) to end them early."""

    def __iter__(self) -> Iterator[str]: ...
    def close(self) -> None: ...
    @property
    def result(self) -> Ended | None: ...


class Served(Protocol):
    """Experts and their router. A UserError of ``stream`` says what is wrong with the expert."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def loaded(self) -> Collection[str]: ...
    @property
    def sequence_length(self) -> int: ...
    def count_tokens(self, text: str) -> int: ...
    def route(self, texts: Sequence[str]) -> Sequence[Routed]: ...
    def stream(
        self,
        prompt: str,
        *,
        expert: str | None = None,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Streamed: ...
