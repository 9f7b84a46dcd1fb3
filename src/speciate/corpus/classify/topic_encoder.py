"""How much a text is of a topic, by an encoder of ``transformers`` that is fine-tuned on the grades.

The only file of ``classify`` that loads torch, and only when an encoder is asked for.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.classify.labels import HIGHEST
from speciate.errors import Problem, UserError

LONGEST = 512  # tokens that are read of a text, or fewer if the encoder has fewer places
AT_ONCE = 32  # texts of a batch in scoring
BATCH = 16
EPOCHS = 4
LEARNING_RATE = 3e-5
WARMUP = 0.1
ABOUT = "speciate_topic.json"


@dataclass(frozen=True)
class TopicEncoder:
    """A sequence classifier whose five outputs are the logits of P(grade >= k)."""

    model: Any
    tokenizer: Any
    characters: int

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The expected grade of each text, 0 to 5. Batches depend on ``texts`` alone, so scores do too."""
        import torch

        total = np.zeros(len(texts), np.float32)
        order = np.argsort([len(text) for text in texts], kind="stable")  # little padding
        with torch.inference_mode():
            for first in range(0, len(order), AT_ONCE):
                chosen = order[first : first + AT_ONCE]
                batch = self.encode([texts[n] for n in chosen])
                chances = torch.sigmoid(self.model(**batch).logits.double()).cummin(dim=1).values
                total[chosen] = chances.sum(dim=1).numpy()
        return total

    def encode(self, texts: Sequence[str]) -> Any:
        """Token ids and mask of these texts, each cut to what the encoder reads."""
        places = int(getattr(self.model.config, "max_position_embeddings", None) or LONGEST)
        offset = 2 if self.model.config.model_type in ("roberta", "xlm-roberta", "camembert") else 0  # unused places
        cut = [text[: self.characters] for text in texts]
        longest = min(LONGEST, places - offset)
        return self.tokenizer(cut, truncation=True, max_length=longest, padding=True, return_tensors="pt")


def load_encoder(folder: Path) -> TopicEncoder:
    """The encoder that ``fine_tune`` left."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fix = "give the folder encoder/ of a step classify"
        raise UserError(Problem("not an encoder of ours", str(folder), fix)) from error
    return _load(str(folder), about["characters"])


def fine_tune(
    name: str, texts: Sequence[str], grades: Sequence[int], folder: Path, characters: int, seed: int = 0
) -> Path:
    """Fine-tune the encoder at a path or of a name on graded texts, and leave it in ``folder``, which is returned.

    The loss is the cross-entropy of the five questions "is its grade at least k", the two answers to each in balance.
    """
    import torch

    random_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        encoder = _load(name, characters)
        _train(encoder, texts, torch.tensor(grades), np.random.default_rng(seed))
    finally:
        torch.random.set_rng_state(random_state)
    _save(encoder, folder)
    return folder


def _load(name: str, characters: int) -> TopicEncoder:
    try:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ModuleNotFoundError as error:
        fix = "pip install 'speciate[train]', or leave it out"
        raise UserError(Problem("an encoder needs torch and transformers", "--encoder", fix)) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForSequenceClassification.from_pretrained(
            name, num_labels=HIGHEST, problem_type="multi_label_classification", ignore_mismatched_sizes=True
        )
    except (OSError, ValueError, KeyError) as error:
        fix = "give the folder of an encoder, or a name that the hub has"
        raise UserError(Problem(f"no encoder there ({str(error).splitlines()[0]})", name, fix)) from error
    return TopicEncoder(model.float().eval(), tokenizer, characters)


def _train(encoder: TopicEncoder, texts: Sequence[str], grades: Any, rng: np.random.Generator) -> None:
    import torch

    above = (grades[:, None] >= torch.arange(1, HIGHEST + 1)).float()
    share = above.mean(dim=0)
    weights = above / (2 * share.clamp(min=1e-6)) + (1 - above) / (2 * (1 - share).clamp(min=1e-6))
    weights = torch.where((share == 0) | (share == 1), torch.ones_like(weights), weights)
    steps = EPOCHS * -(-len(texts) // BATCH)
    optimizer = torch.optim.AdamW(encoder.model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    encoder.model.train()
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(texts))
        for first in range(0, len(order), BATCH):
            chosen = order[first : first + BATCH]
            logits = encoder.model(**encoder.encode([texts[n] for n in chosen])).logits
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, above[chosen], weights[chosen])
            warm = (step + 1) / max(WARMUP * steps, 1)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * min(warm, 1.0, (steps - step) / steps)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(encoder.model.parameters(), 1.0)
            optimizer.step()
            step += 1
    encoder.model.eval()


def _save(encoder: TopicEncoder, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".encoder-") as name:
        made = Path(name) / "encoder"
        encoder.model.save_pretrained(made)
        encoder.tokenizer.save_pretrained(made)
        (made / ABOUT).write_text(json.dumps({"characters": encoder.characters}), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
