"""Windows and prefixes of text, counted in tokens that no tokeniser needs to be trained for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from speciate.corpus.reading.documents import Document

WINDOW = 2_048  # tokens (paper 001, E.1)
PREFIX = 32  # tokens that routing reads (paper 001, table 5)

# Up to seven letters, up to three digits, or one sign: close to what a byte-pair vocabulary of 32,000 makes of text,
# and the same on every machine and in every step.
_TOKEN = re.compile(r"[^\W\d_]{1,7}|\d{1,3}|[^\w\s]|_")


def count_tokens(text: str) -> int:
    """Tokens of a text.

    >>> count_tokens("Routing reads 32 tokens, about 24 words.")
    9
    """
    return sum(1 for _ in _TOKEN.finditer(text))


def prefix(text: str, tokens: int = PREFIX) -> str:
    """The first ``tokens`` tokens.

    >>> prefix("one two, three four", 3)
    'one two,'
    """
    end = 0
    for number, match in enumerate(_TOKEN.finditer(text), 1):
        end = match.end()
        if number == tokens:
            return text[:end]
    return text


def split_text(text: str, tokens: int = WINDOW) -> Iterator[str]:
    """Windows of ``tokens`` tokens that do not overlap; the last is shorter. Joined they are the text.

    >>> list(split_text("one two three", 2))
    ['one two ', 'three']
    """
    start = 0
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number and number % tokens == 0:
            yield text[start : match.start()]
            start = match.start()
    if start < len(text):
        yield text[start:]


def windows_of(document: Document, tokens: int = WINDOW) -> Iterator[tuple[int, Document]]:
    """(number of the window, the window as a document). A document of one window keeps its id, others add #number."""
    whole = True
    held: str | None = None
    number = 0
    for text in split_text(document.text, tokens):
        if held is not None:
            whole = False
            yield number, _window(document, held, number)
            number += 1
        held = text
    if held is not None:
        yield number, document if whole else _window(document, held, number)


def _window(document: Document, text: str, number: int) -> Document:
    return Document(f"{document.id}#{number}", text, document.source, document.meta)
