"""The language by tag, else by detector."""

from __future__ import annotations

import pytest

from speciate.corpus.clean.language import Languages, code_of, languages
from speciate.corpus.reading.documents import Document

PORTUGUESE = "O tribunal decidiu que a lei não se aplica aos contratos celebrados antes da sua publicação."


@pytest.mark.parametrize(
    ("tag", "code"), [("PT-br", "pt"), ("eng", "en"), ("por_Latn", "pt"), (" English ", "en"), ("nl", "nl"), (3, "3")]
)
def test_tags_of_many_kinds(tag: object, code: str) -> None:
    assert code_of(tag) == code


def test_the_tag_decides_and_without_one_the_detector() -> None:
    pytest.importorskip("py3langid")
    keep = languages(["pt-BR", "en"], "lang")
    assert keep == Languages(("en", "pt"), "lang")
    assert keep(Document("a", "whatever", "a", {"lang": "por"})) is True
    assert keep(Document("a", PORTUGUESE, "a", {"lang": "de"})) == ("language", "de by the field lang, not en or pt")
    for meta in (None, {}, {"lang": None}, {"lang": " "}):
        assert keep(Document("a", PORTUGUESE, "a", meta)) is True
    assert Languages(("en",))(Document("a", PORTUGUESE, "a", {"lang": "en"})) == (
        "language",
        "pt as detected, not en",
    )
    assert languages([], "lang") is None
