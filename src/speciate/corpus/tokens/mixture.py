"""What a mixture draws: samples, tokens and passes of every domain, in every phase, counted as training reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from speciate.corpus.tokens.stream import Stream
from speciate.errors import Problem, UserError

NATURAL = "natural"  # every domain by its tokens


@dataclass(frozen=True)
class Phase:
    """Shares of domains, summing to 1, for a number of tokens."""

    shares: tuple[tuple[str, float], ...]
    tokens: int


@dataclass(frozen=True)
class Draw:
    """One domain in a phase, or in the whole run.

    ``share`` of the samples that were asked for; ``samples`` and ``tokens`` that are drawn; ``epochs``: passes over
    the domain's training text from the start of the run to the end of the phase; ``repeated``: tokens drawn in the
    phase that were read before in the run.
    """

    domain: str
    share: float
    samples: int
    tokens: int
    epochs: float
    repeated: int


def parse_mixture(text: str, sizes: Mapping[str, int]) -> tuple[tuple[str, float], ...]:
    """Shares from "law=0.1,general=0.9", or "natural": in proportion to ``sizes``, tokens by domain.

    Raises ``UserError`` for what is no share; whether they fit the corpus is checked where they are drawn.

    >>> parse_mixture("law=0.1,general=0.9", {})
    (('law', 0.1), ('general', 0.9))
    >>> parse_mixture("natural", {"law": 100, "general": 300})
    (('general', 0.75), ('law', 0.25))
    """
    if text.strip() == NATURAL:
        total = sum(sizes.values())
        return tuple((domain, sizes[domain] / total) for domain in sorted(sizes) if sizes[domain])
    shares, problems = [], []
    for item in text.split(","):
        name, _, number = item.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            problems.append(Problem(f"{item.strip()!r} is no share", "--mixture", "write law=0.1,general=0.9"))
        shares.append((name.strip(), share))
    if problems:
        raise UserError(problems)
    return tuple(shares)


def draws(sizes: Mapping[str, int], phases: Sequence[Phase], sequence_length: int) -> dict[str, Any]:
    """What training reads in ``phases`` of domains of these many training tokens, as JSON has it.

    {"sequence_length", "samples", "tokens", "repeats": domains of which text is read again, "phases": [{"tokens",
    "samples", "domains": [Draw]}],
    "domains": the same for the whole run}. Tokens of a phase are rounded down to whole samples. Raises ``UserError``
    as ``Stream`` does, and for a phase of less than one sample.
    """
    width = sequence_length
    short = [n for n, phase in enumerate(phases) if phase.tokens < width]
    if short:
        fix = f"give at least {width}, one sample"
        raise UserError([Problem(f"{phases[n].tokens} tokens", f"phase {n}", fix) for n in short])
    whole = [(phase.shares, phase.tokens // width * width, 0) for phase in phases]
    stream = Stream({domain: range(size) for domain, size in sizes.items()}, whole, 0, width)
    told: list[dict[str, Any]] = []
    first = 0
    for phase, (_, tokens, _) in zip(phases, whole, strict=True):
        last = first + tokens // width
        told.append({"tokens": tokens, "samples": last - first, "domains": _rows(stream, phase.shares, first, last)})
        first = last
    total = {name: 0.0 for phase in phases for name, _ in phase.shares}
    for shares, tokens, _ in whole:
        for name, share in shares:
            total[name] += share * tokens / (len(stream) * width)
    rows = _rows(stream, tuple(total.items()), 0, len(stream))
    return {
        "sequence_length": width,
        "samples": len(stream),
        "tokens": len(stream) * width,
        "repeats": [row["domain"] for row in rows if row["repeated"]],
        "domains": rows,
        "phases": told,
    }


def _rows(stream: Stream, shares: Sequence[tuple[str, float]], first: int, last: int) -> list[dict[str, Any]]:
    """Draws of samples ``first`` to before ``last``."""
    before, after, width = stream.counts(first), stream.counts(last), stream.sequence_length
    rows = []
    for domain, share in shares:
        samples, unique = after[domain] - before[domain], stream.samples_in(domain)
        repeated = max(0, after[domain] - max(unique, before[domain]))
        epochs = after[domain] / unique if unique else 0.0
        rows.append(asdict(Draw(domain, share, samples, samples * width, epochs, repeated * width)))
    return rows
