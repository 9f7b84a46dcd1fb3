from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter

import pytest

from speciate.specialists.memory import Memory

SIZES = {"a": 4, "b": 4, "c": 4, "huge": 99}


def memory(limit: float | None, loads: Counter[str] | None = None, seconds: float = 0.0) -> Memory[str]:
    def load(name: str) -> str:
        time.sleep(seconds)
        if loads is not None:
            loads[name] += 1
        return name.upper()

    return Memory(limit, load, SIZES.__getitem__)


def asked(held: Memory[str], *names: str) -> None:
    for name in names:
        with held.use(name) as found:
            assert found.model == name.upper()


def test_the_least_recently_used_goes() -> None:
    loads: Counter[str] = Counter()
    held = memory(8, loads)
    asked(held, "a", "b", "a", "c")
    assert held.loaded == ("a", "c")
    assert held.bytes == 8
    asked(held, "a", "b")
    assert held.loaded == ("a", "b")
    assert loads == {"a": 1, "b": 2, "c": 1}


def test_without_a_limit_all_stay() -> None:
    held = memory(None)
    asked(held, "a", "b", "c", "huge")
    assert held.loaded == ("a", "b", "c", "huge")


def test_one_that_is_too_large_is_loaded_alone_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    held = memory(8)
    with caplog.at_level(logging.WARNING):
        asked(held, "a", "huge")
        assert held.loaded == ("huge",)
        asked(held, "b", "huge")
    assert held.loaded == ("huge",)
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == ["huge takes 9.9e-05 MB"]


def test_a_load_that_fails_leaves_nothing_and_is_tried_again() -> None:
    broken = [True]

    def load(name: str) -> str:
        if broken[0]:
            raise OSError("a bad disk")
        return name.upper()

    held = Memory(8, load, SIZES.__getitem__)
    with pytest.raises(OSError, match="a bad disk"):
        asked(held, "a")
    assert held.loaded == () and held.bytes == 0
    broken[0] = False
    asked(held, "a")
    assert held.loaded == ("a",)


def test_what_is_in_use_stays_until_it_is_given_back() -> None:
    held = memory(4)
    got: list[str] = []

    def other() -> None:
        asked(held, "b")
        got.append("b")

    with held.use("a"):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.05)
        assert held.loaded == ("a",) and not got
    thread.join(5)
    assert got == ["b"] and held.loaded == ("b",)


def test_who_waits_for_room_is_not_passed_by_for_ever() -> None:
    """Two threads that keep the model in use between them would otherwise never let go of its room."""
    held, done = memory(4), threading.Event()

    def keep() -> None:
        while not done.is_set():
            with held.use("a"):
                time.sleep(0.01)

    threads = [threading.Thread(target=keep) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    waiting = threading.Thread(target=asked, args=(held, "b"))
    waiting.start()
    waiting.join(5)
    served = not waiting.is_alive()
    done.set()
    for thread in threads:
        thread.join(5)
    assert served


def test_many_threads_stay_within_the_limit_and_load_once_at_a_time() -> None:
    loads: Counter[str] = Counter()
    held, worst, wrong = memory(8, loads, 0.001), [0], [0]

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(30):
            name = rng.choice("abc")
            with held.use(name) as found:
                worst[0] = max(worst[0], held.bytes)
                wrong[0] += found.model != name.upper()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == [0] and worst[0] <= 8
    assert all(found.users == 0 for found in held._held.values())
    assert sum(loads.values()) < 240, "a model that is there is not loaded again"
