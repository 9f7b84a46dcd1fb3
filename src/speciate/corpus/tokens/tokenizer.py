"""Byte-level BPE with the ``tokenizers`` library, or a Hugging Face tokenizer that is there already."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.errors import Problem, UserError

END_OF_TEXT = "<|endoftext|>"
_ENDS = (END_OF_TEXT, "</s>", "<eos>", "<|end_of_text|>", "<|im_end|>", "[SEP]")


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """A byte-level BPE ``tokenizers.Tokenizer``: id 0 ends a text, ids 1-256 are the bytes, the rest merges.

    Every text has tokens and decodes to itself. Raises ``UserError`` for fewer than 257 or more than 2^31 entries.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    check_size(vocab_size)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return plain_tokenizer(tokenizer)


def check_size(vocab_size: int) -> None:
    """Raises ``UserError`` for a vocabulary without room for the bytes, or beyond what ids are stored in."""
    if not 257 <= vocab_size < 2**31:
        what = f"vocab_size is {vocab_size}"
        raise UserError(Problem(what, "the tokenizer", "give at least 257: 256 bytes and the end of a text"))


def load_tokenizer(path: Path) -> Any:
    """The ``tokenizers.Tokenizer`` of a tokenizer.json, or of the Hugging Face folder that holds one."""
    from tokenizers import Tokenizer

    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        fix = "give a tokenizer.json or a folder that holds one (save_pretrained of a fast tokenizer)"
        raise UserError(Problem("no tokenizer there", str(file), fix))
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise UserError(Problem(f"not a tokenizer ({error})", str(file), "save the tokenizer again")) from error
    return plain_tokenizer(tokenizer)


def end_of_text_id(tokenizer: Any, path: Path | None = None) -> int:
    """The id that is put after every document: the folder's eos_token if it names one, else a usual name."""
    config = path / "tokenizer_config.json" if path is not None and path.is_dir() else None
    try:
        named = json.loads(config.read_text(encoding="utf-8")).get("eos_token") if config and config.is_file() else None
    except (ValueError, AttributeError) as error:
        problem = Problem(f"not a tokenizer's config ({error})", str(config), "save the tokenizer again")
        raise UserError(problem) from error
    named = named.get("content") if isinstance(named, dict) else named
    for name in (named, *_ENDS):
        if isinstance(name, str) and (found := tokenizer.token_to_id(name)) is not None:
            return int(found)
    fix = f"add an eos_token to tokenizer_config.json, or one of {', '.join(_ENDS)} to the vocabulary"
    raise UserError(Problem("no token that ends a text", str(path or "the tokenizer"), fix))


def token_bytes(tokenizer: Any) -> NDArray[np.int64]:
    """Bytes of text that each id stands for, (vocabulary,); 0 for special tokens, which stand for none.

    Exact for byte-level vocabularies (GPT-2, Llama 3, Qwen: one character of a token per byte); for SentencePiece
    ones a leading mark is one space and <0x0A> one byte; otherwise the UTF-8 length of the token.
    """
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    byte_level = '"ByteLevel"' in json.dumps(json.loads(tokenizer.to_str())["decoder"])
    added = tokenizer.get_added_tokens_decoder()
    lengths = np.zeros(max(size, 1 + max(tokenizer.get_vocab().values(), default=0)), np.int64)
    for token, index in tokenizer.get_vocab(with_added_tokens=True).items():
        if index in added:
            lengths[index] = 0 if added[index].special else len(added[index].content.encode())
        elif byte_level:
            lengths[index] = len(token)
        elif re.fullmatch("<0x[0-9A-Fa-f]{2}>", token):
            lengths[index] = 1
        else:
            lengths[index] = len(token.replace("\u2581", " ").removeprefix("##").encode())
    return lengths


def id_count(tokenizer: Any) -> int:
    """How many ids a model needs for it: one more than the largest (a vocabulary may have gaps)."""
    ids = tokenizer.get_vocab(with_added_tokens=True).values()
    return max(int(tokenizer.get_vocab_size(with_added_tokens=True)), 1 + max(ids, default=-1))


def encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Ids of each text, without any that the tokenizer would add around it; uses all cores."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def plain_tokenizer(tokenizer: Any) -> Any:
    """Text is text: no cutting, no padding, and "<|endoftext|>" written in a document is not the end of it."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer
