"""The corpus of a study whose domains are given: its sources, or a corpus that is finished."""

from __future__ import annotations

from pathlib import Path

from speciate.corpus.build import Progress, build_corpus
from speciate.corpus.prepared import take_prepared
from speciate.corpus.tokens.shards import Corpus
from speciate.study.layout import Layout
from speciate.study.split.config import AnyStudy


def given_text(config: AnyStudy, layout: Layout, progress: Progress | None = None) -> Corpus:
    """The corpus in the study's folder, made or, from the same request before, opened.

    Raises ``UserError`` with all that is wrong, also if a domain has less than a training sequence of text.
    """
    asked, window = config.corpus, config.training.sequence_length + 1
    if asked.prepared is not None:
        return take_prepared(Path(asked.prepared), layout.corpus, window)
    return build_corpus(
        asked.sources,
        layout.corpus,
        cap_bytes=round(asked.cap_megabytes * 1e6),
        held_out_share=asked.held_out_share,
        vocab_size=asked.vocabulary,
        tokenizer=asked.tokenizer,
        window_tokens=window,
        processes=config.compute.processes,
        progress=progress,
    )
