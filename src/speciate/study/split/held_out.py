"""Held-out texts on which routing is measured: some of each domain, in a file of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from speciate.corpus.cluster.windows import count_tokens, split_text
from speciate.errors import Problem, UserError
from speciate.storage import digest, write_atomic
from speciate.study.split.config import SplitStudy

MOST = 100  # of a domain
LEAST = 256  # tokens


@dataclass(frozen=True, slots=True)
class HeldOutText:
    """A window of a held-out document: its domain, the source it comes from, its number in the document."""

    text: str
    domain: str
    source: str
    window: int = 0


def window_tokens(config: SplitStudy) -> int:
    """Tokens of a window of text, which is clustered, routed and measured as one.

    A sequence of training (paper 001: 2,048), but not less than ``LEAST``: clusters are equal in windows, and are so
    in tokens if documents fill theirs.
    """
    return max(LEAST, config.training.sequence_length)


def texts_of(documents: Iterable[str], domain: str, window: int) -> Iterator[HeldOutText]:
    """The windows of documents of a domain that is a source."""
    for document in documents:
        for number, window_text in enumerate(split_text(document, window)):
            yield HeldOutText(window_text, domain, domain, number)


def choose_texts(found: Mapping[str, Iterable[HeldOutText]], prefix_tokens: int) -> list[HeldOutText]:
    """At most ``MOST`` of each domain, sorted by domain: beginnings of documents first, by a hash of the text.

    Texts that end with the prefix that routes them have nothing to measure and are left out, and so are repeats.
    Raises ``UserError`` for every domain that has no other.
    """
    chosen, problems = [], []
    for domain in sorted(found):
        each = {held.text: held for held in found[domain] if count_tokens(held.text) > prefix_tokens}
        if not each:
            what = f"no held-out text is longer than the {prefix_tokens} tokens that route it"
            problems.append(Problem(what, f"domain {domain}", "give it more or longer text, or ask for fewer domains"))
        chosen += sorted(each.values(), key=lambda held: (held.window, digest(held.text)))[:MOST]
    if problems:
        raise UserError(problems)
    return chosen


def write_texts(path: Path, texts: Iterable[HeldOutText]) -> None:
    """A line {"text", "domain", "source"} for each."""
    rows = ({"text": held.text, "domain": held.domain, "source": held.source} for held in texts)
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
