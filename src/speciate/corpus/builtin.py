"""Real text that any Python installation with the [train] extra already holds: six domains, no download.

Which files there are depends on the installation, and on nothing else: the order is a shuffle by a hash of the
path relative to its root, so a cap takes the same files everywhere.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LARGEST = 100_000  # bytes; a larger file of code is a table or generated, or would fill the held-out text alone
SHORTEST = 200  # characters; a docstring below this rarely holds a sentence that is not boilerplate

# First string of a block: after the ":" that opens it, or at the top of a file. Finds what ast finds (on scipy,
# sympy, pandas, torch and transformers it missed none of the docstrings and added 8 strings in 3.4 MB, measured)
# at a twelfth of the cost of parsing.
_DOCSTRING = re.compile(
    r"(?:\A|:[ \t]*(?:\#[^\n]*)?\n)(?:[ \t]*(?:\#[^\n]*)?\n)*[ \t]*"
    r'(?P<literal>[rRuU]?(?P<quotes>"""|'
    r"''')(?:[^\\]|\\.)*?(?P=quotes))",
    re.DOTALL,
)
_DIRECTIVE = r"[ \t]*(?:pragma|include|define|undef|if|ifdef|ifndef|error|warning)\b"  # "#" is no comment in C
_FIRST_COMMENT = re.compile(rf"\A(?:\s*(?:/\*.*?\*/|(?:(?://|#(?!{_DIRECTIVE}))[^\n]*(?:\n|\Z))+))+", re.DOTALL)
_LICENCE = re.compile(r"copyright|licen[sc]e|spdx", re.IGNORECASE)


@dataclass(frozen=True)
class _Domain:
    """Files of some packages ("" is the standard library, "*" all that no other domain names), or of the whole."""

    packages: tuple[str, ...]
    suffixes: tuple[str, ...] = (".py",)
    docstrings: bool = True


_DOMAINS: Mapping[str, _Domain] = {
    "code_cpp": _Domain(("*", "torch", "numpy", "scipy"), (".h", ".hpp", ".cuh", ".hh"), docstrings=False),
    "code_python": _Domain(("",), docstrings=False),
    "docs_deep_learning": _Domain(("torch", "transformers")),
    "docs_math": _Domain(("sympy", "mpmath", "networkx")),
    "docs_python": _Domain(("", "*")),
    "docs_science": _Domain(("numpy", "scipy", "pandas", "sklearn")),
}
DOMAINS = tuple(_DOMAINS)
_NAMED = {name for domain in _DOMAINS.values() for name in domain.packages if name not in ("", "*")}
# Tables and generated code teach a model the generator; speciate itself would change the corpus with every commit.
_SKIP = re.compile(
    r"stdlib/(encodings|pydoc_data|lib-dynload)/|site-packages/(speciate|plotly|_plotly_utils)/"
    r"|torch/include/ATen/ops/|/(site|dist)-packages/"
)


def survey(
    stdlib: Path | None = None, packages: Path | None = None, seed: int = 0
) -> dict[str, Iterator[tuple[str, list[str]]]]:
    """Domain -> iterator of (path, documents), lazily: stop reading once there is enough.

    ``stdlib`` and ``packages`` default to the running interpreter's. Paths are relative, starting with "stdlib/"
    or "site-packages/". A document is a file of code without its licence header, or one docstring. Files that are
    not UTF-8 are skipped: the standard library's tests hold some on purpose.

    >>> sorted(survey())[:2]
    ['code_cpp', 'code_python']
    """
    stdlib = stdlib or Path(sysconfig.get_path("stdlib"))
    packages = packages or Path(sysconfig.get_path("purelib"))
    return {name: _documents(domain, stdlib, packages, seed) for name, domain in _DOMAINS.items()}


def installation(packages: Path | None = None) -> list[str]:
    """What the built-in corpus depends on: the Python release and the installed distributions, sorted."""
    packages = packages or Path(sysconfig.get_path("purelib"))
    names = sorted(p.name for p in packages.glob("*.dist-info") if not p.name.startswith("speciate-"))
    return [sysconfig.get_config_var("py_version"), *names]


def docstrings(source: str) -> list[str]:
    """The docstrings of a module, its classes and functions that are long enough to be prose."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's docstrings
        for match in _DOCSTRING.finditer(source):
            try:
                text = inspect.cleandoc(ast.literal_eval(match["literal"]))
            except (SyntaxError, ValueError):
                continue
            if len(text) > SHORTEST:
                found.append(text)
    return found


def without_licence(source: str) -> str:
    """Code without its first comments if they state a licence: equal in every file, and not about the code.

    >>> without_licence("// Copyright A\\n// All rights reserved\\nint x;")
    'int x;'
    """
    match = _FIRST_COMMENT.match(source)
    return source[match.end() :].lstrip("\n") if match and _LICENCE.search(match[0]) else source


def _documents(domain: _Domain, stdlib: Path, packages: Path, seed: int) -> Iterator[tuple[str, list[str]]]:
    files = dict(_files(domain, stdlib, packages))
    for name in sorted(files, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest()):
        try:
            if not domain.docstrings and files[name].stat().st_size > LARGEST:
                continue
            source = files[name].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        texts = docstrings(source) if domain.docstrings else [without_licence(source)]
        yield name, [text for text in texts if text.strip() and _is_utf8(text)]


def _is_utf8(text: str) -> bool:
    """False for half a surrogate pair, which an escape in a docstring can make."""
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _files(domain: _Domain, stdlib: Path, packages: Path) -> Iterator[tuple[str, Path]]:
    for package in domain.packages:
        if package == "":
            roots = [("stdlib", stdlib)]
        elif package == "*":
            others = (p for p in packages.glob("*") if p.is_dir() and p.name not in _NAMED)
            roots = [(f"site-packages/{p.name}", p) for p in others]
        else:
            roots = [(f"site-packages/{package}", packages / package)]
        for label, root in roots:
            for path in root.rglob("*"):
                name = f"{label}/{path.relative_to(root).as_posix()}"
                if path.suffix in domain.suffixes and not _SKIP.search(f"{name}/") and path.is_file():
                    yield name, path
