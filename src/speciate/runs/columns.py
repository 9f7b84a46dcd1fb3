"""The columns a table of measurements may have, and how a user's own names are mapped onto them."""

from __future__ import annotations

import difflib
import re
import shlex
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from speciate.errors import Problem, UserError

MANY = 20  # problems of one kind that are spelled out; the rest are counted
LIKE = 0.65  # how alike names must be for one to be taken for a slip of the other
_PARTS = re.compile(r'(?:"[^"]*"|[^,])+')  # what stands between commas; one within double quotes is no end


@dataclass(frozen=True)
class Column:
    """One column: what it measures, in which unit, and which values make sense.

    ``dtype`` is "text", "number" or "integer"; ``low`` itself is allowed unless ``above_low``. None: no bound.
    """

    name: str
    unit: str
    dtype: str
    meaning: str
    low: float | None = None
    high: float | None = None
    above_low: bool = False

    @property
    def bounds(self) -> str:
        """The values allowed, in words.

        >>> [BY_NAME[name].bounds for name in ("params", "domain_ratio", "flops", "seed")]
        ['a positive number', 'a number between 0 and 1', 'a number of at least 0', 'a whole number']
        """
        if self.dtype == "text":
            return "text"
        kind = "a whole number" if self.dtype == "integer" else "a number"
        if self.above_low:
            return kind.replace("a ", "a positive ", 1)
        if self.low is None:
            return kind
        return (
            f"{kind} of at least {self.low:g}"
            if self.high is None
            else f"{kind} between {self.low:g} and {self.high:g}"
        )


COLUMNS: tuple[Column, ...] = (
    Column("run", "", "text", "run id"),
    Column("trunk", "", "text", "id of the prefix the run shares with others (default: its run)"),
    Column("params", "count", "number", "non-embedding trainable parameters N", 0, above_low=True),
    Column("seed_tokens", "tokens", "number", "seen by the starting model before this stage; 0 from scratch", 0),
    Column("tokens", "tokens", "number", "seen in this stage; 0 is the starting model itself", 0),
    Column("unique_tokens", "tokens", "number", "different tokens in the training text, however often it is seen", 0),
    Column("transferred_tokens", "tokens", "number", "what pretraining is worth in tokens of the target text", 0),
    Column("domain_ratio", "0..1", "number", "share of domain text in this stage's mixture", 0, 1),
    Column("train_on", "", "text", "name of the training mixture"),
    Column("eval_on", "", "text", "name of the evaluation set"),
    Column("loss", "nats per token", "number", "cross-entropy", 0, above_low=True),
    Column("start_loss", "nats per token", "number", "loss of the starting model on eval_on", 0, above_low=True),
    Column("bits_per_byte", "bits per byte", "number", "the loss per byte of text", 0, above_low=True),
    Column("perplexity", "", "number", "1 / P of the right answer (exams)", 1),
    Column("accuracy", "0..1", "number", "share of right answers", 0, 1),
    Column("chance", "0..1", "number", "accuracy of guessing", 0, 1),
    Column("flops", "FLOPs", "number", "FLOPs of this stage", 0),
    Column(
        "sger", "ratio", "number", "tokens to the lowest exam perplexity: general by specialised", 0, above_low=True
    ),
    Column("samples", "count", "integer", "k of pass@k", 1),
    Column("stderr", "as the value", "number", "standard error of the value on this row", 0),
    Column("seed", "", "integer", "seed of the run"),
    Column("tokenizer", "", "text", "tokenizer id; one per fit"),
    Column("eval_hash", "", "text", "hash of the evaluation documents; one per fit"),
)
BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}
SHARE = "share_"  # share_law: the share of the domain "law" in this stage's mixture
_SHARE_NAME = re.compile(r"share_[\w.+-]+")
_SHARE_SLIP = re.compile(r"shares?[_.:/-]+(.+)|(.+)[_.:/-]+shares?")

USUAL = {"n": "params", "d": "tokens", "t": "tokens", "u": "unique_tokens", "c": "flops", "l": "loss",
         "ratio": "domain_ratio", "name": "run", "run_name": "run", "run_id": "run"}  # fmt: skip
"""Usual names of the field."""


def column_of(name: str) -> Column | None:
    """The column of this name, one of ``COLUMNS`` or ``share_NAME`` for any domain; None for any other name.

    >>> column_of("loss").unit, column_of("share_law").bounds, column_of("share law"), column_of("share_")
    ('nats per token', 'a number between 0 and 1', None, None)
    """
    if name in BY_NAME or not _SHARE_NAME.fullmatch(name):
        return BY_NAME.get(name)
    return Column(name, "0..1", "number", f"share of {name.removeprefix(SHARE)} in this stage's mixture", 0, 1)


def nearest(name: str) -> str | None:
    """The known column that a name comes closest to, or None.

    >>> nearest("tokns"), nearest("N"), nearest("law share"), nearest("colour")
    ('tokens', 'params', 'share_law', None)
    """
    plain = "_".join(name.strip().lower().split())[:100]
    if slip := _SHARE_SLIP.fullmatch(plain):
        domain = re.sub(r"[^\w.+-]+", "_", slip[1] or slip[2])
        return "domain_ratio" if domain == "domain" else SHARE + domain
    close = difflib.get_close_matches(plain, BY_NAME, n=1, cutoff=LIKE)
    return USUAL.get(plain, close[0] if close else None)


def parse_columns(text: str | None) -> dict[str, str]:
    """Parse ``--columns``: known name = the user's name, separated by commas; a name with a comma in double quotes.

    Raises UserError naming every part that is no pair, every unknown or repeated name.

    >>> parse_columns('params=N, tokens="D, in total"')
    {'params': 'N', 'tokens': 'D, in total'}
    """
    where, fix = "--columns", "write known=yours, as in --columns params=N,tokens=D"
    mapping: dict[str, str] = {}
    problems: list[Problem] = []
    for part in split_pairs(text) if text and text.strip() else []:
        known, equals, yours = (unquoted(piece) for piece in part.partition("="))
        if not equals or not known or not yours:
            problems.append(Problem(f"{part.strip()!r} is no pair of names", where, fix))
        elif known in mapping:
            problems.append(Problem(f"{known!r} is given twice", where, "map each column once"))
        else:
            mapping[known] = yours
    problems += _mapping_problems(mapping, where)
    if problems:
        raise UserError(problems)
    return mapping


def split_pairs(text: str) -> list[str]:
    """What stands between the commas of a text, but for commas within double quotes.

    >>> split_pairs('a=b,c="d, e"')
    ['a=b', 'c="d, e"']
    """
    return _PARTS.findall(text)


def unquoted(text: str) -> str:
    """The text without blanks and double quotes around it."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def rename(
    names: list[str], mapping: Mapping[str, str], require: Collection[str], where: str
) -> tuple[list[str], list[Problem]]:
    """The table's column names after the mapping, and what is unknown, repeated, missing, or mapped from nothing."""
    names = [name.strip().removeprefix("\ufeff") for name in names]
    problems = _mapping_problems(mapping, where)
    for known, yours in mapping.items():
        if yours not in names:
            close = difflib.get_close_matches(yours, names, n=1)
            fix = f"did you mean {close[0]!r}?" if close else f"the table has {_listed(names)}"
            problems.append(Problem(f"no column {yours!r} to read {known!r} from", where, fix))
        elif known in names and known != yours:
            fix = "keep one of them"
            problems.append(Problem(f"{known!r} is both a column and mapped from {yours!r}", where, fix))
    back = {yours: known for known, yours in mapping.items()}
    renamed = [back.get(name, name) for name in names]
    counts = Counter(renamed)
    repeated = [name for name, count in counts.items() if count > 1]
    unknown = [name for name in counts if column_of(name) is None]
    problems += [Problem(f"column {n!r} appears {counts[n]} times", where, "keep one") for n in repeated[:MANY]]
    problems += _unknown(unknown[:MANY], where)
    for kind, count in (("repeated", len(repeated)), ("unknown", len(unknown))):
        if count > MANY:
            problems.append(Problem(f"{count - MANY:,} more {kind} columns", where, "rename or remove them as well"))
    for name in require:
        column = column_of(name)
        assert column is not None, f"{name} is no column"
        if name not in renamed and name not in mapping:
            fix = f"add it ({column.meaning}{f', {column.unit}' if column.unit else ''})"
            problems.append(Problem(f"no column {name!r}", where, f"{fix} or map yours with --columns {name}=YOURS"))
    return renamed, problems


def _mapping_problems(mapping: Mapping[str, str], where: str) -> list[Problem]:
    problems = []
    for name in (name for name in mapping if column_of(name) is None):
        close = nearest(name)
        fix = f"did you mean {close!r}?" if close else f"known columns are {', '.join(BY_NAME)}, share_DOMAIN"
        problems.append(Problem(f"no column {name!r} is known to map to", where, fix))
    yours = list(mapping.values())
    for name in dict.fromkeys(yours):
        if yours.count(name) > 1:
            both = " and ".join(known for known, other in mapping.items() if other == name)
            problems.append(Problem(f"{name!r} is mapped to {both}", where, "a column has one meaning; map it once"))
    return problems


def _unknown(names: list[str], where: str) -> list[Problem]:
    """A problem for each unknown name that resembles a known one, and one for all that do not."""
    problems, strange = [], []
    for name in names:
        what, close = f"unknown column {_short(name)!r}", nearest(name)
        if not name:
            problems.append(Problem("a column has no name", where, "name it, or remove it"))
        elif any(sign in name for sign in ";\t|"):
            problems.append(Problem(what, where, "separate columns with commas"))
        elif close is not None:
            pair = shlex.quote(f'{close}="{name}"' if "," in name else f"{close}={name}")
            fix = f"did you mean {close!r}? rename it, map it with --columns {pair}, or remove it"
            problems.append(Problem(what, where, fix))
        else:
            strange.append(name)
    if strange:
        what = f"unknown column{'s' * (len(strange) > 1)} {_listed(strange)}"
        several = "them, or map them" if len(strange) > 1 else "it, or map it"
        fix = f"remove {several} with --columns onto one of {', '.join(BY_NAME)}, share_DOMAIN"
        problems.append(Problem(what, where, fix))
    return problems


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(_short(name)) for name in names[:MANY])
    return shown if len(names) <= MANY else f"{shown} and {len(names) - MANY:,} more"


def _short(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:77]}..."
