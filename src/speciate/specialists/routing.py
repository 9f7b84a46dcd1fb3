"""Which expert a text goes to, by its first tokens; and which experts a task needs most."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speciate.corpus.cluster.router import Router
from speciate.corpus.cluster.step import open_router
from speciate.corpus.cluster.windows import prefix
from speciate.errors import Problem, UserError
from speciate.specialists.folder import AGAIN, Manifest, check_files


@dataclass(frozen=True, slots=True)
class Route:
    """The expert of a text, and the probability that the router gives each expert (they sum to 1)."""

    expert: str
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class ExpertRouter:
    """A router whose columns have names; those of other experts than ``names`` are never chosen."""

    router: Router
    columns: tuple[str, ...]
    names: tuple[str, ...]

    def route(self, texts: Sequence[str]) -> list[Route]:
        """One route for each text: the same for the same text, whatever stands beside it."""
        check_texts(texts)
        if not len(texts):
            return []
        scores = self.router.scores([prefix(text, self.router.tokens) for text in texts])
        chosen = scores[:, [self.columns.index(name) for name in self.names]].astype(np.float64)
        chances = np.exp(chosen - chosen.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        return [
            Route(self.names[int(row.argmax())], dict(zip(self.names, row.tolist(), strict=True))) for row in chances
        ]


def chosen_names(manifest: Manifest, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The experts of a folder, or those of them that are wanted. Raises UserError naming every unknown one."""
    if wanted is None:
        return manifest.names
    problems = [unknown(name, manifest.names) for name in wanted if name not in manifest.names]
    if not wanted:
        problems.append(Problem("no experts to choose from", "experts", f"name some of {', '.join(manifest.names)}"))
    if problems:
        raise UserError(problems)
    return tuple(name for name in manifest.names if name in wanted)


def check_texts(texts: Sequence[str]) -> None:
    """Raises UserError naming every text that is none: of another type, or of bytes that are not UTF-8."""
    problems = []
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            problems.append(Problem(f"{type(text).__name__} where text is wanted", f"text {number}", "give a str"))
        elif not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):  # halves of characters
            problems.append(Problem("it is not Unicode", f"text {number}", "give text whose bytes are UTF-8"))
    if problems:
        raise UserError(problems)


def unknown(name: str, names: Sequence[str]) -> Problem:
    """That there is no expert of this name, with the nearest that there is."""
    near = difflib.get_close_matches(name, names, 1)
    fix = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}"
    return Problem(f"no expert {name!r}", "experts", fix)


def load_expert_router(manifest: Manifest, names: Sequence[str]) -> ExpertRouter:
    """The router of a folder, to choose among ``names``. Raises UserError if its files are not whole."""
    folder = manifest.root / "router"
    check_files(folder, manifest.router_files, "the router")
    try:
        router = open_router(folder)
        columns = router_names(folder, len(router.bias))
        if absent := [name for name in names if name not in columns]:
            raise ValueError(f"it knows no {', '.join(absent)}")
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(Problem(f"the router cannot be read ({error})", str(folder), AGAIN)) from error
    return ExpertRouter(router, columns, tuple(names))


def router_names(folder: Path, count: int) -> tuple[str, ...]:
    """Names of a router's columns, by its clusters.json.

    Raises ValueError where their number is not ``count``.
    """
    told = json.loads((folder / "clusters.json").read_text(encoding="utf-8"))
    names = tuple(told.get("names") or (f"cluster-{number:02}" for number in range(count)))
    if len(names) != count or len(set(names)) < count:
        raise ValueError(f"{len(names)} names for {count} columns of the router")
    return names


def most_routed(
    route: Callable[[Sequence[str]], Sequence[Route]], tasks: Mapping[str, Sequence[str]], count: int = 2
) -> tuple[str, ...]:
    """The experts to keep where there is no room for all: of each task the ``count`` that most of its texts go to.

    ``route`` is ``Specialists.route``; ``tasks`` maps a task to texts of its training set. One task gives the paper's
    benchmark subset, several its task subset (paper 001, section 6.4.1). Names are sorted; ties go to the first name.

    >>> def route(texts):
    ...     return [Route(text, {}) for text in texts]
    >>> most_routed(route, {"arc": ["a", "b", "b"], "piqa": ["c"]}, 1)
    ('b', 'c')
    """
    chosen: set[str] = set()
    for texts in tasks.values():
        counts = Counter(found.expert for found in route(texts))
        chosen |= set(sorted(counts, key=lambda name: (-counts[name], name))[:count])
    if not chosen:
        raise UserError(Problem("no texts to route", "tasks", "give at least one text"))
    return tuple(sorted(chosen))
