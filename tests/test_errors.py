"""Errors carry every problem, and read as sentences."""

from __future__ import annotations

import pytest

from speciate.errors import NotDecidable, Problem, UserError, machine_problem


def test_one_problem_or_many() -> None:
    first, second = Problem("a is 1", "x.csv", "use 2"), Problem("b is 3", "y.csv", "use 4")
    assert UserError(first).problems == (first,)
    error = UserError(problem for problem in (first, second))
    assert error.problems == (first, second)
    assert str(error) == "x.csv: a is 1; use 2\ny.csv: b is 3; use 4"
    assert isinstance(error, ValueError)


def test_an_error_without_problems_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="at least one problem"):
        UserError([])


def test_not_decidable_says_what_would_help() -> None:
    error = NotDecidable("only one ratio was measured", "train one more run, at domain_ratio 0.5")
    assert (error.reason, error.remedy) == ("only one ratio was measured", "train one more run, at domain_ratio 0.5")
    assert str(error) == "not decidable: only one ratio was measured; train one more run, at domain_ratio 0.5"
    assert not isinstance(error, UserError)


def test_what_the_machine_refuses_is_told_from_a_fault_of_ours() -> None:
    refused = [
        PermissionError(13, "Permission denied", "x"),
        OSError(28, "No space left on device"),
        OSError("64 requested and 0 written"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1200 bytes"),
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ]
    for error in refused:
        problem = machine_problem(error)
        assert problem is not None and problem.what and problem.where and problem.fix, error
    for ours in (KeyError("x"), OSError("odd"), RuntimeError("shapes do not match")):
        assert machine_problem(ours) is None
