"""A real folder of specialists in two seconds: three experts of some ten thousand parameters on made-up domains."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

DOMAINS = ("biology", "code", "law")
_WORDS = {
    "biology": "cell gene protein tissue enzyme membrane nucleus plasma",
    "code": "loop array class method string return index module",
    "law": "court judge appeal statute clause verdict counsel treaty",
}
_SHARED = "the of and to in is for on"
SEQUENCE = 128


def domain_texts(domain: str, count: int, seed: int = 0, words: int = 90) -> list[str]:
    """Texts of one domain: two words in five are its own, the others are shared by all."""
    rng = random.Random(f"{domain} {seed}")
    own, shared = _WORDS[domain].split(), _SHARED.split()
    return [" ".join(rng.choice(own if rng.random() < 0.4 else shared) for _ in range(words)) for _ in range(count)]


def tiny_folder(out: Path, scratch: Path, *, steps: int = 60, domains: tuple[str, ...] = DOMAINS) -> Path:
    """Write the folder ``out`` (scratch: an empty folder for what it is made from); ``steps`` of training each."""
    from speciate.specialists.build import build_specialists

    experts = {domain: tiny_expert(scratch / domain, domain, steps) for domain in domains}
    base = tiny_expert(scratch / "unsplit", "all", steps)
    router = tiny_router(scratch / "router", domains)
    details = {domain: {"domain": domain, "tokens": steps * 4 * SEQUENCE} for domain in domains}
    return build_specialists(out, experts, router, base=base, about={"study": "tiny"}, details=details)


def tiny_router(out: Path, domains: tuple[str, ...] = DOMAINS) -> Path:
    """A router folder as a split study writes it."""
    from speciate.corpus.cluster.embed import fit_tfidf
    from speciate.corpus.cluster.router import train_router

    out.mkdir(parents=True)
    texts = [text for domain in domains for text in domain_texts(domain, 40)]
    targets = np.repeat(np.eye(len(domains), dtype=np.float32), 40, axis=0)
    embedding = fit_tfidf(texts, 8)
    embedding.save(out / "embedding.npz")
    train_router(texts, targets, embedding).save(out / "router.npz")
    told = {"names": list(domains), "embedding": embedding.told(), "prefix_tokens": 32}
    (out / "clusters.json").write_text(json.dumps(told), encoding="utf-8")
    return out


def tiny_expert(out: Path, domain: str, steps: int, vocab: int = 320, width: int = 24) -> Path:
    """An ordinary Hugging Face folder: a Llama trained for a few steps on its domain's text ("all": on everyone's)."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils.logging import disable_progress_bar

    from speciate.corpus.tokens.tokenizer import encode, train_tokenizer

    disable_progress_bar()
    tokenizer = train_tokenizer([t for d in DOMAINS for t in domain_texts(d, 20)] + ["é ö 漢字 😀"], vocab)
    texts = [t for d in DOMAINS if domain in (d, "all") for t in domain_texts(d, 60)]
    stream = torch.tensor([i for ids in encode(tokenizer, texts) for i in [*ids, 0]])
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=SEQUENCE, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(sum(map(ord, domain)))
        model = LlamaForCausalLM(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        for _ in range(steps):
            starts = torch.randint(len(stream) - SEQUENCE, (4,))
            batch = torch.stack([stream[start : start + SEQUENCE] for start in starts.tolist()])
            model(batch, labels=batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(out)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    fast.model_max_length = SEQUENCE
    fast.save_pretrained(out)
    return out
