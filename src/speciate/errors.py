"""What a user can cause, said so that they can mend it. Any room may import this module."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what (with the value), where, and what to do about it.

    >>> str(Problem("domain_ratio is 1.5", "runs.csv row 7", "use a share between 0 and 1"))
    'runs.csv row 7: domain_ratio is 1.5; use a share between 0 and 1'
    """

    what: str
    where: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"


class UserError(ValueError):
    """Everything wrong with an input, collected and raised once. The command line exits with 2.

    >>> raise UserError(Problem("no rows", "runs.csv", "give at least one measurement"))
    Traceback (most recent call last):
    speciate.errors.UserError: runs.csv: no rows; give at least one measurement
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        assert self.problems, "a UserError names at least one problem"
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotDecidable(Exception):
    """These rows cannot answer the question. The command line prints the reason and exits with 3.

    ``reason`` says why; ``remedy`` names the cheapest thing that would settle it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason, self.remedy = reason, remedy
        super().__init__(f"not decidable: {reason}; {remedy}")


_FIXES = {
    errno.ENOSPC: "make room on that disk, then the same command again",
    errno.EDQUOT: "make room within your quota, then the same command again",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f), then the same command again",
    errno.EACCES: "give a place that you may read and write, or change its permissions",
    errno.EPERM: "give a place that you may read and write, or change its permissions",
    errno.EROFS: "give a place that can be written",
    errno.ENOENT: "something else removed it: run the same command again",
    errno.EEXIST: "a file is where a folder has to be: move it away",
    errno.ENOTDIR: "a file is where a folder has to be: move it away",
    errno.EISDIR: "a folder is where a file has to be: move it away",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "mend the symbolic links",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENOMEM: "free some memory, or use fewer processes or smaller models",
    errno.EIO: "the disk or the network share fails: look at the machine's logs",
}


def machine_problem(error: BaseException) -> Problem | None:
    """What the machine refused (no room, no permission, no memory), said as a problem; None for anything else.

    >>> str(machine_problem(OSError(28, "No space left on device", "ledger.parquet")))
    'ledger.parquet: No space left on device; make room on that disk, then the same command again'
    """
    if isinstance(error, OSError) and error.errno in _FIXES:
        # Of a rename that failed, the second name is the one the user knows; the first is a temporary file.
        where = str(error.filename2 or error.filename or "this machine")
        return Problem(error.strerror or type(error).__name__, where, _FIXES[error.errno])
    text = str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in text or type(error).__name__ == "OutOfMemoryError":
        return Problem("not enough memory", "this machine", _FIXES[errno.ENOMEM])
    if isinstance(error, OSError) and "requested and" in text:  # NumPy could not write all of an array
        return Problem(f"a file could not be written whole ({text})", "this machine", _FIXES[errno.ENOSPC])
    for code, sign in ((errno.ENOSPC, "os error 28"), (errno.EDQUOT, "os error 122"), (errno.EFBIG, "os error 27")):
        if sign in text:  # a library in Rust (safetensors, tokenizers) wrote the file
            return Problem(text, "this machine", _FIXES[code])
    return None
