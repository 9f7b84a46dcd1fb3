"""Which models are in memory: the least recently used goes when another one needs its room."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Model = TypeVar("Model")
logger = logging.getLogger(__name__)


class Held(Generic[Model]):
    """A model in memory. ``busy`` serialises those who generate with it."""

    def __init__(self, size: int) -> None:
        self.size, self.users = size, 1
        self.model: Model | None = None  # None while it is being loaded
        self.busy = threading.Lock()


class Memory(Generic[Model]):
    """Models by name within ``limit`` bytes of weights; None is no limit.

    A model in use is never dropped: who needs its room waits until it is free, first come, first served. A model larger
    than the limit is loaded alone. ``load`` runs outside the lock, so that others are used meanwhile; when it raises,
    nothing is kept.
    """

    def __init__(self, limit: float | None, load: Callable[[str], Model], size: Callable[[str], int]) -> None:
        self.limit, self._load, self._size = limit, load, size
        self._held: OrderedDict[str, Held[Model]] = OrderedDict()  # the least recently used first
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()
        self._told: set[str] = set()

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names in memory, the least recently used first."""
        with self._changed:
            return tuple(name for name, held in self._held.items() if held.model is not None)

    @property
    def bytes(self) -> int:
        """Of the weights in memory and of those being loaded."""
        with self._changed:
            return sum(held.size for held in self._held.values())

    @contextmanager
    def use(self, name: str) -> Iterator[Held[Model]]:
        """The model, which stays until the block ends."""
        held = self.take(name)
        try:
            yield held
        finally:
            self.give_back(held)

    def take(self, name: str) -> Held[Model]:
        """As ``use``, for a block that ends elsewhere: every ``take`` needs its ``give_back``."""
        held, fresh = self._admit(name)
        if fresh:
            try:
                held.model = self._load(name)
            except BaseException:
                with self._changed:
                    del self._held[name]
                    self._changed.notify_all()
                raise
            with self._changed:
                self._changed.notify_all()
        return held

    def give_back(self, held: Held[Model]) -> None:
        """This user is done with it."""
        with self._changed:
            held.users -= 1
            self._changed.notify_all()

    def _admit(self, name: str) -> tuple[Held[Model], bool]:
        """The model with this user counted, and whether they have to load it.

        One queue for all: else users of a loaded model could keep somebody who needs its room waiting for ever.
        """
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                while True:
                    if self._queue[0] is ticket:
                        held = self._held.get(name)
                        if held is None and self._make_room(name):
                            self._held[name] = held = Held(self._size(name))
                            return held, True
                        if held is not None and held.model is not None:
                            held.users += 1
                            self._held.move_to_end(name)
                            return held, False
                    self._changed.wait()
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def _make_room(self, name: str) -> bool:
        """Drop what nobody uses, the least recently used first, until this model fits; False if it does not yet."""
        if self.limit is None:
            return True
        size = self._size(name)
        kept = sum(held.size for held in self._held.values())
        for other in [other for other, held in self._held.items() if not held.users]:
            if kept + size <= self.limit:
                break
            kept -= self._held.pop(other).size
        if not self._held and size > self.limit and name not in self._told:
            self._told.add(name)
            logger.warning(
                "%s takes %.3g MB, more than the limit of %.3g MB: it is loaded alone",
                name,
                size / 1e6,
                self.limit / 1e6,
            )
        return not self._held or kept + size <= self.limit
