"""The language of a document: by the tag that it carries, else as a detector tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from speciate.corpus.reading.documents import Document
from speciate.corpus.reading.inspect import language_of

NAMES = {"english": "en", "eng": "en", "portuguese": "pt", "por": "pt", "spanish": "es", "spa": "es", "french": "fr",
         "fra": "fr", "german": "de", "deu": "de", "italian": "it", "ita": "it"}  # fmt: skip


@dataclass(frozen=True)
class Languages:
    """Codes of the languages that are kept, and the field of the tag; documents without one are detected."""

    kept: tuple[str, ...]
    field: str | None = None

    def __call__(self, document: Document) -> Literal[True] | tuple[str, str]:
        """True, or the rule's name and which language it is."""
        tag = (document.meta or {}).get(self.field) if self.field is not None else None
        found = code_of(tag) if tag is not None and str(tag).strip() else language_of(document.text)
        if found in self.kept:
            return True
        how = f"by the field {self.field}" if tag is not None and str(tag).strip() else "as detected"
        return "language", f"{found} {how}, not {' or '.join(self.kept)}"


def code_of(tag: Any) -> str:
    """The language of a tag, without country and script.

    >>> code_of("pt-BR"), code_of("en_US"), code_of("por_Latn"), code_of("English")
    ('pt', 'en', 'pt', 'en')
    """
    code = str(tag).strip().lower().replace("_", "-").split("-")[0]
    return NAMES.get(code, code)


def languages(kept: Sequence[str], field: str | None) -> Languages | None:
    """The filter of these options; None if no language is asked for."""
    return Languages(tuple(sorted({code_of(code) for code in kept})), field) if kept else None
