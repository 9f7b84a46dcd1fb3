"""Tokens in, pieces of text out: no half characters, nothing of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNREADABLE = "\ufffd"  # what a decoder writes for bytes that are no character, or not yet


class Pieces:
    """Joined, the pieces are the decoded text up to the first stop string.

    A token of a byte-level vocabulary may end within a character, and the text so far within a stop string: both are
    held back until it is clear what they are. ``decode`` turns ids into text.
    """

    def __init__(self, decode: Callable[[list[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode, self._stop = decode, tuple(stop)
        self._before: list[int] = []  # tokens of whole characters: some decoders treat the first token as another
        self._before_text = ""
        self._open: list[int] = []  # tokens whose text is not out
        self._held = ""  # text that may be the beginning of a stop string
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that this token makes certain; often empty."""
        assert not self.stopped
        self._open.append(token)
        text = self._decode([*self._before, *self._open])[len(self._before_text) :]
        if not text or text.endswith(UNREADABLE):
            return ""
        self._before, self._open = self._open, []
        self._before_text = self._decode(self._before)
        return self._release(text, self._hidden)

    def finish(self) -> str:
        """The rest, when no more tokens come."""
        if self.stopped:
            return ""
        text = self._decode([*self._before, *self._open])[len(self._before_text) :]
        return self._release(text, lambda text: 0)

    def _release(self, text: str, hidden: Callable[[str], int]) -> str:
        text = self._held + text
        found = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:  # the one that is whole first, however the text is cut into tokens
            self.stopped, self._held = True, ""
            return text[: min(found)[1]]
        out = len(text) - hidden(text)
        self._held = text[out:]
        return text[:out]

    def _hidden(self, text: str) -> int:
        """Letters at the end that may begin a stop string."""
        return max(
            (
                size
                for stop in self._stop
                for size in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:size])
            ),
            default=0,
        )
