"""Which files under a path hold text, and how many others there are that are passed over."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from speciate.errors import Problem, UserError

PLAIN = (".txt", ".md", ".rst", ".tex", ".py", ".c", ".h", ".cpp", ".hpp", ".java", ".js", ".ts", ".go", ".rs")
LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".json.gz", ".json.zst")
TABLES = (".parquet", ".arrow")
READABLE = (*PLAIN, *LINES, *TABLES)


@dataclass
class Listing:
    """Files to read, relative name -> (path, size in bytes, mtime in ns), sorted by name; and what was passed over.

    ``passed`` counts files that are "empty", "hidden", a broken "link", or "other kinds", the latter by suffix in
    ``others``. ``kept`` is true for the folder of a step of ours, of which only the kept text is read.
    """

    files: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    kept: bool = False


def list_files(path: Path) -> dict[str, Path]:
    """The files that ``read_documents`` reads: relative name -> path, sorted by name.

    A folder is read recursively, links to folders included, each folder once; hidden files, empty files and other
    kinds of file are passed over. Raises ``UserError`` if there is nothing to read.
    """
    return {name: Path(file) for name, (file, _, _) in survey(path).files.items()}


def survey(path: Path) -> Listing:
    """The same, with sizes and with counts of what is passed over. 100,000 files take about a second."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(Problem("no such file or folder", str(path), "check the path")) from error
    except OSError as error:  # a loop of links, no permission
        raise UserError(Problem(f"cannot be read: {error.strerror}", str(path), "check the path")) from error
    if not path.is_dir():
        return Listing({path.name: (str(path), stat.st_size, stat.st_mtime_ns)})
    kept = path / "kept"
    listing = Listing(kept=kept.is_dir() and ((path / "report.json").exists() or (path / "parts").is_dir()))
    if listing.kept and not (path / "report.json").exists():
        fix = "run the same command as before: it goes on where it stopped"
        raise UserError(Problem("the step that writes this folder has not finished", str(path), fix))
    seen: set[tuple[int, int]] = set()
    links = _walk(os.fspath(kept if listing.kept else path), "", listing, seen)
    while links:  # after the folders proper, so that a folder has its own name and not that of a link to it
        links = [link for file, name in sorted(links) for link in _walk(file, name + "/", listing, seen)]
    if not listing.files:
        fix = f"put text in it, as {', '.join(READABLE)}"
        raise UserError(Problem(f"nothing to read{_passed(listing)}", str(path), fix))
    listing.files = dict(sorted(listing.files.items()))
    return listing


def _passed(listing: Listing) -> str:
    told = [f"{count:,} {what}" for what, count in sorted(listing.passed.items())]
    return f" (passed over: {', '.join(told)})" if told else ""


def _walk(folder: str, prefix: str, listing: Listing, seen: set[tuple[int, int]]) -> list[tuple[str, str]]:
    """Add the files of a folder and those below; returns links to folders as (path, name)."""
    links = []
    stack = [(folder, prefix)]
    while stack:
        folder, prefix = stack.pop()
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:
            continue
        seen.add((stat.st_dev, stat.st_ino))
        names = _data_files(folder)
        for entry in _entries(folder):
            name = prefix + os.fsencode(entry.name).decode("utf-8", "backslashreplace")
            if entry.name.startswith("."):
                listing.passed["hidden"] += 1
            elif entry.is_dir(follow_symlinks=False):
                stack.append((entry.path, name + "/"))
            elif os.path.isdir(entry.path):  # entry.is_dir() raises on a link to itself
                links.append((entry.path, name))
            elif entry.name.lower().endswith(READABLE) and (names is None or entry.name in names):
                _add(entry, name, listing)
            else:
                listing.passed["other kinds"] += 1
                listing.others[os.path.splitext(entry.name)[1].lower() or "no suffix"] += 1
    return links


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except PermissionError as error:
        fix = "change its permissions, or leave it out"
        raise UserError(Problem("a folder that cannot be read", folder, fix)) from error


def _add(entry: os.DirEntry[str], name: str, listing: Listing) -> None:
    try:
        stat = entry.stat()
    except OSError:  # a dangling link, or a loop of links
        listing.passed["broken links"] += 1
        return
    if not stat.st_size:
        listing.passed["empty"] += 1
    elif name in listing.files:  # names that are not UTF-8 and spelled alike
        raise UserError(Problem(f"two files are named {name}", os.path.dirname(entry.path), "rename one of them"))
    else:
        listing.files[name] = (entry.path, stat.st_size, stat.st_mtime_ns)


def _data_files(folder: str) -> set[str] | None:
    """The files of a data set that ``datasets`` saved in this folder: others beside them are its caches."""
    file = os.path.join(folder, "state.json")
    if not os.path.isfile(file):
        return None
    try:
        with open(file, encoding="utf-8") as state:
            return {str(entry["filename"]) for entry in json.load(state)["_data_files"]}
    except (ValueError, KeyError, TypeError):
        return None  # somebody else's state.json
