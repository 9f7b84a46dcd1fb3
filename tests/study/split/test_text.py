"""The text of a split study: by source, by cluster, from a finished corpus; nothing held out is ever trained on."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from speciate.corpus.cluster.step import open_router
from speciate.corpus.tokens.shards import Corpus, TokenShards
from speciate.corpus.tokens.step import Tokenizing, tokenize_corpus
from speciate.corpus.tokens.tokenizer import load_tokenizer
from speciate.errors import UserError
from speciate.study.layout import Layout
from speciate.study.load import load_study
from speciate.study.split import clustered
from speciate.study.split.config import SplitStudy
from speciate.study.split.text import SplitText, split_text
from speciate.study.stages import run_study

WORDS = {
    "law": ["court", "judge", "appeal", "statute", "plaintiff", "defendant", "clause", "ruling"],
    "cells": ["gene", "protein", "tissue", "enzyme", "membrane", "receptor", "plasma", "cortex"],
}
SHARED = ["the", "of", "and", "to", "in", "is", "for", "on", "by", "with", "that", "this", "from", "as"]


def document(domain: str, seed: int) -> str:
    rng = random.Random(f"{domain}{seed}")
    words = [f"{domain[0]}{seed}x{number}" if number % 40 == 7 else "" for number in range(300)]
    return " ".join(word or rng.choice(WORDS[domain] if rng.random() < 0.4 else SHARED) for word in words)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("sources")
    for domain in WORDS:
        lines = [json.dumps({"text": document(domain, seed)}) for seed in range(120)]
        (folder / f"{domain}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return {domain: str(folder / f"{domain}.jsonl") for domain in WORDS}


def asked(sources: dict[str, str], processes: int = 1, **corpus: Any) -> SplitStudy:
    told = {"sources": sources, "vocabulary": 300, "held_out_share": 0.2, **corpus}
    return SplitStudy.model_validate(
        {"corpus": told, "training": {"sequence_length": 64}, "compute": {"processes": processes}}
    )


def decoded(corpus: Corpus, shard: TokenShards) -> list[str]:
    ids = shard[:]
    pieces = np.split(ids, np.flatnonzero(ids == corpus.end_of_text) + 1)[:-1]
    return list(load_tokenizer(corpus.tokenizer_path).decode_batch([piece[:-1].tolist() for piece in pieces]))


def held_out_rows(text: SplitText) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.texts.read_text(encoding="utf-8").splitlines()]


def contents(root: Path) -> dict[str, bytes]:
    """What does not tell times: shards, router, texts."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix in (".bin", ".npz", ".jsonl") and "clusters" not in path.parts
    }


def check_sound(text: SplitText) -> None:
    """Held-out text is not trained on, held_out.jsonl is of it, and the router finds the domains."""
    train = "\n".join(document for d in text.domains for document in decoded(text.corpus, text.corpus.train[d]))
    for domain in text.domains:
        held = decoded(text.corpus, text.corpus.held_out[domain])
        assert held and not any(document in train for document in held)
        mine = [row["text"] for row in held_out_rows(text) if row["domain"] == domain]
        assert mine and all(any(one in document for document in held) for one in mine)
    names = json.loads((text.router / "clusters.json").read_text(encoding="utf-8"))["names"]
    rows = held_out_rows(text)
    found = [names[column] for column in open_router(text.router).route([row["text"] for row in rows])]
    right = np.mean([name == row["domain"] for name, row in zip(found, rows, strict=True)])
    assert set(names) == set(text.domains) and right > 0.9, right
    assert sum(text.weights.values()) == pytest.approx(1) and set(text.weights) == set(text.domains)


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    """Several parts, so that several processes have something to do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustered, "PARTS", 1e5)
        yield


@pytest.fixture(scope="module")
def given(sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SplitText]:
    root = tmp_path_factory.mktemp("given")
    return root, split_text(asked(sources), Layout(root))


@pytest.fixture(scope="module")
def two_clusters(sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SplitText]:
    root = tmp_path_factory.mktemp("clusters")
    return root, split_text(asked(sources, clusters=2), Layout(root))


def test_sources_are_domains(given: tuple[Path, SplitText], sources: dict[str, str]) -> None:
    root, text = given
    check_sound(text)
    assert text.domains == ("cells", "law") and text.corpus.path == root / "corpus"
    assert {row["source"] for row in held_out_rows(text)} == {"cells", "law"}
    again = split_text(asked(sources, weights={"law": 3, "cells": 1}), Layout(root))
    assert again.weights == {"cells": 0.25, "law": 0.75}


def test_clusters_are_domains_and_their_held_out_documents_are_the_corpus(
    two_clusters: tuple[Path, SplitText], sources: dict[str, str]
) -> None:
    import pyarrow.parquet as pq

    root, text = two_clusters
    check_sound(text)
    assert text.domains == ("cluster-00", "cluster-01") and not (root / ".text").exists()
    rows = pq.read_table(root / "clusters" / "kept").to_pylist()
    held = {(row["text"], f"cluster-{row['cluster']:02}") for row in rows if row["held_out"]}
    assert held == {(t, d) for d in text.domains for t in decoded(text.corpus, text.corpus.held_out[d])}
    assert {(row["text"], row["domain"]) for row in held_out_rows(text)} <= held
    windows = [sum(row["cluster"] == cluster and not row["held_out"] for row in rows) for cluster in range(2)]
    assert max(windows) - min(windows) <= 1
    for domain in text.domains:  # two plainly different sources are found again
        assert len({row["source"] for row in held_out_rows(text) if row["domain"] == domain}) == 1


def test_a_tokenizer_does_not_see_what_is_held_out(two_clusters: tuple[Path, SplitText], tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    rows: list[dict[str, Any]] = [
        {"text": f"{'zebra' if n % 5 == 0 else 'horse'} {n} " * 40, "held": n % 5 == 0} for n in range(60)
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    how = Tokenizing(vocabulary=300, held_out_field="held")
    tokenize_corpus({str(file): "all"}, tmp_path / "tokens", how)
    corpus = Corpus.open(tmp_path / "tokens")
    vocabulary = load_tokenizer(corpus.tokenizer_path).get_vocab()
    assert any("horse" in token for token in vocabulary) and not any("zeb" in token for token in vocabulary)
    assert sorted(decoded(corpus, corpus.held_out["all"])) == sorted(row["text"] for row in rows if row["held"])
    with pytest.raises(UserError, match="no true or false in field 'held_out'"):
        tokenize_corpus({str(file): "all"}, tmp_path / "no", Tokenizing(vocabulary=300, held_out_field="held_out"))
    file.write_text("\n".join(json.dumps(row | {"held": False}) for row in rows), encoding="utf-8")
    with pytest.raises(UserError, match="domain all: none of its text is held out"):
        tokenize_corpus({str(file): "all"}, tmp_path / "none", how)


def test_the_same_request_does_nothing_whatever_the_processes(
    two_clusters: tuple[Path, SplitText], given: tuple[Path, SplitText], sources: dict[str, str]
) -> None:
    for (root, _), clusters in ((two_clusters, 2), (given, None)):
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
        split_text(asked(sources, processes=2, clusters=clusters), Layout(root))
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} == before


def stopping(work: Callable[..., Any]) -> Callable[..., None]:
    """The same work, after which the process is interrupted."""

    def stop(*given: Any, **named: Any) -> None:
        work(*given, **named)
        raise KeyboardInterrupt

    return stop


def test_stopped_anywhere_it_goes_on_to_the_same(
    two_clusters: tuple[Path, SplitText], sources: dict[str, str], tmp_path: Path
) -> None:
    for name, processes in (("pool_sources", 1), ("cluster_corpus", 1), ("tokenize_corpus", 2), ("put_folder", 1)):
        work = getattr(clustered, name)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(clustered, name, stopping(work))
            split_text(asked(sources, processes, clusters=2), Layout(tmp_path))
        assert not (tmp_path / "text.json").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustered, "cluster_corpus", lambda *_: 1 / 0)  # the clusters are there
        split_text(asked(sources, processes=2, clusters=2), Layout(tmp_path))
    assert len(list((tmp_path / "clusters" / "kept").iterdir())) > 2
    assert contents(tmp_path) == contents(two_clusters[0])


def test_another_request_makes_anew_what_depends_on_it(
    two_clusters: tuple[Path, SplitText], sources: dict[str, str], tmp_path: Path
) -> None:
    root, first = two_clusters[0], two_clusters[1]
    shutil.copytree(root, tmp_path / "study")
    layout = Layout(tmp_path / "study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustered, "cluster_corpus", lambda *_: 1 / 0)  # clusters do not depend on the vocabulary
        larger = split_text(asked(sources, clusters=2, vocabulary=320), layout)
    assert larger.corpus.vocab_size == 320 and held_out_rows(larger) == held_out_rows(first)
    check_sound(larger)
    assert split_text(asked(sources), layout).domains == ("cells", "law")
    back = split_text(asked(sources, clusters=2), layout)
    assert back.corpus.digest == first.corpus.digest
    (layout.root / "held_out.jsonl").write_text("damaged", encoding="utf-8")
    assert held_out_rows(split_text(asked(sources, clusters=2), layout)) == held_out_rows(first)


def test_what_is_wrong_is_said(sources: dict[str, str], tmp_path: Path) -> None:
    def said(root: str = "study", **corpus: Any) -> list[str]:
        with pytest.raises(UserError) as error:
            split_text(asked(corpus.pop("sources", sources), **corpus), Layout(tmp_path / root))
        return [str(problem) for problem in error.value.problems]

    few = said(clusters=600)
    assert len(few) == 1 and "windows for 600 clusters" in few[0]
    small = said(clusters=60)
    assert all(line.startswith("domain cluster-") for line in small) and "held out" in small[0]
    both = said(clusters=2, sources={"law": sources["law"], "gone": "/gone", "away": "/away"})
    assert len(both) == 2 and "/gone" in both[1] and "/away" in both[0]
    (tmp_path / "mine" / "clusters").mkdir(parents=True)
    (tmp_path / "mine" / "clusters" / "notes.txt").write_text("mine")
    assert "not a study's, and not empty" in said("mine", clusters=2)[0]
    assert "longer than the 400 tokens" in said("prefix", prefix=400)[0]


def test_a_finished_corpus_is_taken_over(
    sources: dict[str, str], given: tuple[Path, SplitText], tmp_path: Path
) -> None:
    shutil.copytree(given[0] / "corpus", tmp_path / "made")
    prepared = str(tmp_path / "made")
    text = split_text(asked(sources, prepared=prepared), Layout(tmp_path / "study"))
    check_sound(text)
    assert contents(tmp_path / "study") == contents(given[0])
    shard = tmp_path / "made" / "law.train.bin"
    shard.chmod(0o644)
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.unlink()
    shard.write_bytes(data)
    with pytest.raises(UserError, match=r"law.train.bin: corrupt shard"):
        split_text(asked(sources, prepared=prepared), Layout(tmp_path / "other"))
    assert not (tmp_path / "other" / "corpus").exists()


MIXTURE = "{corpus: {prepared: made, general: [%s], domain: %s}, training: {sequence_length: %d, batch_sequences: 128}}"


def test_a_mixture_study_takes_a_finished_corpus(given: tuple[Path, SplitText], tmp_path: Path) -> None:
    shutil.copytree(given[0] / "corpus", tmp_path / "made")
    study = tmp_path / "study.yaml"
    study.write_text(MIXTURE % ("cells", "law", 64), encoding="utf-8")
    quiet = Console(quiet=True)
    for _ in range(2):
        assert run_study(study, [], "corpus", False, quiet).stage == "corpus"
    assert Corpus.open(tmp_path / "corpus").digest == given[1].corpus.digest
    assert load_study(tmp_path / "resolved.yaml") == load_study(study), "what the workers read is the same study"
    with pytest.raises(UserError) as error:
        run_study(study, ["corpus.domain=laws", "corpus.general.sells=1"], "corpus", False, quiet)
    assert "laws" in str(error.value) and "sells" in str(error.value) and "law, or" not in str(error.value)
    with pytest.raises(UserError, match="corpus.tokenizer: a prepared corpus has its own"):
        run_study(study, [f"corpus.tokenizer={tmp_path / 'made'}"], "corpus", False, quiet)
    shutil.rmtree(tmp_path / "made")
    with pytest.raises(UserError, match="corpus.prepared"):
        run_study(study, [], "corpus", False, quiet)
