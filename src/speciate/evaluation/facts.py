"""Does a model know facts by heart: exact match of greedy answers (Seto et al. 2026, section 3.2).

A fact is a prompt and its answer, one JSON object in a line: {"prompt": "qwerty:", "answer": "0123456789"}. It is known
if every token of the answer is the likeliest one after the prompt and the right tokens before it. Greedy decoding of
as many tokens gives the right answer exactly then, so one forward pass answers what generation would.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from speciate.corpus.tokens.tokenizer import encode, load_tokenizer
from speciate.errors import Problem, UserError
from speciate.training.model import CausalLM
from speciate.training.step import chunk_rows, hidden_states

BATCH_TOKENS = 8192  # per forward pass, padding included
_MOST = 20  # problems named per file
_LINE = 'write one JSON object in each line: {"prompt": "...", "answer": "..."}'


class Fact(NamedTuple):
    """What a model is asked, and the only right answer."""

    prompt: str
    answer: str


class Recall(NamedTuple):
    """How well a model knows some facts.

    ``accuracy`` is the share of facts answered exactly, ``token_accuracy`` that of the answers' tokens, each after the
    right ones before it (of digits, where a digit is a token); ``loss`` is in nats per token of the answers.
    """

    accuracy: float
    token_accuracy: float
    loss: float
    facts: int


@dataclass(frozen=True)
class _Encoded:
    """Facts of nearly one length, padded on the right, which causal attention does not see."""

    tokens: Tensor  # (facts, T), int64
    answers: Tensor  # (facts, T), bool: which tokens are the answer's


def read_facts(path: Path) -> list[Fact]:
    """The facts of a .jsonl file in order; keys other than "prompt" and "answer" are ignored.

    Raises UserError naming every line that is no fact (at most 20), two answers to one prompt, and a file without any.
    """
    if not path.is_file():
        raise UserError(Problem("no file of facts there", str(path), _LINE))
    problems: list[Problem] = []
    answers: dict[str, str] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        found = _fact(line)
        if isinstance(found, str):
            problems.append(Problem(found, f"{path} line {number}", _LINE))
        elif answers.setdefault(found.prompt, found.answer) != found.answer:
            fix = "keep one of them: a prompt has one right answer"
            problems.append(Problem(f"another answer to {found.prompt!r}", f"{path} line {number}", fix))
    if problems:
        raise UserError(problems[:_MOST])
    if not answers:
        raise UserError(Problem("no facts in it", str(path), _LINE))
    return [Fact(prompt, answer) for prompt, answer in answers.items()]


class Facts:
    """The facts of some domains, ready to be asked of a model.

    ``paths`` maps a domain to its .jsonl, ``tokenizer`` is the corpus's tokenizer.json or a folder with one.
    Raises UserError naming every bad line, and every fact that the tokenizer cannot ask: where it joins the end of the
    prompt with the beginning of the answer, the model has never seen the prompt alone.
    """

    def __init__(self, paths: Mapping[str, Path], tokenizer: Path) -> None:
        loaded = load_tokenizer(tokenizer)
        problems: list[Problem] = []
        self._sets: dict[str, list[_Encoded]] = {}
        for domain, path in sorted(paths.items()):
            try:
                self._sets[domain] = list(_encode(read_facts(path), loaded, str(path)))
            except UserError as error:
                problems += error.problems
        if problems:
            raise UserError(problems)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that there are facts of, sorted."""
        return tuple(self._sets)

    def recall(self, model: CausalLM, domain: str, precision: str) -> Recall:
        """Ask the model all facts of a domain; it is left in the mode it was in."""
        training = model.training
        model.train(False)
        try:
            return _recall(model, self._sets[domain], precision)
        finally:
            model.train(training)

    def measure(self, model: CausalLM, precision: str, only: Collection[str] | None = None) -> list[dict[str, Any]]:
        """[{"eval_on": "facts/DOMAIN", "accuracy", "chance", "loss" in nats per token of the answers}, ...].

        ``only`` names the domains to ask (None: all). ``chance`` is 0: nobody guesses a long number.
        """
        found = {d: self.recall(model, d, precision) for d in self.domains if only is None or d in only}
        return [
            {"eval_on": f"facts/{d}", "accuracy": recall.accuracy, "chance": 0.0, "loss": recall.loss}
            for d, recall in found.items()
        ]


def _fact(line: bytes) -> Fact | str:
    """The fact of a line, or what is wrong with it."""
    try:
        value = json.loads(line)
    except ValueError as error:  # also bytes that are no UTF-8
        return f"not JSON ({error})"
    if not isinstance(value, dict):
        return "not a JSON object"
    for name in Fact._fields:
        if name not in value:
            return f"no {name!r}"
        if not isinstance(value[name], str) or not value[name]:
            return f"its {name!r} is {value[name]!r}, not a text"
    return Fact(value["prompt"], value["answer"])


def _encode(facts: Sequence[Fact], tokenizer: Any, where: str) -> Iterator[_Encoded]:
    """Batches of facts, the shortest first, so that there is little padding."""
    prompts = encode(tokenizer, [fact.prompt for fact in facts])
    wholes = encode(tokenizer, [fact.prompt + fact.answer for fact in facts])
    fix = "end the prompts where a token ends, as after a colon or a line end"
    problems = [
        Problem(f"the tokenizer cannot tell the prompt {fact.prompt!r} from its answer {fact.answer!r}", where, fix)
        for fact, prompt, whole in zip(facts, prompts, wholes, strict=True)
        if not 0 < len(prompt) < len(whole) or whole[: len(prompt)] != prompt
    ]
    if problems:
        raise UserError(problems[:_MOST])
    order = sorted(range(len(facts)), key=lambda i: len(wholes[i]))
    count = max(1, BATCH_TOKENS // len(wholes[order[-1]]))
    for start in range(0, len(order), count):
        batch = order[start : start + count]
        width = max(len(wholes[i]) for i in batch)
        tokens = torch.zeros((len(batch), width), dtype=torch.int64)
        answers = torch.zeros((len(batch), width), dtype=torch.bool)
        for row, i in enumerate(batch):
            tokens[row, : len(wholes[i])] = torch.tensor(wholes[i])
            answers[row, len(prompts[i]) : len(wholes[i])] = True
        yield _Encoded(tokens, answers)


@torch.inference_mode()
def _recall(model: CausalLM, batches: Sequence[_Encoded], precision: str) -> Recall:
    exact = right_tokens = tokens = facts = 0
    nats = 0.0
    for batch in batches:
        samples, answers = batch.tokens.to(model.device), batch.answers[:, 1:].to(model.device)
        hidden = hidden_states(model, samples[:, :-1], precision)  # (facts * (T - 1), hidden)
        wanted = samples[:, 1:][answers]
        right, loss = _compare(hidden[answers.reshape(-1)].float(), model.lm_head.weight, wanted)
        wrong = torch.zeros_like(answers)
        wrong[answers] = ~right
        exact += int((~wrong.any(1)).sum())
        right_tokens += int(right.sum())
        tokens, facts, nats = tokens + len(wanted), facts + len(samples), nats + loss
    return Recall(exact / facts, right_tokens / tokens, nats / tokens, facts)


def _compare(hidden: Tensor, head: Tensor, wanted: Tensor) -> tuple[Tensor, float]:
    """Whether each wanted token is the likeliest, (tokens,), and the sum of -ln P of them in float64."""
    rows = chunk_rows(len(head), hidden.device.type)
    likeliest, nats = [], torch.zeros((), dtype=torch.float64, device=hidden.device)
    for part, right in zip(torch.split(hidden, rows), torch.split(wanted, rows), strict=True):
        logits = part @ head.t()
        likeliest.append(logits.argmax(-1))
        nats += torch.nn.functional.cross_entropy(logits, right, reduction="none").sum(dtype=torch.float64)
    return torch.cat(likeliest) == wanted, float(nats)
