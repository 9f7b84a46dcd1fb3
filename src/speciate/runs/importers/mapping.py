"""Which metric or setting of somebody else's logs is which column of ours: what the user says, and usual names."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from speciate.errors import Problem, UserError
from speciate.runs.columns import COLUMNS, SHARE, column_of, nearest, split_pairs, unquoted
from speciate.runs.importers.log import RunLog
from speciate.runs.importers.mlflow import PREFIXES
from speciate.runs.load import parse_number

OUTCOMES = ("loss", "bits_per_byte", "perplexity", "accuracy")  # measured: they make the rows
PER_SET = (*OUTCOMES, "stderr", "chance", "start_loss", "samples", "eval_hash")  # may differ between evaluation sets
HELPERS = ("step", "tokens_per_step")  # no columns: tokens are made of them where they were not logged
NEVER_GUESSED = {"run", *OUTCOMES, "stderr", "samples"}  # these names mean something else in most logs
USUAL: dict[str, tuple[str, ...]] = {
    "params": ("n_params", "num_params", "non_embedding_params", "params_non_embedding"),
    "tokens": (
        "num_input_tokens_seen", "train/num_input_tokens_seen", "tokens_seen", "train/tokens_seen", "train/tokens",
        "total_tokens", "num_tokens", "consumed_tokens", "train/consumed_tokens",
    ),
    "flops": ("total_flos", "train/total_flos", "total_flops", "train/flops"),
    "seed": ("random_seed",),
    "step": ("train/global_step", "trainer/global_step", "global_step", "_step"),
}  # fmt: skip
SETS = "eval|evaluation|val|valid|validation|test|dev"
LOSSES = (  # eval/loss, eval_c4_loss, val-loss, validation/c4/loss, loss/val, loss/val/c4, eval/bits_per_byte, ...
    re.compile(rf"({SETS})[/_.-](?:(.+)[/_.-])?(loss|bits_per_byte|bpb)", re.IGNORECASE),
    re.compile(rf"()(?:(?:{SETS})[/_.-])?(loss|bits_per_byte|bpb)[/_.-]({SETS})(?:[/_.-](.+))?", re.IGNORECASE),
)

Target = tuple[str, str | None]  # a column, and the evaluation set it is for (None: any, or not said)


@dataclass(frozen=True)
class Request:
    """What the user said: targets and the names to read them from, and targets that are the same everywhere."""

    mapped: Mapping[Target, str]
    constants: Mapping[Target, str | float]


@dataclass(frozen=True)
class Plan:
    """Where the rows come from (``outcomes``) and what stands beside them (``context``, ``constants``)."""

    outcomes: Mapping[Target, str]
    context: Mapping[Target, str]
    constants: Mapping[Target, str | float]


def label(target: Target) -> str:
    """A target as the user writes it.

    >>> label(("loss", "c4")), label(("params", None))
    ('loss@c4', 'params')
    """
    return target[0] if target[1] is None else f"{target[0]}@{target[1]}"


def parse_pairs(words: Iterable[str], where: str) -> tuple[dict[str, str], list[Problem]]:
    """``ours=theirs`` words, several in one word if separated by commas, and what is wrong with them.

    A name with a comma in it stands in double quotes.
    """
    pairs: dict[str, str] = {}
    problems = []
    for part in (part for word in words for part in split_pairs(word) if part.strip()):
        ours, equals, theirs = (unquoted(piece) for piece in part.partition("="))
        if not equals or not ours or not theirs:
            fix = "write ours=value, as in params=1e9 or train_on=web"
            if where == "--columns":
                fix = "write ours=theirs, as in params=n_params, loss@c4=eval/c4_loss or loss='\"a, b\"'"
            problems.append(Problem(f"{part.strip()!r} is no pair of names", where, fix))
        elif ours in pairs:
            fix = "say which evaluation set each is for, as in loss@c4=..." if ours in PER_SET else "give it once"
            problems.append(Problem(f"{ours!r} is given twice", where, fix))
        else:
            pairs[ours] = theirs
    return pairs, problems


def requested(columns: Mapping[str, str], constants: Mapping[str, str | float]) -> tuple[Request, list[Problem]]:
    """Both mappings with their targets read, and everything that is wrong with them."""
    problems: list[Problem] = []
    mapped: dict[Target, str] = {}
    fixed: dict[Target, str | float] = {}
    for key, theirs in columns.items():
        target = _target(key, "--columns", problems)
        if target is not None and (target[1] == "*") != (theirs.count("*") == 1 and target[1] is not None):
            fix = "write one * on both sides, as in 'loss@*=eval/*_loss', or on none"
            problems.append(Problem(f"{key}={theirs} has a * on one side", "--columns", fix))
        elif target is not None:
            mapped[target] = theirs
    for key, value in constants.items():
        target = _target(key, "--set", problems)
        if target is None:
            continue
        column = column_of(target[0])
        number = parse_number(str(value)) if column is None or column.dtype != "text" else 0.0
        if target[0] in OUTCOMES or target[0] == "step" or target[1] == "*":
            problems.append(Problem(f"{key} cannot be the same everywhere", "--set", "map it with --columns"))
        elif number is None or number != number:
            problems.append(Problem(f"{key} is {value}", "--set", f"give a number, as in {key}=1e9"))
        elif target[0] == "tokens_per_step" and not 0 < number < math.inf:
            problems.append(Problem(f"{key} is {value}", "--set", "give a positive number"))
        elif target in mapped:
            problems.append(Problem(f"{key} is in --columns too", "--set", "give it once"))
        else:
            fixed[target] = value if column is not None and column.dtype == "text" else float(number)
    return Request(mapped, fixed), problems


def resolve(request: Request, logs: Sequence[RunLog]) -> Plan:
    """Names in the logs for everything that was asked, and usual names for the rest. Raises UserError."""
    metrics = list(dict.fromkeys(name for log in logs for name in log.series))
    facts = list(dict.fromkeys(name for log in logs for name in log.facts))
    names = list(dict.fromkeys([*metrics, *facts]))
    found, problems = _spelled(request.mapped, names)
    outcomes = {target: name for target, name in found.items() if target[0] in OUTCOMES}
    if not any(target[0] in OUTCOMES for target in request.mapped):
        numeric = [name for name in facts if any(_is_number(log.facts.get(name)) for log in logs)]
        outcomes = _usual_losses([*metrics, *numeric])
        if not outcomes:
            problems.append(_which(metrics or numeric))
    context = {target: name for target, name in found.items() if target[0] not in OUTCOMES}
    taken = {target[0] for target in (*context, *request.constants)}
    if "tokens_per_step" in taken:
        taken.add("tokens")
    context |= _usual_context(names, taken)
    if problems:
        raise UserError(problems)
    return Plan(outcomes, context, request.constants)


def _target(key: str, where: str, problems: list[Problem]) -> Target | None:
    column, at, eval_on = (piece.strip() for piece in key.partition("@"))
    known = column_of(column) is not None or column in HELPERS
    if not known:
        close = next(iter(difflib.get_close_matches(column, HELPERS, 1, 0.8)), None) or nearest(column)
        fix = f"did you mean {close!r}?" if close else f"columns are {', '.join(c.name for c in COLUMNS)}, share_DOMAIN"
        problems.append(Problem(f"no column is called {column!r}", where, fix))
    elif column == "run":
        problems.append(Problem("runs are named by their source", where, "map trunk, or name the runs there"))
    elif at and (not eval_on or column not in PER_SET):
        fix = "name an evaluation set after @" if column in PER_SET else f"write {column} without @"
        problems.append(Problem(f"{key!r} names no evaluation set's column", where, fix))
    else:
        return column, eval_on or None
    return None


def _spelled(mapped: Mapping[Target, str], names: Sequence[str]) -> tuple[dict[Target, str], list[Problem]]:
    """Targets with the names that the logs have for them; ``*`` stands for the evaluation set."""
    found: dict[Target, str] = {}
    problems = []
    present = set(names)
    for target, theirs in mapped.items():
        bare = next((theirs.removeprefix(p) for p in PREFIXES if theirs.startswith(p)), theirs)
        name = theirs if theirs in present else bare
        if target[1] == "*":
            before, _, after = theirs.partition("*")
            pattern = re.compile(f"{re.escape(before)}(.+){re.escape(after)}")
            several = {(target[0], hit[1]): one for one in names if (hit := pattern.fullmatch(one))}
            found = {**several, **found}
            if not several:
                problems.append(
                    Problem(f"no metric is called {theirs!r}", label(target), _nearest_names(theirs, names))
                )
        elif name in present:
            found[target] = name
        else:
            problems.append(Problem(f"no metric is called {theirs!r}", label(target), _nearest_names(theirs, names)))
    return found, problems


def _usual_losses(names: Sequence[str]) -> dict[Target, str]:
    """Names that say that they are a loss on an evaluation set: eval/loss, eval_c4_loss, val_loss, loss/val."""
    found: dict[Target, str] = {}
    for name in names:
        for pattern in LOSSES:
            if hit := pattern.fullmatch(name):
                words = [word for word in hit.groups() if word]
                kind = next(w for w in words if w.lower() in ("loss", "bits_per_byte", "bpb"))
                rest = [word for word in words if word != kind]
                column = "loss" if kind.lower() == "loss" else "bits_per_byte"
                found.setdefault((column, rest[-1]), name)
                break
    return found


def _usual_context(names: Sequence[str], taken: set[str]) -> dict[Target, str]:
    """Columns that the logs have under their own or a usual name, whatever the case."""
    present: dict[str, str] = {}
    for name in names:
        present.setdefault(name.lower(), name)
    found: dict[Target, str] = {}
    for column in (*(c.name for c in COLUMNS), *HELPERS, *(n for n in names if n.startswith(SHARE) and column_of(n))):
        if column not in taken and column not in NEVER_GUESSED:
            usual = [name for name in (column, *USUAL.get(column, ())) if name.lower() in present]
            if usual:
                found[column, None] = present[usual[0].lower()]
    return found


def _which(metrics: Sequence[str]) -> Problem:
    """Nothing says which metric was measured on held-out text."""
    if not metrics:
        return Problem("no metrics were found", "the sources", "is anything logged there?")
    close = [m for usual in ("eval/loss", "loss") for m in difflib.get_close_matches(usual, metrics, 3, 0.5)]
    near = list(dict.fromkeys([*close, *(m for m in metrics if "loss" in m.lower()), *metrics]))
    what = f"no metric says that it is a loss on held-out text; found {_listed(near)}"
    fix = (
        f"say which one is, as in --columns 'loss@NAME={near[0]}' (eval/loss, eval_NAME_loss, val_loss are understood)"
    )
    return Problem(what, "the sources", fix)


def _nearest_names(theirs: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(theirs, names, 3, 0.5)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {_listed(names)}"


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _is_number(cell: str | float | None) -> bool:
    number = parse_number(cell) if isinstance(cell, str) else cell
    return number is not None and number == number
