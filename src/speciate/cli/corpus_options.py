"""Options that the verbs of ``corpus`` share: what is read, where it runs, and the bar of its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from speciate.corpus.steps.engine import Engine

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Text: files, folders, what an earlier step left, or hf:NAME[@CONFIG][:SPLIT]. Read are .jsonl (.gz, "
        ".zst), .parquet, .arrow, and plain text.",
    ),
]
Out = Annotated[Path, typer.Option(help="A new folder for what comes out; the same command again goes on there.")]
EngineKind = Annotated[str, typer.Option("--engine", help="Where it runs: local, or ray.")]
Address = Annotated[str | None, typer.Option(help="Of a running Ray cluster; without it, one starts here.")]
Processes = Annotated[int, typer.Option(help="Parts that are worked on at once; the result is the same.", min=1)]
Field = Annotated[str, typer.Option("--text-field", help="The field or column that holds the text.")]
MostBad = Annotated[
    float, typer.Option(help="Share of records that may be unreadable before the run stops.", min=0.0, max=1.0)
]


def engine_of(kind: str, address: str | None, processes: int) -> Engine:
    """The engine of these options. Raises ``UserError`` if they do not fit together."""
    from speciate.corpus.steps.engine import Engine

    return Engine(kind, processes, address)  # type: ignore[arg-type]  # checked by Engine


@contextmanager
def progress_bar(as_json: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr where that is a terminal, else a line for each tenth that is done."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    screen = Console(stderr=True)
    if not screen.is_terminal:
        tenths = [0]

        def line(what: str, share: float) -> None:
            if int(share * 10) > tenths[0] and not as_json:
                tenths[0] = int(share * 10)
                print(f"{share:.0%}  {what}", file=sys.stderr, flush=True)

        yield line
        return
    columns = (BarColumn(), TextColumn("{task.percentage:3.0f}%  {task.description}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=screen, transient=True) as bar:
        task = bar.add_task("reading", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)
