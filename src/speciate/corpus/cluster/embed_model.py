"""Embeddings by a sentence model of ``transformers``, the one place of this room that loads torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from speciate.corpus.cluster.embed import Vectors, unit
from speciate.errors import Problem, UserError

LONGEST = 256  # tokens that a sentence model reads at once, if it does not read fewer
BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class SentenceModel:
    """The mean of a model's last states over all tokens of a window, of length 1.

    A window longer than ``longest`` is read in pieces that do not overlap, and the mean goes over all of them (a
    piece counts by its tokens): nothing of a window is cut, but tokens see only their own piece.
    """

    name: str
    longest: int
    tokenizer: Any
    model: Any

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(texts, dimensions) float32 of length 1; the zero vector where there is no token."""
        import torch

        total = np.zeros((len(texts), self.dimensions), np.float64)
        pieces = self._pieces(texts) if texts else []
        order = sorted(range(len(pieces)), key=lambda at: (len(pieces[at][1]), at))
        with torch.inference_mode():
            for first in range(0, len(order), BATCH):
                chosen = [pieces[at] for at in order[first : first + BATCH]]
                batch = self.tokenizer.pad({"input_ids": [ids for _, ids in chosen]}, return_tensors="pt")
                states = self.model(**batch).last_hidden_state.float()
                sums = (states * batch["attention_mask"][..., None]).sum(1).numpy()
                for (text, _), each in zip(chosen, sums, strict=True):
                    total[text] += each
        return unit(total.astype(np.float32))

    def _pieces(self, texts: Sequence[str]) -> list[tuple[int, list[int]]]:
        """(number of the text, ids with the model's special tokens) of every piece."""
        held = self.tokenizer(
            list(texts), truncation=True, max_length=self.longest, return_overflowing_tokens=True,
            return_special_tokens_mask=True, return_attention_mask=False,
        )  # fmt: skip
        each = zip(held["overflow_to_sample_mapping"], held["input_ids"], held["special_tokens_mask"], strict=True)
        return [(number, ids) for number, ids, special in each if not all(special)]

    def told(self) -> dict[str, Any]:
        """What it is and reads."""
        reads = f"every word of a window, in pieces of {self.longest} tokens whose states are averaged"
        return {"kind": "model", "model": self.name, "dimensions": self.dimensions, "reads": reads}


@lru_cache(maxsize=1)
def load_model(name: str) -> SentenceModel:
    """A sentence model by folder or name. Raises ``UserError`` if it cannot be loaded."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar
    except ModuleNotFoundError as error:
        fix = "pip install torch transformers, or use --embedding tfidf"
        raise UserError(Problem(f"a sentence model needs {error.name}", "--embedding", fix)) from error
    try:
        disable_progress_bar()  # type: ignore[no-untyped-call]
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModel.from_pretrained(name, dtype=torch.float32).eval()
    except (OSError, ValueError) as error:
        told = str(error).splitlines()[0]
        fix = "give the folder of a model, a name that can be downloaded, or tfidf"
        raise UserError(Problem(f"no sentence model: {told}", f"--embedding {name}", fix)) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    limits = [LONGEST, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", LONGEST)]
    return SentenceModel(name, int(min(limits)), tokenizer, model)
