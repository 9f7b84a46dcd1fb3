from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from specialists.tiny import DOMAINS, domain_texts
from speciate.corpus.cluster.windows import prefix
from speciate.errors import UserError
from speciate.specialists.experts import Specialists
from speciate.specialists.losses import HOWS, Text, _windows

TEXTS = [text for d in DOMAINS for text in domain_texts(d, 2, seed=8, words=70) + domain_texts(d, 1, seed=9, words=130)]
OWN = [domain for domain in DOMAINS for _ in range(3)]


def by_hand(tiny: Path, specialists: Specialists, folder: str, text: str) -> np.ndarray[Any, Any]:
    """ln P of every token after the prefix, a forward pass for each: the 128 before it, or what its window has."""
    model = AutoModelForCausalLM.from_pretrained(tiny / folder, local_files_only=True)
    ids = specialists.tokenizer.encode(text).ids
    head = prefix(text, 32)
    first = next(n for n in range(len(ids)) if len(specialists.tokenizer.decode(ids[:n])) >= len(head))
    found = []
    for at in range(first, len(ids)):
        start = (at - 1) // 128 * 128
        if start + 129 > len(ids):
            start = max(0, len(ids) - 129)
        with torch.no_grad():
            logits = model(torch.tensor([ids[start:at]])).logits[0, -1]
        found.append(float(logits.double().log_softmax(-1)[ids[at]]))
    return np.array(found)


@pytest.mark.parametrize("at", [0, 2])
def test_each_way_is_what_it_says_token_by_token(tiny: Path, specialists: Specialists, at: int) -> None:
    text = TEXTS[at]
    all_of = np.stack([by_hand(tiny, specialists, f"experts/{name}", text) for name in DOMAINS])
    found = specialists.losses([text], ["biology"])
    assert tuple(found) == HOWS
    assert found["oracle"].nats == pytest.approx(-all_of[0].mean(), abs=1e-5)
    assert found["routed"].nats == found["oracle"].nats and found["routed"].experts == ("biology",)
    assert found["best"].nats == pytest.approx(-all_of.mean(1).max(), abs=1e-5)
    assert found["ensemble"].nats == pytest.approx(-np.log(np.exp(all_of).mean(0)).mean(), abs=1e-5)
    assert found["base"].nats == pytest.approx(-by_hand(tiny, specialists, "base", text).mean(), abs=1e-5)
    assert {each.tokens for each in found.values()} == {all_of.shape[1]}


def test_means_go_over_tokens_and_each_way_alone_is_the_same(specialists: Specialists) -> None:
    together = specialists.losses(TEXTS, OWN)
    for how, whole in together.items():
        alone = specialists.loss(TEXTS, how, OWN if how == "oracle" else None)
        np.testing.assert_allclose(alone.text_nats, whole.text_nats, rtol=1e-5)
        assert whole.nats == pytest.approx(whole.text_nats.sum() / whole.text_tokens.sum())
        assert whole.perplexity == pytest.approx(math.exp(whole.nats))
        law = [at for at, domain in enumerate(OWN) if domain == "law"]
        assert whole.over(law) == pytest.approx(whole.text_nats[law].sum() / whole.text_tokens[law].sum())
        assert whole.over(np.array(OWN) == "law") == whole.over(law)
    assert together["routed"].experts == tuple(OWN)
    assert together["best"].nats <= together["oracle"].nats + 1e-9 < together["ensemble"].nats
    assert together["ensemble"].experts == (None,) * len(TEXTS)


def test_a_wrong_expert_costs_more(specialists: Specialists) -> None:
    wrong = specialists.loss(TEXTS, "oracle", [*OWN[3:], *OWN[:3]])
    assert wrong.nats > specialists.loss(TEXTS).nats + 0.5


def test_short_texts_have_no_loss(specialists: Specialists) -> None:
    found = specialists.losses(["the law", TEXTS[0], ""])
    assert "oracle" not in found
    for each in found.values():
        assert each.text_tokens[[0, 2]].tolist() == [0, 0] and each.text_nats[[0, 2]].tolist() == [0.0, 0.0]
        assert each.over([0]) is None
        assert each.nats == pytest.approx(each.over([1]))
    with pytest.raises(UserError, match="no text goes beyond the 32 tokens"):
        specialists.loss(["the law", ""])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(1, 70), st.integers(1, 12))
def test_windows_score_every_token_once_with_as_much_before_it_as_there_is(size: int, first: int, length: int) -> None:
    seen = []
    for window in _windows(0, Text(list(range(size)), first), length):
        assert 2 <= len(window.ids) <= length + 1
        targets = window.ids[window.first + 1 :]
        assert [target - first for target in targets] == list(range(window.to, window.to + len(targets)))
        seen += targets
        assert window.ids[-1] == size - 1 or len(window.ids) == length + 1
        assert len(window.ids) == length + 1 or window.ids[0] == 0
    assert seen == list(range(first, size))


@pytest.mark.parametrize(
    ("how", "domains", "said"),
    [
        ("all", None, "a loss 'all'"),
        ("oracle", None, "no domains"),
        ("oracle", ["law"], "1 domains for 9 texts"),
        ("oracle", [*OWN[1:], "sport"], "no expert of domain 'sport'"),
    ],
)
def test_what_has_no_loss_is_refused(specialists: Specialists, how: str, domains: list[str] | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        specialists.loss(TEXTS, how, domains)


def test_an_ensemble_of_a_subset_and_its_oracle(tiny: Path, specialists: Specialists) -> None:
    part = Specialists.load(tiny, experts=["law"], device="cpu")
    found = part.losses(TEXTS)
    assert found["ensemble"].nats == pytest.approx(found["routed"].nats) == pytest.approx(found["best"].nats)
    with pytest.raises(UserError, match="no expert of domain 'biology'"):
        part.losses(TEXTS, OWN)


PAIRS = [("the court of the", " appeal"), ("the gene of ", "protein is"), ("", "loop array"), ("law\n", "\u6f22")]


def test_log_likelihoods_are_those_of_one_forward_pass(tiny: Path, specialists: Specialists) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny / "experts" / "law", local_files_only=True)
    for (context, continuation), found in zip(PAIRS, specialists.log_likelihoods(PAIRS, expert="law"), strict=True):
        whole = specialists.tokenizer.encode(context + continuation).ids
        before = len(specialists.tokenizer.encode(context.rstrip()).ids)
        ids = torch.tensor([whole if before else [0, *whole]])
        with torch.no_grad():
            chances = model(ids[:, :-1]).logits[0].double().log_softmax(-1)
        rows = chances[max(before, 1) - 1 :]
        wanted = ids[0, max(before, 1) :]
        assert found.value == pytest.approx(float(rows.gather(1, wanted[:, None]).sum()), abs=1e-4)
        assert found.greedy == bool((rows.argmax(-1) == wanted).all())
        assert (found.tokens, found.expert) == (len(wanted), "law")


def test_contexts_choose_the_expert_and_the_likeliest_is_greedy(specialists: Specialists) -> None:
    contexts = [domain_texts(domain, 1, seed=4)[0][:80] for domain in DOMAINS]
    next_ones = [specialists.generate(context, max_new_tokens=1).text for context in contexts]
    found = specialists.log_likelihoods(list(zip(contexts, next_ones, strict=True)))
    assert [each.expert for each in found] == list(DOMAINS)
    assert specialists.log_likelihoods([]) == []
    assert all(each.greedy for each in found if each.tokens == 1)
    assert any(each.tokens == 1 for each in found)


def test_long_contexts_lose_their_beginning_and_long_continuations_are_refused(
    specialists: Specialists, caplog: pytest.LogCaptureFixture
) -> None:
    long = domain_texts("law", 1, words=300)[0]
    ids = specialists.tokenizer.encode(long).ids
    with caplog.at_level(logging.WARNING):
        (found,) = specialists.log_likelihoods([(long, " appeal")], expert="law")
    kept = specialists.tokenizer.decode(ids[-(129 - found.tokens) :])
    (wanted,) = specialists.log_likelihoods([(kept, " appeal")], expert="law")
    assert found.value == pytest.approx(wanted.value, abs=1e-5)
    assert f"the first {len(ids) - 129 + found.tokens} tokens of its context are left out" in caplog.text
    for wrong in ("", long):
        with pytest.raises(UserError, match="pair 1"):
            specialists.log_likelihoods([("a", " b"), ("a", wrong)])
