"""A folder of specialists as one thing that is loaded, asked, and measured."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from speciate.errors import Problem, UserError
from speciate.specialists.folder import Entry, Manifest, read_folder
from speciate.specialists.generate import Asked, Generation, Sampling, Stream, generate
from speciate.specialists.loading import load_common_tokenizer, load_model, memory_bytes, usable_device
from speciate.specialists.losses import HOWS, LogLikelihood, Losses, Text, after_prefix, measure, score
from speciate.specialists.memory import Memory
from speciate.specialists.routing import ExpertRouter, Route, check_texts, chosen_names, load_expert_router, unknown
from speciate.training.model import device as first_device

BASE = "base"
logger = logging.getLogger(__name__)


class Specialists:
    """Experts of one folder behind their router; made by ``load``. Any number of threads may use it at once.

    An expert is read, and its SHA-256 checked, when it is first needed; a damaged one is a UserError that names the
    file, then and only then, and the others go on. Wherever an expert may be named, ``base`` is the unsplit model if
    the folder has one.
    """

    def __init__(
        self, manifest: Manifest, names: Sequence[str], memory_bytes_limit: float | None, device: torch.device,
        dtype: torch.dtype | None,
    ) -> None:  # fmt: skip
        self.manifest, self.names = manifest, tuple(names)
        self._entries: dict[str, Entry] = {e.name: e for e in manifest.experts if e.name in self.names}
        if manifest.base is not None:
            self._entries[BASE] = manifest.base
        self.tokenizer, self._end = load_common_tokenizer(manifest)
        self._router: ExpertRouter = load_expert_router(manifest, self.names)
        self._memory: Memory[Any] = Memory(
            memory_bytes_limit,
            lambda name: load_model(manifest.root, self._entries[name], device, dtype),
            lambda name: memory_bytes(manifest.root, self._entries[name], dtype),
        )

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        memory_bytes: float | None = None,
        experts: Sequence[str] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Specialists:
        """Open a folder that ``build_specialists`` wrote; no expert is read yet.

        ``memory_bytes`` limits the weights in memory: the least recently used expert goes when another needs its room,
        and one that is larger than the limit is loaded alone. ``experts``: only these are routed to (``most_routed``
        finds those that a task needs). ``device``: the first CUDA device if there is one; ``dtype``: as saved.

        Raises UserError for a folder of something else, unknown experts, and a damaged router or tokenizer.
        """
        manifest = read_folder(Path(folder))
        names = chosen_names(manifest, [experts] if isinstance(experts, str) else experts)
        if memory_bytes is not None and not memory_bytes > 0:
            raise UserError(Problem(f"a limit of {memory_bytes} bytes", "memory_bytes", "give more than 0, or None"))
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise UserError(Problem(f"a dtype {dtype!r}", "dtype", "give one of torch's, as torch.bfloat16, or None"))
        return cls(manifest, names, memory_bytes, usable_device(device) if device else first_device(), dtype)

    @property
    def card(self) -> str:
        """The folder's README.md."""
        file = self.manifest.root / "README.md"
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    @property
    def about(self) -> dict[str, Any]:
        """What the folder tells of where it comes from."""
        return dict(self.manifest.about)

    @property
    def prefix_tokens(self) -> int:
        """Tokens of a text that the router reads."""
        return self.manifest.prefix_tokens

    @property
    def sequence_length(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self.manifest.sequence_length

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names in memory, the least recently used first."""
        return self._memory.loaded

    @property
    def loaded_bytes(self) -> int:
        """Of the weights in memory and of those being loaded."""
        return self._memory.bytes

    def route(self, texts: Sequence[str]) -> list[Route]:
        """The expert of each text by its first tokens, and the probability of every expert."""
        if isinstance(texts, str):
            raise UserError(Problem("one text where texts are wanted", "route", "give a list: route([text])"))
        return self._router.route([*texts])

    def count_tokens(self, text: str) -> int:
        """Tokens of a text as the experts read it."""
        return len(self.tokenizer.encode(text).ids)

    def generate(
        self,
        prompt: str,
        *,
        expert: str | None = None,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Generation:
        """Go on with a prompt, by the expert it is routed to or the one that is named.

        ``temperature`` 0 takes the likeliest token, else tokens are drawn, by ``seed`` alike each time. The text ends
        before the first of the ``stop`` strings, and at the latest where the model's sequence is full.
        Raises UserError for a prompt that leaves no room for a token, and what ``Sampling`` refuses.
        """
        asked = self._asked(prompt, expert, Sampling(max_new_tokens, temperature, top_p, seed, _strings(stop)))
        with self._memory.use(asked.expert) as held, held.busy:
            return generate(held.model, asked)

    def stream(
        self,
        prompt: str,
        *,
        expert: str | None = None,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Stream:
        """As ``generate``, in pieces as they come; joined they are its text.

        The expert is loaded when this returns, so what is wrong with it or the prompt is raised here.
        """
        asked = self._asked(prompt, expert, Sampling(max_new_tokens, temperature, top_p, seed, _strings(stop)))
        memory, held = self._memory, self._memory.take(asked.expert)

        def run(tell: Any, cancelled: Any) -> Generation:
            try:
                with held.busy:
                    return generate(held.model, asked, tell, cancelled)
            finally:
                memory.give_back(held)

        try:
            return Stream(asked.expert, run)
        except BaseException:  # no more threads on this machine
            memory.give_back(held)
            raise

    def loss(self, texts: Sequence[str], how: str = "routed", domains: Sequence[str] | None = None) -> Losses:
        """Mean nats per token of texts after the router's prefix.

        ``how``: ``routed`` by the expert of each text's prefix; ``oracle`` by the expert of each text's own domain
        (``domains``); ``best`` by whichever expert is best on the text; ``ensemble`` by the mean of the experts'
        probabilities, token by token; ``base`` by the unsplit model. ``losses`` gives all at the price of two.
        """
        return self._losses(texts, (how,), domains)[how]

    def losses(self, texts: Sequence[str], domains: Sequence[str] | None = None) -> dict[str, Losses]:
        """``loss`` in every way that is possible: ``oracle`` needs domains, ``base`` an unsplit model."""
        possible = {"oracle": domains is not None, BASE: BASE in self._entries}
        return self._losses(texts, tuple(how for how in HOWS if possible.get(how, True)), domains)

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]], expert: str | None = None) -> list[LogLikelihood]:
        """ln P of each continuation after its context, by the expert of the context or the one that is named.

        Spaces at the end of a context count to the continuation, as tokens begin with theirs. A context is cut at its
        beginning where both do not fit into the model's sequence.
        Raises UserError for a continuation that is empty or does not fit by itself.
        """
        texts = [self._continuation(context, continuation, at) for at, (context, continuation) in enumerate(pairs)]
        chosen = [self._named(expert)] * len(pairs) if expert is not None else [
            route.expert for route in self.route([context for context, _ in pairs])
        ]  # fmt: skip
        found: list[LogLikelihood | None] = [None] * len(pairs)
        for name in dict.fromkeys(chosen):
            mine = [at for at, each in enumerate(chosen) if each == name]
            with self._model(name) as model:
                values, greedy = score(model, [texts[at] for at in mine], self.sequence_length)
            for at, value, sure in zip(mine, values, greedy, strict=True):
                found[at] = LogLikelihood(float(value.sum()), sure, len(value), name)
        return [each for each in found if each is not None]

    def _asked(self, prompt: str, expert: str | None, sampling: Sampling) -> Asked:
        check_texts([prompt])
        name = self.route([prompt])[0].expert if expert is None else self._named(expert)
        ids = self.tokenizer.encode(prompt).ids or [self._end]
        room = self.sequence_length - len(ids)
        if room < 1:
            what = f"a prompt of {len(ids):,} tokens, of {self.sequence_length:,} that prompt and answer may have"
            raise UserError(Problem(what, "the prompt", f"give one of at most {self.sequence_length - 1:,} tokens"))
        return Asked(name, ids, room, sampling, self.tokenizer.decode, self._end)

    def _losses(self, texts: Sequence[str], hows: Sequence[str], domains: Sequence[str] | None) -> dict[str, Losses]:
        problems = [Problem(f"a loss {h!r}", "how", f"use one of {', '.join(HOWS)}") for h in hows if h not in HOWS]
        if BASE in hows and BASE not in self._entries:
            problems.append(Problem("no unsplit model in this folder", "how", "use another, or build it with a base"))
        if "oracle" in hows:
            problems += self._domain_problems(texts, domains)
        if problems:
            raise UserError(problems)
        scored = [after_prefix(self.tokenizer, text, self.prefix_tokens) for text in texts]
        if not any(text.scored for text in scored):
            what = f"no text goes beyond the {self.prefix_tokens} tokens that the router reads"
            raise UserError(Problem(what, "texts", "give longer texts"))
        plans: dict[str, list[str]] = {}
        if "routed" in hows:
            plans["routed"] = [route.expert for route in self.route(texts)]
        if "oracle" in hows:
            plans["oracle"] = [self._of_domain[domain] for domain in domains or ()]
        if BASE in hows:
            plans[BASE] = [BASE] * len(texts)
        mixed = self.names if {"best", "ensemble"} & set(hows) else ()
        found = measure(scored, plans, mixed, self._model, self.sequence_length)
        return {how: found[how] for how in HOWS if how in hows}

    @property
    def _of_domain(self) -> dict[str, str]:
        """Expert by its domain, and by its own name."""
        return {e.domain: name for name, e in self._entries.items() if e.domain and name in self.names} | {
            name: name for name in self.names
        }

    def _domain_problems(self, texts: Sequence[str], domains: Sequence[str] | None) -> list[Problem]:
        if domains is None or len(domains) != len(texts):
            what = "no domains" if domains is None else f"{len(domains):,} domains for {len(texts):,} texts"
            return [Problem(what, "domains", "give the domain of each text: the oracle sends it to that one's expert")]
        known = self._of_domain
        return [
            Problem(f"no expert of domain {domain!r}", "domains", f"use some of {', '.join(known)}")
            for domain in dict.fromkeys(domains)
            if domain not in known
        ]

    def _continuation(self, context: str, continuation: str, at: int) -> Text:
        """The ids of both, scored from the continuation on."""
        spaces = len(context) - len(context.rstrip())
        if spaces:
            context, continuation = context[:-spaces], context[-spaces:] + continuation
        before = self.tokenizer.encode(context).ids if context else []
        after = self.tokenizer.encode(context + continuation).ids[len(before) :]
        before = before or [self._end]
        room = self.sequence_length + 1 - len(after)
        if not after or room < 1:
            what = "an empty continuation" if not after else f"a continuation of {len(after):,} tokens"
            fix = f"give one of 1 to {self.sequence_length:,} tokens"
            raise UserError(Problem(what, f"pair {at}", fix))
        if room < len(before):
            logger.warning("pair %d: the first %d tokens of its context are left out", at, len(before) - room)
        before = before[-room:]
        return Text([*before, *after], len(before))

    @contextmanager
    def _model(self, name: str) -> Iterator[Any]:
        with self._memory.use(name) as held, held.busy:
            yield held.model

    def _named(self, expert: str) -> str:
        if expert not in self._entries:
            raise UserError(unknown(expert, tuple(self._entries)))
        return expert


def _strings(stop: Sequence[str]) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop)
