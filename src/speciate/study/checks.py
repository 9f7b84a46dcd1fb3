"""Rules between the fields of a study. Rules about one field are its bounds in ``config.py``."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from speciate.corpus.builtin import DOMAINS
from speciate.corpus.prepared import prepared_domains
from speciate.errors import UserError
from speciate.runs.spec import EXPERT_FIELDS, ModelSpec
from speciate.study.config import ModelConfig, StudyConfig, TextConfig
from speciate.study.split.config import AnyStudy

STEP_KEYS = ("training.sequence_length", "training.batch_sequences")


@dataclass(frozen=True)
class Finding:
    """A rule that is broken at ``key``. It is void if one of the keys it ``reads`` is wrong by itself."""

    key: str
    what: str
    fix: str
    reads: tuple[str, ...]


def check(config: StudyConfig) -> Iterator[Finding]:
    """All rules between fields that a mixture study breaks; paths are taken as they stand."""
    yield from text(config.corpus)
    yield from _corpus(config)
    yield from models(config)
    yield from _tokens(config)
    yield from evaluation(config)
    yield from _ratios(config)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like ``name``, or None when none is.

    >>> nearest("tolerence", ["tolerance", "level"])
    'tolerance'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def text(corpus: TextConfig) -> Iterator[Finding]:
    """Whether all text that is named is there, each for one domain."""
    if corpus.prepared is not None:
        key = ("corpus.prepared",)
        try:
            prepared_domains(Path(corpus.prepared))
        except UserError as error:
            yield from (
                Finding(key[0], f"{problem.where}: {problem.what}", problem.fix, key) for problem in error.problems
            )
        if corpus.sources != TextConfig().sources:  # in resolved.yaml the default is written out
            fix = "leave out one of the two: prepared is used instead of sources"
            yield Finding("corpus.sources", "both sources and prepared are given", fix, ("corpus.sources", *key))
        if corpus.tokenizer is not None:
            fix = "leave out corpus.tokenizer, or give that one to speciate corpus tokenize"
            yield Finding("corpus.tokenizer", "a prepared corpus has its own", fix, ("corpus.tokenizer", *key))
        return
    yield from _sources(corpus)
    if corpus.tokenizer is not None and not Path(corpus.tokenizer).exists():
        fix = "give a Hugging Face tokenizer's folder or tokenizer.json, or null to train one"
        yield Finding("corpus.tokenizer", f"{corpus.tokenizer} does not exist", fix, ("corpus.tokenizer",))


def known_domains(corpus: TextConfig) -> tuple[str, ...]:
    """The names of the domains, sorted; none where they cannot be read."""
    if corpus.prepared is None:
        return tuple(sorted(corpus.sources))
    try:
        return prepared_domains(Path(corpus.prepared))
    except UserError:
        return ()


def _sources(corpus: TextConfig) -> Iterator[Finding]:
    for name, source in corpus.sources.items():
        key = f"corpus.sources.{name}"
        if source == "builtin" and name not in DOMAINS:
            hint = nearest(name, DOMAINS)
            fix = f"did you mean {hint}?" if hint else "give a path"
            yield Finding(key, f"no built-in text is called {name}", f"{fix} (built in: {listed(DOMAINS)})", (key,))
        elif source != "builtin" and not Path(source).exists():
            yield Finding(key, f"{source} does not exist", "give a folder or file, or builtin", (key,))
        others = [other for domain, other in corpus.sources.items() if domain != name and other != "builtin"]
        if source != "builtin" and any(Path(source).is_relative_to(other) for other in others):
            fix = "give every domain text of its own, outside the others' folders"
            yield Finding(key, f"{source} is the text of another domain too", fix, (key,))


def _corpus(config: StudyConfig) -> Iterator[Finding]:
    corpus, known = config.corpus, known_domains(config.corpus)
    if "general" in known:
        fix = "give the source another name: general is the mixture, and its evaluation set"
        yield Finding("corpus.sources.general", "the name general is taken", fix, ("corpus.sources.general",))
    reads = ("corpus.sources", "corpus.prepared", "corpus.general", "corpus.domain")
    named = [(f"corpus.general.{name}", name) for name in corpus.general] + [("corpus.domain", corpus.domain)]
    for key, name in named:
        if known and name not in known:
            hint = nearest(name, known)
            fix = f"did you mean {hint}?" if hint else "add it to corpus.sources"
            yield Finding(key, f"no source is called {name}", f"{fix} (sources: {listed(known)})", reads)
    if corpus.domain in corpus.general:
        what = f"{corpus.domain} is both general and the specialisation"
        fix = "take it out of corpus.general: the ratio would count it twice"
        yield Finding(f"corpus.general.{corpus.domain}", what, fix, reads[2:])
    if sum(corpus.general.values()) <= 0:
        yield Finding("corpus.general", "all weights are 0", "give one domain a positive weight", reads[2:3])


def models(config: AnyStudy) -> Iterator[Finding]:
    """Whether the models can be built and told apart."""
    names = [model.name for model in config.models]
    for index, model in enumerate(config.models):
        key = f"models.{index}"
        if model.name in names[:index]:
            fix = "give every model a name of its own"
            yield Finding(f"{key}.name", f"two models are called {model.name}", fix, ("models",))
        if model.hidden_size % (2 * model.heads):  # rotary embeddings turn pairs of channels
            below = model.hidden_size // (2 * model.heads) * 2 * model.heads
            what = f"hidden_size {model.hidden_size} is not a multiple of twice the heads {model.heads}"
            fix = f"use {' or '.join(str(size) for size in (below, below + 2 * model.heads) if size)}, or other heads"
            yield Finding(f"{key}.hidden_size", what, fix, (f"{key}.hidden_size", f"{key}.heads"))
        if model.kv_heads is not None and model.heads % model.kv_heads:
            what = f"heads {model.heads} is not a multiple of kv_heads {model.kv_heads}"
            fix = f"use a divisor of heads, for instance {math.gcd(model.heads, model.kv_heads)}, or null for as many"
            yield Finding(f"{key}.kv_heads", what, fix, (f"{key}.kv_heads", f"{key}.heads"))
        yield from _experts(model, key)
        if model.init_from is not None and config.corpus.tokenizer is None and config.corpus.prepared is None:
            what = f"model {model.name} starts from a checkpoint, but no tokenizer is given"
            fix = f"set corpus.tokenizer to the checkpoint's own, usually {model.init_from}"
            yield Finding("corpus.tokenizer", what, fix, ("corpus.tokenizer", f"{key}.init_from"))
    sizes = [_params(model) for model in config.models]
    for index, (model, params) in enumerate(zip(config.models, sizes, strict=True)):
        if params in sizes[:index]:
            what = f"{names[sizes.index(params)]} and {model.name} both have {params:,} parameters"
            fix = "give each a size of its own, or each a study of its own: a size is how the ledger tells models apart"
            yield Finding(f"models.{index}", what, fix, ("models",))
    if config.plan.model is not None and config.plan.model not in names:
        what = f"no model is called {config.plan.model}"
        yield Finding("plan.model", what, f"use one of {listed(names)}, or null", ("plan.model", "models"))


def _experts(model: ModelConfig, key: str) -> Iterator[Finding]:
    moe = model.architecture == "qwen2_moe"
    for name in EXPERT_FIELDS:
        value, reads = getattr(model, name), (f"{key}.architecture", f"{key}.{name}")
        if value is not None and not moe:
            fix = "use the architecture qwen2_moe, or leave it out"
            yield Finding(f"{key}.{name}", f"{name} is {value}, but a {model.architecture} has no experts", fix, reads)
        elif value is None and moe and model.init_from is None and name != "router_aux_loss":
            fix = "give it; Qwen1.5-MoE has 60 experts, 4 of them for each token, each a quarter of intermediate_size"
            yield Finding(f"{key}.{name}", f"{name} is missing: a qwen2_moe needs it", fix, reads)
    if model.experts is not None and (model.experts_per_token or 0) > model.experts:
        what = f"experts_per_token {model.experts_per_token} are more than the experts {model.experts}"
        reads = (f"{key}.experts", f"{key}.experts_per_token")
        yield Finding(f"{key}.experts_per_token", what, f"use at most {model.experts}", reads)


def _params(model: ModelConfig) -> int:
    """Non-embedding parameters, which depend on neither vocabulary nor sequence length."""
    sizes = (model.hidden_size, model.layers, model.heads, model.intermediate_size)
    shared = {name: getattr(model, name) for name in ("kv_heads", *EXPERT_FIELDS)}
    return ModelSpec(model.architecture, *sizes, vocab_size=1, sequence_length=8, **shared).params


def _tokens(config: StudyConfig) -> Iterator[Finding]:
    step = config.training.tokens_per_step
    counts = {"pilot.tokens": config.pilot.tokens, "plan.horizon_tokens": config.plan.horizon_tokens}
    if any(model.init_from is None for model in config.models):
        counts["trunk.tokens"] = config.trunk.tokens
    for key, tokens in counts.items():
        if tokens % step:
            near = max(1, round(tokens / step)) * step
            what = f"{tokens} tokens are not a whole number of optimizer steps of {step} tokens"
            yield Finding(key, what, f"the nearest is {near}", (key, *STEP_KEYS))
    if config.plan.horizon_tokens <= config.pilot.tokens:
        what = f"the horizon of {config.plan.horizon_tokens} tokens is no longer than a pilot ({config.pilot.tokens})"
        fix = "plan for more tokens than pilot.tokens, or shorten the pilots"
        yield Finding("plan.horizon_tokens", what, fix, ("plan.horizon_tokens", "pilot.tokens"))
    warmups = [
        ("training", config.training.warmup_tokens, "trunk.tokens"),
        ("pilot", config.pilot.warmup_tokens, "pilot.tokens"),
    ]
    for section, warmup, whole in warmups:
        if whole in counts and warmup > counts[whole]:
            key = f"{section}.warmup_tokens"
            what = f"a warmup of {warmup} tokens does not end within {whole} {counts[whole]}"
            yield Finding(key, what, "shorten it; a tenth of the run is usual", (key, whole))


def evaluation(config: AnyStudy) -> Iterator[Finding]:
    """Whether a held-out set is a sequence at least."""
    if config.evaluation.tokens_per_set < config.training.sequence_length:
        what = f"{config.evaluation.tokens_per_set} held-out tokens are less than one sequence"
        fix = f"use at least {config.training.sequence_length} (training.sequence_length)"
        yield Finding("evaluation.tokens_per_set", what, fix, ("evaluation.tokens_per_set", STEP_KEYS[0]))


def _ratios(config: StudyConfig) -> Iterator[Finding]:
    pilot = config.pilot
    if len({f"{ratio:.3f}" for ratio in pilot.ratios}) < len(pilot.ratios):  # a run's name has three decimals
        fix = "name it once; seeds of one ratio go to pilot.extra_seeds"
        yield Finding("pilot.ratios", "a ratio is given twice", fix, ("pilot.ratios",))
    for ratio, seeds in pilot.extra_seeds.items():
        key, reads = f"pilot.extra_seeds.{ratio:g}", ("pilot.extra_seeds", "pilot.ratios")
        if ratio not in pilot.ratios:
            yield Finding(key, f"{ratio:g} is not one of pilot.ratios", f"use one of {listed(pilot.ratios)}", reads)
        if len({0, *seeds}) <= len(seeds):
            fix = "give different seeds above 0: equal ones are the same run, and 0 is the pilot itself"
            yield Finding(key, "a seed is given twice", fix, reads[:1])
    if len(set(config.trunk.seeds)) < len(config.trunk.seeds):
        fix = "give different seeds: equal ones are the same run"
        yield Finding("trunk.seeds", "a seed is given twice", fix, ("trunk.seeds",))


def listed(names: Iterable[object]) -> str:
    """Names for a person."""
    return ", ".join(str(name) for name in names)
