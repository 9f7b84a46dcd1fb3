"""Scores and kept texts are the same however they are computed; budgets are met; folders are for one topic."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from speciate.corpus.classify.labels import Label
from speciate.corpus.classify.rounds import Ranking, Schedule
from speciate.corpus.classify.sampling import draw_sample
from speciate.corpus.classify.step import (
    Tokens,
    assess,
    claim,
    keep_topic,
    known_texts,
    learn_topic,
    score_corpus,
    with_held_out,
)
from speciate.corpus.classify.threshold import read_scores
from speciate.corpus.steps.engine import Engine
from speciate.corpus.steps.parts import Part, cut, read_part
from speciate.corpus.tokens.tokenizer import encode, load_tokenizer, train_tokenizer
from speciate.errors import UserError

LAW, SEA = ["court", "judge", "statute", "plea"], ["sea", "sun", "sand", "wind"]


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    """600 texts with shares of the topic's words from 0 to 1, the share in the field "share"."""
    rng = random.Random(0)
    lines = []
    for _ in range(600):
        share = rng.choice([0, 0, 0, 0.2, 0.5, 1])
        words = [rng.choice(LAW if rng.random() < share else SEA) for _ in range(rng.randint(20, 60))]
        lines.append(json.dumps({"text": " ".join(words), "share": share}))
    lines.insert(50, "{oops")
    lines.insert(60, '{"text": ""}')
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    return cut(tmp_path / "in.jsonl", 2e4)


def grade_of(document: Any) -> int:
    return round(5 * document.meta["share"])


def learned(parts: list[Part], folder: Path) -> tuple[Path, Ranking, list[Label]]:
    documents = [document for part in parts for document in read_part(part)]
    labels, _ = with_held_out([Label(document.id, grade_of(document)) for document in documents[::3]])
    sample = draw_sample(parts, folder / "sample", 300, 4000, [label.id for label in labels])
    ranking = Ranking(known_texts(sample, labels, "labels").candidates, "law", 4000)
    return learn_topic(ranking, labels, folder), ranking, labels


def outputs(folder: Path) -> dict[str, str]:
    files = [
        p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "report.json" and "sample" not in p.parts
    ]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def classified(parts: list[Part], folder: Path, engine: Engine, **options: Any) -> dict[str, Any]:
    model, *_ = learned(parts, folder)
    files = score_corpus(parts, folder, model, Tokens(), engine)
    return keep_topic(parts, folder, files, {"topic": "law"}, engine=engine, **(options or {"threshold": 3.0}))


@pytest.mark.filterwarnings("ignore")  # Ray warns of its own old settings, and leaves sockets to the collector
def test_one_process_two_and_ray_keep_the_same_with_the_same_scores(parts: list[Part], tmp_path: Path) -> None:
    assert len(parts) >= 4
    loose = [classified(parts, tmp_path / f"p{n}", Engine(processes=n), budget=4000.0) for n in (1, 2)]
    one = outputs(tmp_path / "p1")
    assert one == outputs(tmp_path / "p2") and sum("kept" in name for name in one) >= 4
    assert loose[0]["kept"] == loose[1]["kept"] and loose[0]["tokens_kept"] == loose[1]["tokens_kept"]
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}})
    try:
        cluster = Engine("ray", 2)
        learned(parts, tmp_path / "ray")
        files = score_corpus(parts, tmp_path / "ray", tmp_path / "ray" / "model.npz", Tokens(), cluster)
        keep_topic(parts, tmp_path / "ray", files, {"topic": "law"}, engine=cluster, budget=4000.0)
    finally:
        ray.shutdown()
    assert outputs(tmp_path / "ray") == one


def test_labels_are_held_out_where_they_are_a_random_sample(parts: list[Part], tmp_path: Path) -> None:
    sample = [f"in.jsonl:{n}" for n in range(400)]
    first = [Label(name, 0) for name in sample[:120]]
    ranked = [Label(f"in.jsonl:{n}", 5) for n in range(500, 560)]
    chosen, drawn = with_held_out([*ranked, *first], sample)
    held = {label.id for label in chosen if label.held_out}
    assert drawn == "at random" and 15 < len(held) < 50 and held < set(sample[:120])
    assert [(label.id, label.score) for label in chosen] == [(label.id, label.score) for label in [*ranked, *first]]
    chosen, drawn = with_held_out(ranked, sample)
    assert drawn == "as given" and any(label.held_out for label in chosen)
    weighed = [*ranked, Label("in.jsonl:9", 0, 7.0, held_out=True)]
    assert with_held_out(weighed, sample) == (weighed, "by weight")
    few = first[:20]
    assert with_held_out(few, sample) == (few, "none")


def test_bad_records_beyond_the_limit_stop_before_anything_is_graded(parts: list[Part], tmp_path: Path) -> None:
    assert len(draw_sample(parts, tmp_path / "s", 10, 100, most_bad=0.01).candidates) == 10
    with pytest.raises(UserError, match="1 not JSON"):
        draw_sample(parts, tmp_path / "t", 10, 100, most_bad=0.001)
    model, *_ = learned(parts, tmp_path)
    with pytest.raises(UserError, match="1 not JSON"):
        score_corpus(parts, tmp_path / "u", model, Tokens(), most_bad=0.001)


def test_what_is_kept_is_of_the_topic_and_all_the_rest_is_put_aside(parts: list[Part], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    report = classified(parts, folder, Engine())
    kept, rejected = (pq.read_table(folder / name).to_pylist() for name in ("kept", "rejected"))
    assert report["kept"] == len(kept) and report["rejected"] == {"off topic": len(rejected)}
    assert len(kept) + len(rejected) == 600 and report["bad"] == {"empty": 1, "not JSON": 1}
    assert {row["id"] for row in kept + rejected} == {d.id for part in parts for d in read_part(part)}
    assert all(row["text"] is row["meta"] is None and row["source"] == "in.jsonl" for row in rejected)
    assert min(row["score"] for row in kept) >= 3 > max(row["score"] for row in rejected)
    right = [json.loads(row["meta"])["share"] > 0.4 for row in kept]
    assert np.mean(right) > 0.95 and len(kept) > 100
    again = classified(parts, folder, Engine())
    assert again["done_before"] and again["tokens_kept"] == report["tokens_kept"]
    classified(parts, tmp_path / "all", Engine(), threshold=3.0, rejected_text=True)
    whole = pq.read_table(tmp_path / "all" / "rejected").to_pylist()
    assert {row["id"]: row["text"] for row in kept + whole} == {d.id: d.text for p in parts for d in read_part(p)}


@pytest.mark.parametrize("share", [0.01, 0.2, 0.999])
def test_a_budget_of_exactly_counted_tokens_is_met(parts: list[Part], tmp_path: Path, share: float) -> None:
    texts = [document.text for part in parts for document in read_part(part)]
    train_tokenizer(texts, 300).save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json")
    total = sum(map(len, encode(tokenizer, texts)))
    model, *_ = learned(parts, tmp_path / "out")
    files = score_corpus(parts, tmp_path / "out", model, Tokens(str(tmp_path / "tokenizer.json")))
    report = keep_topic(parts, tmp_path / "out", files, {}, budget=total * share)
    kept = [row["text"] for row in pq.read_table(tmp_path / "out" / "kept").to_pylist()]
    assert sum(map(len, encode(tokenizer, kept))) == report["tokens_kept"]
    longest = max(map(len, encode(tokenizer, texts)))
    assert abs(report["tokens_kept"] - total * share) <= longest / 2


def test_held_out_labels_judge_and_are_not_learned_from(parts: list[Part], tmp_path: Path) -> None:
    model, ranking, labels = learned(parts, tmp_path / "out")
    held = [label for label in labels if label.held_out]
    assert 30 <= len(held) <= 75
    told = assess(model, ranking, [*labels, Label("elsewhere", 3)], Schedule(), 3.0, "as given")
    assert told["held_out"]["labels"] == len(held) and told["unknown_ids"] == 1
    assert sum(told["grades"].values()) == len(labels) - len(held)
    assert told["held_out"]["average_precision"]["value"] > 0.9 and told["held_out"]["recall"]["low"] > 0.7
    few, drawn = with_held_out([Label(label.id, label.score) for label in labels[:8]])
    assert drawn == "none" and assess(model, ranking, few, Schedule(), 3.0, drawn)["held_out"] is None


def test_labels_that_teach_nothing_are_told(parts: list[Part], tmp_path: Path) -> None:
    _, ranking, labels = learned(parts, tmp_path / "out")
    same = [Label(label.id, 2) for label in labels]
    with pytest.raises(UserError, match="all grades to learn from are 2"):
        learn_topic(ranking, same, tmp_path / "out")
    with pytest.raises(UserError, match="no grades to learn from"):
        learn_topic(ranking, [Label(label.id, None) for label in labels], tmp_path / "out")
    sample = draw_sample(parts, tmp_path / "s", 10, 4000, ["x"])
    with pytest.raises(UserError, match="none of its 1 ids is in the corpus, whose ids are like in.jsonl:"):
        known_texts(sample, [Label("x", 2)], "labels.csv")


def test_a_folder_is_for_one_topic_and_text(parts: list[Part], tmp_path: Path) -> None:
    claim(tmp_path / "out", parts, {"topic": "law"})
    claim(tmp_path / "out", parts, {"topic": "law"})
    with pytest.raises(UserError, match="another topic"):
        claim(tmp_path / "out", parts, {"topic": "medicine"})
    with pytest.raises(UserError, match="another input"):
        claim(tmp_path / "out", parts[:1], {"topic": "law"})
    with pytest.raises(UserError, match="stands in it"):
        claim(tmp_path, parts, {"topic": "law"})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("x")
    with pytest.raises(UserError, match="it holds other things"):
        claim(tmp_path / "other", parts, {"topic": "law"})


def test_an_encoder_is_fine_tuned_and_scores_like_any_model(parts: list[Part], tmp_path: Path) -> None:
    """A tiny BERT of random weights learns which words are of the topic."""
    checkpoint = tiny_encoder(tmp_path / "tiny")
    from speciate.corpus.classify import topic_encoder

    documents = [document for part in parts for document in read_part(part)]
    chosen = documents[:200]
    texts, grades = [d.text for d in chosen], [grade_of(d) for d in chosen]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(topic_encoder, "LEARNING_RATE", 3e-3)
        made = [topic_encoder.fine_tune(str(checkpoint), texts, grades, tmp_path / f"e{n}", 4000) for n in range(2)]
    one, two = (topic_encoder.load_encoder(folder).scores([d.text for d in documents[200:]]) for folder in made)
    np.testing.assert_array_equal(one, two)
    assert np.corrcoef(one, [grade_of(d) for d in documents[200:]])[0, 1] > 0.8
    files = score_corpus(parts, tmp_path / "scored", made[0], Tokens())
    np.testing.assert_allclose(np.concatenate([read_scores(f).score for f in files])[200:], one, atol=1e-5)
    with pytest.raises(UserError, match="no encoder there"):
        topic_encoder.fine_tune(str(tmp_path / "none"), texts, grades, tmp_path / "e", 4000)
    with pytest.raises(UserError, match="not an encoder of ours"):
        topic_encoder.load_encoder(checkpoint)


def tiny_encoder(folder: Path) -> Path:
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LAW, *SEA]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32, max_position_embeddings=64)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder
