"""What a user can cause, said so that they can mend it. Any room may import this module."""

from __future__ import annotations

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
