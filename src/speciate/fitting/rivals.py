"""Laws compared by how they predict rows they have not seen: those held out, and the largest runs.

R2 on fitted rows favours whatever bends most; a law is wanted for runs larger than those it was fitted to. All
laws are fitted to and judged on the very same rows, those that every one of them can use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable, Problem, UserError
from speciate.fitting.chain import Chain, common, fit_chain, inputs_of, link_of, passing, settled, usable
from speciate.fitting.fit import Fit, fit
from speciate.fitting.scores import Split, scored, told
from speciate.fitting.select import MEASURED, matching, named
from speciate.fitting.usable import suited
from speciate.fitting.words import many
from speciate.laws import LAWS
from speciate.laws.law import Array, Law, Objective

EXTENTS = ("params", "tokens", "flops", "unique_tokens", "seed_tokens", "transferred_tokens", "samples")
FIRST_STAGES = ("loss-compute", "chinchilla")  # laws of the loss that a two-stage rival may begin with
MANY = 10  # different values from which the top fifth of them is held out, not the top one
TOP = 0.2


@dataclass(frozen=True)
class Comparison:
    """Laws compared on the same rows. ``refused``: laws that cannot be fitted to the table at all, and why."""

    laws: tuple[str, ...]
    output: str
    rows: int
    usable_rows: dict[str, int]
    refused: dict[str, str]
    splits: tuple[Split, ...]
    level: float

    @property
    def best(self) -> str | None:
        """The law that comes first whatever is held out, and beyond chance at least once; None if there is none."""
        first = {split.scores[0].law for split in self.splits if split.scores[0].reason is None}
        return first.pop() if len(first) == 1 and any(split.decided for split in self.splits) else None

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it; missing is null."""
        return {**asdict(self), "best": self.best}

    def explain(self) -> list[str]:
        """Lines of plain text, aligned for a fixed-width font."""
        lines = [f"compared on the {self.rows:,} rows that all can use, by the error of rows held out"]
        wide = max(len(name) for name in self.laws)
        for split in self.splits:
            of = f"{many(split.rows, 'row')} of {many(split.runs, 'run')}, fitted to the other {split.fitted_rows:,}"
            lines.append(f"held out {split.held_out}: {of}")
            for score in split.scores:
                lines.append(f"  {score.law:<{wide}}  {told(score)}")
            lines.append(f"  {split.statement}")
        lines += [f"not compared: {name}: {why}" for name, why in self.refused.items()]
        found = (
            f"{self.best} predicts best whatever is held out" if self.best else "no law is best whatever is held out"
        )
        return [*lines, found]


@dataclass(frozen=True, eq=False)
class Rival:
    """A law, or two in a row, that takes part: as it was named, as it suits the table, the rows each stage can use."""

    stages: tuple[str | Law, ...]
    laws: tuple[Law, ...]
    rows: tuple[pd.DataFrame, ...] = ()

    @property
    def name(self) -> str:
        return "+".join(law.name for law in self.laws)

    @property
    def output(self) -> str:
        return self.laws[-1].output

    @property
    def inputs(self) -> tuple[str, ...]:
        if len(self.laws) == 1:
            return tuple(given.name for given in self.laws[0].inputs)
        return inputs_of(self.laws[0], self.laws[1], link_of(self.laws[0], self.laws[1]))


def rivals(
    laws: Sequence[str | Law],
    table: pd.DataFrame,
    *,
    eval_on: str | None = None,
    where: str | None = None,
    holdout: str | None = None,
    output: str | None = None,
    objective: Objective | None = None,
    delta: float = 1e-3,
    bootstrap: int = 2000,
    level: float = 0.9,
    seed: int = 0,
) -> Comparison:
    """Compare laws of one output by the errors of rows held out.

    "one+two" names two laws in a row. Held out are the rows of ``holdout`` if it is given, and by turns those
    of the largest params, tokens, flops (whichever the laws read and the rows vary): the largest value, or the
    largest fifth of more than 10. ``output`` is a column in place of the laws' loss. Whether the best law is
    better than the second beyond chance is judged on ``bootstrap`` draws of the runs held out, with the laws
    paired on every run.

    Raises UserError (unknown laws, laws of different outputs, nothing to hold out).

    >>> sizes, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 4e9, 6), np.geomspace(2e9, 9e10, 6)))
    >>> noise = np.exp(np.random.default_rng(0).normal(0, 0.002, 36))
    >>> loss = (1.8 + 480 / sizes**0.35 + 2100 / tokens**0.37) * noise
    >>> table = pd.DataFrame({"params": sizes, "tokens": tokens, "loss": loss, "flops": 6 * sizes * tokens})
    >>> from speciate.laws.loss_compute import LOSS_COMPUTE
    >>> rivals(["chinchilla", LOSS_COMPUTE], table).best
    'chinchilla'
    """
    entries = [entered(law) for law in laws]
    check(entries)
    if output is not None:
        table = passing(table, "loss", output)
    able, refused = sorted_out(entries, table, eval_on, where)
    rows = common([part for entry in able for part in entry.rows]) if able else table.iloc[:0]
    options = {"eval_on": eval_on, "objective": objective, "delta": delta, "bootstrap": 0, "seed": seed}
    splits, native = [], entries[0].output
    for label, apart in cuts(able, rows, holdout) if able else []:
        predicted = {entry.name: outcome(entry, rows[~apart], rows[apart], options) for entry in able}
        splits.append(scored(label, rows[apart], int((~apart).sum()), native, predicted, bootstrap, level, seed))
    counts = {entry.name: min(len(part) for part in entry.rows) for entry in able}
    shown = output if output is not None and native == "loss" else native
    return Comparison(tuple(e.name for e in entries), shown, len(rows), counts, refused, tuple(splits), level)


def rivals_of(law: str | Law, table: pd.DataFrame) -> list[str]:
    """The other laws, alone or two in a row, of the same output, that the table has rows for.

    A law that reads a measurement (accuracy from the measured loss) predicts no run that has not been made; it is
    no rival of one that does not. Nor is a law that holds at one value of a column that varies.

    >>> rivals_of("mixture-ratio", pd.DataFrame({"params": [1e9], "tokens": [1e9], "loss": [3.0]}))[:1]
    ['chinchilla']
    """
    wanted, found = entered(law), []
    chained = [f"{first}+{second}" for first in FIRST_STAGES for second in LAWS if first in LAWS]
    for entry in (entered(name) for name in [*LAWS, *chained]):
        if entry.name == wanted.name or entry.output != wanted.output:
            continue
        try:
            rows = supplied(entry, table)
            measured = (set(entry.inputs) & set(MEASURED)) - set(wanted.inputs)
        except UserError:  # two laws that do not fit together
            continue
        held = [name for law in entry.laws for name in law.constant if name in rows.columns]
        if len(rows) and not measured and all(rows[name].nunique() <= 1 for name in held):
            found.append(entry.name)
    return found


def fittable(table: pd.DataFrame) -> list[str]:
    """Laws whose inputs and output are columns of the table, or follow from them, with values on one row at least.

    Whether the rows suffice is for the fit to say; laws that hold at one size or ratio may need a --where.

    >>> fittable(pd.DataFrame({"params": [1e9], "accuracy": [0.5], "loss": [3.0]}))
    ['accuracy-loss-linear', 'accuracy-loss-logistic']
    """
    return [name for name in LAWS if len(supplied(entered(name), table))]


def supplied(entry: Rival, table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have all that the laws read and predict, with what follows from other columns; maybe none."""
    rows, needed = table, set[str]()
    for stage in entry.laws:
        try:
            law, rows, _ = suited(stage, rows, None)
        except UserError:  # a law of shares, and a table without
            return table.iloc[:0]
        needed |= {law.output, *(given.name for given in law.inputs)}
    return rows.dropna(subset=sorted(needed)) if needed <= set(rows.columns) else table.iloc[:0]


def entered(law: str | Law) -> Rival:
    """A rival by its name ("one+two": two laws in a row) or from a law."""
    stages = tuple(law.split("+")) if isinstance(law, str) else (law,)
    if len(stages) > 2:
        raise UserError(Problem(f"{law!r} names {len(stages)} laws", "laws", "chain two at most: one+two"))
    return Rival(stages, tuple(named(stage) for stage in stages))


def check(entries: Sequence[Rival]) -> None:
    """Raise UserError for no laws, or laws that cannot be compared."""
    if not entries:
        raise UserError(Problem("no laws are given", "laws", "name at least one"))
    outputs = {entry.name: entry.output for entry in entries}
    if len(set(outputs.values())) > 1:
        what = ", ".join(f"{name} predicts {output}" for name, output in outputs.items())
        raise UserError(Problem(what, "laws", "compare laws of one output"))
    for entry in entries:
        _ = entry.inputs  # two laws in a row have to fit together


def sorted_out(
    entries: Sequence[Rival], table: pd.DataFrame, eval_on: str | None, where: str | None
) -> tuple[list[Rival], dict[str, str]]:
    """The laws that can be fitted to the table, with the rows they can use, and why the others cannot."""
    able, refused = [], {}
    for entry in entries:
        try:
            laws = tuple(settled(stage, table) for stage in entry.stages)
            able.append(Rival(entry.stages, laws, tuple(usable(law, table, eval_on, where) for law in laws)))
        except (NotDecidable, UserError) as error:
            refused[entry.name] = words(error)
    return able, refused


def words(error: Exception) -> str:
    """An error on one line."""
    return str(error).removeprefix("not decidable: ").replace("\n", "; ")


def cuts(entries: Sequence[Rival], rows: pd.DataFrame, holdout: str | None) -> list[tuple[str, Array]]:
    """What is held out by turns: its name and which rows, (n,) bool."""
    found = []
    if holdout:
        apart = matching(rows, holdout, "holdout")
        if not apart.any() or apart.all():
            what = f"{holdout!r} holds {'all' if apart.all() else 'no'} rows out of those that all laws can use"
            raise UserError(Problem(what, "holdout", "change the condition"))
        found.append((holdout, apart))
    for name in extents(entries, rows):
        values = np.unique(rows[name].to_numpy(dtype=float))
        least = values[-1] if len(values) <= MANY else values[int(np.ceil((1 - TOP) * len(values)))]
        label, apart = f"{name} >= {least:.4g}", rows[name].to_numpy(dtype=float) >= least
        same = next((i for i, (_, other) in enumerate(found) if (other == apart).all()), None)
        if same is None:
            found.append((label, apart))
        elif found[same][0] != holdout:
            found[same] = (f"{found[same][0]}, {label}", apart)
    if not found:
        fix = "give a --holdout, or rows that differ in params, tokens or flops"
        raise UserError(Problem("nothing can be held out: all inputs are constant", "laws", fix))
    return found


def extents(entries: Sequence[Rival], rows: pd.DataFrame) -> list[str]:
    """Inputs that say how large a run is and that vary: those all laws read, else those any reads, else any input."""
    reads = [set(entry.inputs) for entry in entries]
    either = set.union(*reads)
    varying = [name for name in (*EXTENTS, *sorted(either)) if name in either and rows[name].nunique() > 1]
    large = [name for name in varying if name in EXTENTS]
    shared = [name for name in large if name in set.intersection(*reads)]
    return list(dict.fromkeys(shared or large or varying))


def outcome(entry: Rival, fitted: pd.DataFrame, apart: pd.DataFrame, options: dict[str, Any]) -> Array | str:
    """A law's predictions of the rows apart, (m,), or why it has none."""
    try:
        found: Fit | Chain
        if len(entry.stages) == 1:
            found = fit(entry.stages[0], fitted, **options)
        else:
            found = fit_chain(entry.stages[0], entry.stages[1], fitted, **options)
        value = np.asarray(found.predict(**{name: apart[name].to_numpy(dtype=float) for name in entry.inputs}).value)
    except (NotDecidable, UserError) as error:
        return words(error)
    return value if np.isfinite(value).all() else "its predictions there are not finite"
