"""The folder of specialists: what it holds, how it is read, and that no byte of it has changed.

specialists.json   written last: experts, base, router, SHA-256 of every file
README.md          the card
router/            router.npz, embedding.npz, clusters.json
experts/NAME/      an ordinary Hugging Face checkpoint with its tokenizer
base/              the unsplit model, if there is one to compare with
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.storage import file_digest

FORMAT = "speciate-specialists-1"
MANIFEST = "specialists.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
AGAIN = "copy this file again from where the folder was made, or build the folder again"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the folder. ``files``: name to SHA-256; ``bytes`` of its weights; ``params`` without the
    embedding and the head; ``tokens`` it was trained on and ``domain`` if that is known."""

    name: str
    folder: str
    files: Mapping[str, str]
    bytes: int
    params: int
    tokens: int | None
    domain: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``specialists.json`` says. ``sequence_length`` in tokens: the least of all models."""

    root: Path
    experts: tuple[Entry, ...]
    base: Entry | None
    router_files: Mapping[str, str]
    prefix_tokens: int
    tokenizer_sha256: str
    sequence_length: int
    about: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the experts, sorted."""
        return tuple(entry.name for entry in self.experts)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every model: the experts, and the base if there is one."""
        return self.experts if self.base is None else (*self.experts, self.base)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "format": FORMAT,
            "experts": [asdict(entry) for entry in self.experts],
            "base": None if self.base is None else asdict(self.base),
            "router": {"folder": "router", "files": dict(self.router_files), "prefix_tokens": self.prefix_tokens},
            "tokenizer_sha256": self.tokenizer_sha256,
            "sequence_length": self.sequence_length,
            "about": dict(self.about),
        }


def read_folder(root: Path) -> Manifest:
    """The manifest of a folder of specialists; the files themselves are checked when they are needed.

    Raises UserError for no such folder, a folder of something else or of another format, and a damaged manifest.
    """
    file = root / MANIFEST
    fix = f"give a folder with {MANIFEST}, as the specialists stage of a split study or build_specialists writes it"
    if not file.is_file():
        what = "no folder of specialists" if root.is_dir() else "there is no such folder"
        raise UserError(Problem(what, str(root), fix))
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(held, dict) or "format" not in held:
            raise ValueError("no format")
        if held["format"] != FORMAT:
            what = f"a folder of format {held['format']!r}; this version reads {FORMAT!r}"
            raise UserError(Problem(what, str(file), "use the version of speciate that wrote it, or build it again"))
        return _parsed(root, held)
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        what = f"not a manifest of specialists ({type(error).__name__}: {error})"
        raise UserError(Problem(what, str(file), AGAIN)) from error


def _parsed(root: Path, held: dict[str, Any]) -> Manifest:
    experts = tuple(_entry(entry, f"experts/{entry['name']}") for entry in held["experts"])
    base = None if held["base"] is None else _entry(held["base"], "base")
    names = [entry.name for entry in experts]
    if not names or len(set(names)) < len(names):
        raise ValueError("no experts, or two of one name")
    router = held["router"]
    if router["folder"] != "router":
        raise ValueError(f"a router in {router['folder']!r}")
    prefix, sequence = int(router["prefix_tokens"]), int(held["sequence_length"])
    if prefix < 1 or sequence < 2:
        raise ValueError(f"a router that reads {prefix} tokens, models of {sequence}")
    return Manifest(root, experts, base, _files(router["files"]), prefix, str(held["tokenizer_sha256"]), sequence,
                    dict(held["about"]))  # fmt: skip


def _entry(held: Mapping[str, Any], folder: str) -> Entry:
    name = held["name"]
    if not NAME.fullmatch(name) or held["folder"] != folder:  # nothing outside the folder is ever read
        raise ValueError(f"a model {name!r} in {held['folder']!r}")
    tokens, domain = held["tokens"], held["domain"]
    return Entry(name, folder, _files(held["files"]), int(held["bytes"]), int(held["params"]),
                 None if tokens is None else int(tokens), None if domain is None else str(domain))  # fmt: skip


def _files(held: Mapping[str, str]) -> dict[str, str]:
    for name, sha in held.items():
        if Path(name).name != name or not re.fullmatch("[0-9a-f]{64}", sha):
            raise ValueError(f"a file {name!r} of {sha!r}")
    return dict(held)


def check_files(folder: Path, files: Mapping[str, str], what: str) -> None:
    """Raises UserError naming every file of ``folder`` that is missing or whose SHA-256 is another.

    ``what`` it belongs to, as in "expert law".
    """
    problems = []
    for name, sha in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(Problem(f"{what}: the file is missing", str(path), AGAIN))
        elif file_digest(path) != sha:
            problems.append(Problem(f"{what}: the file is damaged (its SHA-256 is another)", str(path), AGAIN))
    if problems:
        raise UserError(problems)
