from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.functional import cross_entropy

from speciate.errors import UserError
from speciate.evaluation import facts as module
from speciate.evaluation.facts import Fact, Facts, read_facts
from speciate.runs.spec import ModelSpec
from speciate.training.model import build_model

LETTERS = [chr(97 + i) for i in range(26)] + [str(i) for i in range(10)] + [":"]
MODEL = ModelSpec("llama", 32, 2, 2, 64, len(LETTERS) + 1, 32)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token for every letter."""
    made = Tokenizer(models.WordLevel({token: i for i, token in enumerate(["<|endoftext|>", *LETTERS])}))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


def write(path: Path, facts: list[Fact]) -> Path:
    path.write_text("".join(json.dumps(fact._asdict()) + "\n" for fact in facts), encoding="utf-8")
    return path


def sharp_model() -> Any:
    """A random model with decided opinions, so that no last bit changes an arg-max."""
    model = build_model(MODEL, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    return model


def greedy(model: Any, path: Path, prompt: str, count: int) -> str:
    """What `transformers` generates, token by token."""
    tokenizer = Tokenizer.from_file(str(path))
    ids = torch.tensor([tokenizer.encode(prompt).ids])
    out = model.generate(
        ids, do_sample=False, max_new_tokens=count, min_new_tokens=count, pad_token_id=0, eos_token_id=-1
    )
    return "".join(str(tokenizer.id_to_token(i)) for i in out[0, ids.shape[1] :].tolist())


def test_equals_greedy_generation(tokenizer: Path, tmp_path: Path) -> None:
    model, rng = sharp_model(), random.Random(0)
    model.eval()
    asked = []
    for number in range(24):
        prompt = "".join(rng.choices(LETTERS, k=rng.randint(2, 9)))
        answer = greedy(model, tokenizer, prompt, rng.randint(1, 7))
        if "<" in answer:
            continue
        if number % 3 == 0:  # one wrong token, wherever it is, makes the answer wrong
            at = rng.randrange(len(answer))
            answer = answer[:at] + ("b" if answer[at] == "a" else "a") + answer[at + 1 :]
        asked.append(Fact(prompt, answer))
    asked = list({fact.prompt: fact for fact in asked}.values())
    generated = sum(greedy(model, tokenizer, fact.prompt, len(fact.answer)) == fact.answer for fact in asked)
    assert 0 < generated < len(asked)
    recall = Facts({"a": write(tmp_path / "a.jsonl", asked)}, tokenizer).recall(model, "a", "float32")
    assert recall.accuracy == generated / len(asked)
    assert recall.facts == len(asked)
    assert recall.accuracy < recall.token_accuracy < 1


def test_loss_is_that_of_the_answers_tokens_whatever_the_batch(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [Fact("ab:", "12345"), Fact("abcdef:", "9"), Fact("q:", "00112233")]
    path = write(tmp_path / "a.jsonl", asked)
    model = build_model(MODEL, 0)
    loaded = Tokenizer.from_file(str(tokenizer))
    nats, count = 0.0, 0
    for fact in asked:
        ids = torch.tensor([loaded.encode(fact.prompt + fact.answer).ids])
        with torch.no_grad():
            logits = model(ids).logits[0, len(fact.prompt) - 1 : -1]
        nats += float(cross_entropy(logits, ids[0, len(fact.prompt) :], reduction="sum"))
        count += len(fact.answer)
    together = Facts({"a": path}, tokenizer).recall(model, "a", "float32")
    assert together.loss == pytest.approx(nats / count, rel=1e-6)
    monkeypatch.setattr(module, "BATCH_TOKENS", 1)
    alone = Facts({"a": path}, tokenizer).recall(model, "a", "float32")
    assert alone.loss == pytest.approx(together.loss, rel=1e-6)
    assert alone._replace(loss=0) == together._replace(loss=0)


def test_rows_are_those_of_a_ledger_and_the_model_is_left_alone(tokenizer: Path, tmp_path: Path) -> None:
    paths = {name: write(tmp_path / f"{name}.jsonl", [Fact(f"{name}:", "123")]) for name in ("b", "a")}
    facts, model = Facts(paths, tokenizer), build_model(MODEL, 0)
    rows = facts.measure(model, "bfloat16")
    assert [row["eval_on"] for row in rows] == ["facts/a", "facts/b"]
    assert all(set(row) == {"eval_on", "accuracy", "chance", "loss"} and row["chance"] == 0.0 for row in rows)
    assert facts.measure(model, "bfloat16", only=["b"]) == rows[1:]
    assert facts.measure(model, "bfloat16", only=[]) == []
    assert model.training


def test_a_model_learns_a_fact(tokenizer: Path, tmp_path: Path) -> None:
    facts = Facts({"a": write(tmp_path / "a.jsonl", [Fact("abc:", "314159")])}, tokenizer)
    model = build_model(MODEL, 0)
    ids = torch.tensor([Tokenizer.from_file(str(tokenizer)).encode("abc:314159").ids])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = facts.recall(model, "a", "float32")
    for _ in range(100):
        loss = cross_entropy(model(ids[:, :-1]).logits[0], ids[0, 1:])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = facts.recall(model, "a", "float32")
    assert before.accuracy == 0 and after.accuracy == 1
    assert after.loss < 0.1 < before.loss


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"prompt": "a"}', "no 'answer'"),
        ('{"prompt": 3, "answer": "b"}', "its 'prompt' is 3"),
        ('{"prompt": "a", "answer": ""}', "its 'answer' is ''"),
        ('{"prompt": "good:", "answer": "2"}', "another answer to 'good:'"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text('{"prompt": "good:", "answer": "1"}\n\n' + line + "\n[]\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_facts(path)
    assert [problem.where for problem in caught.value.problems] == [f"{path} line 3", f"{path} line 4"]
    assert what in caught.value.problems[0].what


def test_files_without_facts_are_refused_together(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        Facts({"a": tmp_path / "none.jsonl", "b": tmp_path / "empty.jsonl"}, tokenizer)
    assert [problem.what for problem in caught.value.problems] == ["no file of facts there", "no facts in it"]


def test_bytes_that_are_no_text_are_a_bad_line(tmp_path: Path) -> None:
    (tmp_path / "facts.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match="line 1: not JSON"):
        read_facts(tmp_path / "facts.jsonl")


def test_a_prompt_that_the_tokenizer_joins_with_its_answer_is_refused(tmp_path: Path) -> None:
    vocabulary = {"<|endoftext|>": 0, "a": 1, "1": 2, "a1": 3}
    path = tmp_path / "tokenizer.json"
    Tokenizer(models.BPE(vocabulary, [("a", "1")])).save(str(path))
    facts = write(tmp_path / "a.jsonl", [Fact("a", "1"), Fact("1", "1")])
    with pytest.raises(UserError, match="cannot tell the prompt 'a' from its answer '1'") as caught:
        Facts({"a": facts}, path)
    assert len(caught.value.problems) == 1
