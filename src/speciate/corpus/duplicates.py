"""Near-duplicates: a document at least half of whose long lines have been seen already is dropped."""

from __future__ import annotations

LONG_LINE = 20  # characters without the indent; shorter lines ("return None", "else:") repeat in any text


class Duplicates:
    """Remembers lines, about 100 bytes of memory for each long line that is new. Order matters: the first stays.

    >>> duplicates = Duplicates()
    >>> duplicates.is_new("the first line of a text\\nand the second line of it")
    True
    >>> duplicates.is_new("the first line of a text\\nfollowed by another one")
    False
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def is_new(self, text: str) -> bool:
        """Whether more than half of the long lines are new; remembers them if so."""
        lines = {hash(line) for line in map(str.strip, text.splitlines()) if len(line) > LONG_LINE}
        lines = lines or {hash(" ".join(text.split()))}  # nothing long: compare the whole
        if 2 * len(lines & self._seen) >= len(lines):
            return False
        self._seen |= lines
        return True
