"""How far the tree is, in one line: nodes done, tokens per second, time left."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from speciate.runs.tree import RunTree

if TYPE_CHECKING:  # the executor's room is only entered by those who train
    from speciate.training.schedule import Progress


class TreeProgressBar:
    """A rich progress bar over the tokens of a tree; one line per tenth when the console is no terminal."""

    def __init__(self, tree: RunTree, title: str, console: Console) -> None:
        self._tree, self._title, self._console = tree, title, console
        self._printed = -1
        self._bar = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> TreeProgressBar:
        self._bar.start()
        self._task = self._bar.add_task(self._title, total=self._tree.tokens, state="starting workers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, state: Progress) -> None:
        """Show how far the executor is."""
        text = progress_text(state)
        self._bar.update(self._task, completed=state.tokens_done, state=text)
        tenth = 10 * state.tokens_done // state.tokens
        if not self._console.is_terminal and tenth > self._printed:
            self._printed = tenth
            self._console.print(f"{self._title}: {text}", highlight=False)


def progress_text(state: Progress) -> str:
    """Nodes, tokens, speed and the time left.

    >>> from speciate.training.schedule import Progress
    >>> progress_text(Progress(3, 14, 4_000_000, 10_000_000, 40_000.0, 150.0))
    '3 of 14 nodes, 4.0M of 10.0M tokens, 40,000 tokens/s, 2 min 30 s left'
    """
    counted = (
        f"{state.nodes_done} of {state.nodes} nodes, {state.tokens_done / 1e6:.1f}M of {state.tokens / 1e6:.1f}M tokens"
    )
    if state.seconds_left is None or state.tokens_per_second <= 0:  # between two nodes nothing runs
        return counted
    return f"{counted}, {state.tokens_per_second:,.0f} tokens/s, {duration(state.seconds_left)} left"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(42), duration(125), duration(7260)
    ('42 s', '2 min 5 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
