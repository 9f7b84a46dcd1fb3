"""Byte-level BPE trained by ``rustbpe``, four times as fast as ``tokenizers``, as a ``tokenizers.Tokenizer``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from speciate.corpus.tokens.encoder import GPT2, byte_letters
from speciate.corpus.tokens.tokenizer import END_OF_TEXT, check_size, plain_tokenizer, train_tokenizer


def train_byte_pairs(texts: Iterable[str], vocab_size: int) -> Any:
    """A ``tokenizers.Tokenizer`` of at most ``vocab_size`` ids: 0 ends a text, 1-256 are the bytes, the rest merges.

    Laid out as ``train_tokenizer`` does, which takes its place where ``rustbpe`` is not installed. The same text gives
    the same tokenizer, but the two libraries break ties between pairs that are as frequent differently.
    """
    check_size(vocab_size)
    try:
        import rustbpe
    except ModuleNotFoundError:
        return train_tokenizer(texts, vocab_size)
    trainer = rustbpe.Tokenizer()
    trainer.train_from_iterator(iter(texts), max(256, vocab_size - 1), pattern=GPT2)
    return as_tokenizer({bytes(token): rank for token, rank in trainer.get_mergeable_ranks()})


def as_tokenizer(ranks: Mapping[bytes, int]) -> Any:
    """A ``tokenizers.Tokenizer`` of tokens by rank, the 256 bytes among them; id 0 ends a text.

    ``ranks`` is what ``rustbpe`` and ``tiktoken`` know: tokens, not the pairs that make them. The pair of a token is
    what its bytes are after all merges before it.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = byte_letters()
    made = sorted((token for token in ranks if len(token) > 1), key=lambda token: ranks[token])
    vocabulary = {END_OF_TEXT: 0}
    for letter in sorted(letters):
        vocabulary[letter] = len(vocabulary)
    merges = []
    for token in made:
        pair = ["".join(letters[byte] for byte in piece) for piece in _pieces(token, ranks, ranks[token])]
        assert len(pair) == 2, f"token {token!r} is not made of two earlier ones"
        merges.append((pair[0], pair[1]))
        vocabulary[pair[0] + pair[1]] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    return plain_tokenizer(tokenizer)


def _pieces(text: bytes, ranks: Mapping[bytes, int], below: int) -> list[bytes]:
    """The bytes after all merges of a rank below this, the lowest first and from the left."""
    pieces = [text[i : i + 1] for i in range(len(text))]
    while len(pieces) > 1:
        found = [ranks.get(left + right, below) for left, right in zip(pieces, pieces[1:], strict=False)]
        lowest = min(found)
        if lowest >= below:
            break
        at = found.index(lowest)
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces
