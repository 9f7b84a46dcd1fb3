"""Text of several sources as one folder of documents, capped and without near-duplicates: what is clustered."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from speciate.corpus.build import BUILTIN, Progress
from speciate.corpus.collect import collect
from speciate.errors import Problem, UserError


def pool_sources(
    sources: Mapping[str, str | Path], folder: Path, cap_bytes: float, seed: int = 0, progress: Progress | None = None
) -> Path:
    """Write ``<source>.jsonl`` with the field "text" for each source, or keep what stands there from before.

    ``sources`` and ``cap_bytes`` as in ``build_corpus``, which takes the same documents. Each file is whole or absent.
    Raises ``UserError`` with the problems of all sources.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.scratch")
    problems: list[Problem] = []
    for number, (name, source) in enumerate(sorted(sources.items())):
        if progress is not None:
            progress("reading text", number / len(sources))
        if (folder / f"{name}.jsonl").is_file():
            continue
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            collected = collect(name, None if source == BUILTIN else Path(source), scratch, cap_bytes, seed)
            with (scratch / "pooled").open("w", encoding="utf-8") as file:
                for _, text in collected.documents():
                    file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            (scratch / "pooled").replace(folder / f"{name}.jsonl")
        except UserError as error:
            problems += error.problems
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if problems:
        raise UserError(problems)
    return folder
