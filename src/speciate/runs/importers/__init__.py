"""Tables from other people's logs: Weights & Biases, MLflow, TensorBoard, Hugging Face's Trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["import_runs"]


def import_runs(
    sources: str | Path | Sequence[str | Path],
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, str | float] | None = None,
    kind: str = "auto",
) -> pd.DataFrame:
    """Read logs of training runs into a valid table, as ``read_table`` returns it.

    ``sources``: CSV exports of W&B or MLflow, folders of TensorBoard events (or one file), trainer_state.json or
    folders with checkpoints, and CSVs with a column "run" that tell more about the runs. Each may hold many runs.
    ``columns``: our name -> theirs, {"params": "n_params", "loss@c4": "eval/c4_loss", "loss@*": "eval/*_loss"};
    "@" names the evaluation set. ``constants``: what is the same on every row, {"params": 1e8}; "tokens_per_step"
    (nats per token stay as logged) makes tokens of steps. Usual names (eval/loss, seed, ...) need not be said.
    ``kind``: "auto" tells it from the content.

    Raises UserError naming every problem: sources that cannot be read, names that the logs do not have,
    no metric that is a loss on held-out text. Measurements that are not finite are left out.
    """
    from speciate.runs.importers.assemble import import_table

    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    return import_table(listed, columns, constants, kind).table
