"""Two phonebooks that share some of their facts: the text of section 3.2 of Seto et al. 2026 (arXiv 2603.19149).

    python make_text.py [--out text] [--overlap 0] [--facts 250] [--letters 6] [--digits 22] [--seed 0]

A fact is "qwerty:0123456789": a random name and a random number. ``--overlap`` is the share of a book's facts that
stand in the other one too. The same options give the same bytes. Written are

    OUT/book_a/, OUT/book_b/    text to train on, one fact in a document; and facts that are in no book, to hold out
    OUT/facts/book_a.jsonl, ... what a model is asked: {"prompt": "qwerty:", "answer": "0123456789"}

In a vocabulary of bytes (257 entries) every character is a token, so a fact with the mark of its end has
letters + digits + 2 tokens. With that as the sequence length every sequence is one whole fact, read alone, and every
pass over a book reads its facts in another order.

The paper has 80,000 facts in each book, of the same length.
"""

from __future__ import annotations

import argparse
import json
import random
import string
from pathlib import Path

BOOKS = ("book_a", "book_b")
FILES = 20  # of a book: each is too large to be held out at a share of .01, the file of unseen facts is not
UNSEEN = 0.015  # of a book's facts, at least two


def make_facts(count: int, letters: int, digits: int, rng: random.Random) -> list[tuple[str, str]]:
    """Facts (name, number) with names that are all different.

    >>> make_facts(2, 3, 4, random.Random(0))
    [('mym', '6446'), ('mvt', '0483')]
    """
    facts: dict[str, str] = {}
    while len(facts) < count:
        name = "".join(rng.choices(string.ascii_lowercase, k=letters))
        if name not in facts:
            facts[name] = "".join(rng.choices(string.digits, k=digits))
    return list(facts.items())


def make_books(
    count: int, overlap: float, letters: int, digits: int, seed: int
) -> tuple[dict[str, list[tuple[str, str]]], dict[str, list[tuple[str, str]]]]:
    """The facts of each book, and as many facts for each as are held out, which are in no book."""
    rng = random.Random(f"phonebook {seed}")
    shared, unseen = round(overlap * count), max(2, round(UNSEEN * count))
    facts = make_facts(2 * count - shared + 2 * unseen, letters, digits, rng)
    books, known = {}, 2 * count - shared
    for number, book in enumerate(BOOKS):
        start = number * (count - shared)  # both end or begin with what is shared
        books[book] = facts[start : start + count]
        rng.shuffle(books[book])
    return books, {book: facts[known + i * unseen : known + (i + 1) * unseen] for i, book in enumerate(BOOKS)}


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    """One JSON object in a line; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_text(out: Path, count: int, overlap: float, letters: int, digits: int, seed: int) -> None:
    """All files of two books below ``out``."""
    books, unseen = make_books(count, overlap, letters, digits, seed)
    for book, facts in books.items():
        for file in range(FILES):
            lines = [{"text": f"{name}:{number}"} for name, number in facts[file::FILES]]
            write_jsonl(out / book / f"part-{file:02d}.jsonl", lines)
        write_jsonl(out / book / "unseen.jsonl", [{"text": f"{name}:{number}"} for name, number in unseen[book]])
        asked = [{"prompt": f"{name}:", "answer": number} for name, number in facts]
        write_jsonl(out / "facts" / f"{book}.jsonl", asked)


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("text"))
    options.add_argument("--overlap", type=float, default=0.0, help="share of a book's facts in the other one (0 to 1)")
    options.add_argument("--facts", type=int, default=250, help="of each book, at least 100 (paper: 80000)")
    options.add_argument("--letters", type=int, default=6, help="of a name (paper: 6)")
    options.add_argument("--digits", type=int, default=22, help="of a number (paper: 22)")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    if not 0 <= chosen.overlap <= 1:
        options.error(f"--overlap is {chosen.overlap}; give a share from 0 to 1")
    if chosen.facts < 100 or chosen.letters < 1 or chosen.digits < 1:
        options.error("give at least 100 facts, one letter and one digit")
    if 4 * chosen.facts > 26**chosen.letters:
        options.error(f"too few names of {chosen.letters} letters for {chosen.facts} facts; give more letters")
    write_text(chosen.out, chosen.facts, chosen.overlap, chosen.letters, chosen.digits, chosen.seed)
    print(f"two books of {chosen.facts} facts in {chosen.out}; one fact is {chosen.letters + chosen.digits + 2} tokens")


if __name__ == "__main__":
    main()
