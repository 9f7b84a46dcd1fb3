"""Reading a user's table for a verb."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from speciate.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def read_rows(file: Path, columns: str | None, needed: Sequence[str]) -> pd.DataFrame:
    """A validated table with the ``needed`` columns; ``columns`` is the text of ``--columns``.

    Rows in which a needed value is empty are kept: what answers the question counts what it leaves out.
    Everything else that is wrong, missing columns too, is one UserError.
    """
    from speciate.runs.columns import parse_columns
    from speciate.runs.table import read_table

    mapping = parse_columns(columns)
    try:
        return read_table(file, mapping, require=needed)
    except UserError as strict:
        try:
            table = read_table(file, mapping)
        except UserError:
            raise strict from None
        if not set(needed) <= set(table.columns):
            raise
        return table
