"""A new study's folder."""

from __future__ import annotations

from pathlib import Path

from speciate.errors import Problem, UserError
from speciate.storage import write_atomic
from speciate.study.template import study_template


def create_study(directory: Path, decide: str = "mixture") -> Path:
    """Write a commented study.yaml into ``directory`` and return its path; never over an existing one.

    ``decide``: the question, mixture or split.
    """
    template = study_template(decide)
    file = directory / "study.yaml"
    if directory.exists() and not directory.is_dir():
        raise UserError(Problem("this is a file", str(directory), "give a folder, or a name that is not taken"))
    if file.exists():
        raise UserError(Problem("there is a study already", str(file), "give another folder, or remove that file"))
    try:
        write_atomic(file, template)
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise UserError(Problem(what, str(file), "give a folder that you may write to")) from None
    return file
