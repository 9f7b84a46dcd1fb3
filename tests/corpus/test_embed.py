"""Windows, prefixes and the vectors of both kinds of embedding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speciate.corpus.cluster.embed import fit_tfidf, load_tfidf
from speciate.corpus.cluster.windows import count_tokens, prefix, split_text, windows_of
from speciate.corpus.reading.documents import Document
from speciate.errors import UserError

TEXTS = ["law court judge", "court of law", "cell gene protein", "gene of a cell", "protein and gene in a cell"]


@pytest.mark.parametrize("text", ["", "  \n", "a b c", "x" * 50, "snake_case(1, 2345) # ü 数学 ", "a\n\n" * 40])
def test_windows_joined_are_the_text(text: str) -> None:
    for size in (1, 2, 7, 1000):
        found = list(split_text(text, size))
        assert "".join(found) == text
        assert all(count_tokens(each) == size for each in found[:-1])
        assert all(0 < count_tokens(each) <= size for each in found) or not count_tokens(text)


def test_a_prefix_is_the_beginning_of_a_text() -> None:
    text = "One two, three four five."
    for tokens in range(1, 9):
        assert text.startswith(prefix(text, tokens)) and count_tokens(prefix(text, tokens)) == min(tokens, 7)
    assert prefix(text, 100) == text and prefix("", 3) == ""


def test_windows_of_a_document_have_ids_of_their_own() -> None:
    one = list(windows_of(Document("a:0", "one two", "a", {"k": 1}), 2))
    assert one == [(0, Document("a:0", "one two", "a", {"k": 1}))]
    two = list(windows_of(Document("a:0", "one two three", "a", {"k": 1}), 2))
    assert [(n, d.id, d.text, d.meta) for n, d in two] == [
        (0, "a:0#0", "one two ", {"k": 1}),
        (1, "a:0#1", "three", {"k": 1}),
    ]


def test_texts_of_one_topic_are_near() -> None:
    vectors = fit_tfidf(TEXTS, 2).embed(TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    near = vectors @ vectors.T
    assert near[0, 1] > 0.9 and near[2, 3] > 0.9 and near[0, 2] < 0.5


def test_what_is_saved_embeds_the_same_and_needs_no_pickle(tmp_path: Path, prose: Callable[[int], str]) -> None:
    texts = [prose(seed) for seed in range(20)]
    fitted = fit_tfidf(texts, 8, seed=3)
    fitted.save(tmp_path / "e.npz")
    loaded = load_tfidf(tmp_path / "e.npz")
    whole = fitted.embed(texts)
    assert np.array_equal(whole, loaded.embed(texts)) and loaded.dimensions == 8
    assert np.array_equal(whole[3:5], fitted.embed(texts[3:5])), "a vector depends on its own text only"
    assert np.array_equal(whole, fit_tfidf(texts, 8, seed=3).embed(texts))


def test_text_without_known_words_is_the_zero_vector() -> None:
    vectors = fit_tfidf(TEXTS, 2).embed(["", "xyz", "law"])
    assert not vectors[:2].any() and vectors[2].any()
    assert fit_tfidf(TEXTS, 2).embed([]).shape == (0, 2)


def test_more_directions_than_texts_are_as_many_as_there_can_be() -> None:
    assert fit_tfidf(TEXTS, 500).dimensions == 4
    assert fit_tfidf(["one word"], 5).dimensions == 1


def test_text_without_words_is_told() -> None:
    with pytest.raises(UserError, match="no words to embed by"):
        fit_tfidf(["1 2", "?"], 2)


def test_a_file_that_is_no_embedding_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no")
    for name in ("x.npz", "absent.npz"):
        with pytest.raises(UserError, match="cannot be read as vocabulary"):
            load_tfidf(tmp_path / name)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights whose tokenizer knows thirty words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(30))]

    vocabulary = {word: at for at, word in enumerate(words)}
    BertTokenizer(vocab=vocabulary, model_max_length=16).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=35, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=16, max_position_embeddings=16)  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_sentence_model_reads_the_whole_window(checkpoint: Path) -> None:
    from speciate.corpus.cluster.embed_model import load_model

    model = load_model(str(checkpoint))
    assert (model.dimensions, model.longest) == (16, 16)
    same = " ".join(f"w{i % 7}" for i in range(40))
    texts = [same + " w1", same + " w29", "w3", ""]
    vectors = model.embed(texts)
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1, atol=1e-6) and not vectors[3].any()
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4, "word 41, far beyond 16 tokens, is read"
    for at, text in enumerate(texts):
        assert np.allclose(model.embed([text])[0], vectors[at], atol=1e-6)
    assert "in pieces of 16 tokens" in model.told()["reads"]


def test_pooling_is_the_mean_over_all_tokens_of_all_pieces(checkpoint: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    from speciate.corpus.cluster.embed_model import load_model

    text = " ".join(f"w{i % 7}" for i in range(20))
    tokenizer, model = AutoTokenizer.from_pretrained(checkpoint), AutoModel.from_pretrained(checkpoint).eval()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    states = []
    for piece in (ids[:14], ids[14:]):
        with torch.no_grad():
            states.append(model(torch.tensor([[2, *piece, 3]])).last_hidden_state[0])
    expected = torch.cat(states).mean(0).numpy()
    assert np.allclose(load_model(str(checkpoint)).embed([text])[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_a_model_that_is_not_there_is_told() -> None:
    from speciate.corpus.cluster.embed_model import load_model

    with pytest.raises(UserError, match="no sentence model"):
        load_model("/nowhere/at all")
