"""Rules between the fields of a study with ``decide: split``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speciate.specialists.folder import NAME
from speciate.study.checks import STEP_KEYS, Finding, evaluation, known_domains, listed, models, nearest, text
from speciate.study.split.config import SplitStudy
from speciate.study.split.held_out import window_tokens
from speciate.study.split.specs import allocate, domains_of

TAKEN = {
    "all": "what a seed is trained on",
    "mean": "the mean over domains",
    "base": "the unsplit model beside the experts",
    "auto": "the router's choice among the experts",
}
SHOWN = 8  # names in one sentence
DOMAIN_KEYS = ("corpus.sources", "corpus.clusters", "corpus.prepared")


def check_split(config: SplitStudy) -> Iterator[Finding]:
    """All rules between fields that a split study breaks; paths are taken as they stand."""
    yield from text(config.corpus)
    yield from _domains(config)
    yield from _prefix(config)
    yield from models(config)
    yield from _from_scratch(config)
    yield from evaluation(config)
    yield from _seeds(config)
    yield from _warmups(config)
    if config.corpus.clusters is not None or known_domains(config.corpus):
        yield from _totals(config, len(domains_of(config)))


def _domains(config: SplitStudy) -> Iterator[Finding]:
    corpus, known = config.corpus, known_domains(config.corpus)
    if corpus.clusters is not None and corpus.prepared is not None:
        fix = "leave out clusters: its domains are those that it was tokenised by"
        yield Finding("corpus.clusters", "a prepared corpus is not clustered again", fix, DOMAIN_KEYS[1:])
        return
    named = domains_of(config) if corpus.clusters is not None else known
    if len(named) == 1:
        fix = "give several sources, or ask for clusters"
        yield Finding("corpus.sources", "one domain only: there is nothing to split", fix, DOMAIN_KEYS)
    for name in sorted(TAKEN.keys() & set(named)):
        fix = "give the source another name"
        yield Finding(f"corpus.sources.{name}", f"the name {name} is taken: {TAKEN[name]}", fix, DOMAIN_KEYS)
    for name in named:
        if not NAME.fullmatch(name):
            fix = "begin it with a letter or a digit, and use at most 100 letters, digits, _ . and -"
            yield Finding(f"corpus.sources.{name}", f"an expert cannot be called {name}", fix, DOMAIN_KEYS)
    for section, names in (("corpus.weights", corpus.weights), ("evaluation.facts", config.evaluation.facts)):
        for name in names or ():
            if named and name not in named:
                hint = nearest(name, named)
                fix = f"did you mean {hint}?" if hint else f"use {listed(named[:SHOWN])}{' ...' * (len(named) > SHOWN)}"
                yield Finding(f"{section}.{name}", f"no domain is called {name}", fix, (section, *DOMAIN_KEYS))
    without = [name for name in named if corpus.weights is not None and name not in corpus.weights]
    if without:
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        fix = "give every domain one, or null: by training tokens"
        what = f"no weight for {listed(without[:SHOWN])}{more}"
        yield Finding("corpus.weights", what, fix, ("corpus.weights", *DOMAIN_KEYS))
    for name, path in (config.evaluation.facts or {}).items():
        if not Path(path).is_file():
            key = f"evaluation.facts.{name}"
            yield Finding(key, f"{path} does not exist", "give a .jsonl file of facts", (key,))


def _prefix(config: SplitStudy) -> Iterator[Finding]:
    prefix, window = config.corpus.prefix, window_tokens(config)
    if prefix >= window:
        what = f"windows of {window} tokens have nothing beyond the {prefix} that the router reads"
        fix = "use a smaller prefix (paper 001: 32), or a larger training.sequence_length"
        yield Finding("corpus.prefix", what, fix, ("corpus.prefix", "training.sequence_length"))


def _from_scratch(config: SplitStudy) -> Iterator[Finding]:
    for index, model in enumerate(config.models):
        if model.init_from is not None:
            key = f"models.{index}.init_from"
            fix = "leave it out: a split study trains its seeds itself, so that it knows their tokens"
            yield Finding(key, f"model {model.name} starts from a checkpoint", fix, (key,))


def _seeds(config: SplitStudy) -> Iterator[Finding]:
    split = config.split
    if len(set(config.trunk.seeds)) < len(config.trunk.seeds):
        fix = "give different seeds: equal ones are the same run"
        yield Finding("trunk.seeds", "a seed is given twice", fix, ("trunk.seeds",))
    for name, values in (("split.shares", split.shares), ("split.budgets", split.budgets)):
        if len(set(values)) < len(values):
            yield Finding(name, "a value is given twice", "name it once", (name,))
    for share, seeds in split.extra_seeds.items():
        key, reads = f"split.extra_seeds.{share:g}", ("split.extra_seeds", "split.shares")
        if share not in split.shares:
            yield Finding(key, f"{share:g} is not one of split.shares", f"use one of {listed(split.shares)}", reads)
        elif share == 1:
            fix = "give further trunk.seeds: never splitting has no experts to train again"
            yield Finding(key, "share 1 has no experts", fix, reads)
        if len({0, *seeds}) <= len(seeds):
            fix = "give different seeds above 0: equal ones are the same run, and 0 is the pilot itself"
            yield Finding(key, "a seed is given twice", fix, reads[:1])
    if len([share for share in split.shares if 0 < share < 1]) < 2:
        fix = "name two or more between 0 and 1: a law of the seed's length needs several"
        yield Finding("split.shares", "fewer than two seeds to split from", fix, ("split.shares",))


def _warmups(config: SplitStudy) -> Iterator[Finding]:
    if config.training.warmup_tokens > min(config.split.budgets):
        key, reads = "training.warmup_tokens", ("training.warmup_tokens", "split.budgets")
        what = f"a warmup of {config.training.warmup_tokens} tokens does not end within the smallest budget"
        yield Finding(key, what, "shorten it; a twentieth of the smallest budget is usual", reads)


def _totals(config: SplitStudy, domains: int) -> Iterator[Finding]:
    step = config.training.tokens_per_step
    block = domains * step
    largest, total = max(config.split.budgets), config.plan.total_tokens
    for index, budget in enumerate([*config.split.budgets, total]):
        plan = index == len(config.split.budgets)
        key = "plan.total_tokens" if plan else f"split.budgets.{index}"
        if budget % block:
            near = max(1, round(budget / block)) * block
            what = f"{budget} tokens are not a whole number of steps of {step} tokens for each of {domains} domains"
            yield Finding(key, what, f"the nearest is {near}", (key, *STEP_KEYS, *DOMAIN_KEYS))
        elif not plan:
            yield from _shares(config, key, budget, domains)
    if total <= largest:
        what = f"the total of {total} tokens is no more than the largest pilot budget ({largest})"
        fix = "plan for more tokens than the pilots have, or shorten them"
        yield Finding("plan.total_tokens", what, fix, ("plan.total_tokens", "split.budgets"))


def _shares(config: SplitStudy, key: str, budget: int, domains: int) -> Iterator[Finding]:
    """Shares that become the same allocation, and experts that never leave their warmup."""
    tried = [allocate(config, budget, share, domains) for share in config.split.shares]
    reads = (key, "split.shares", *STEP_KEYS, *DOMAIN_KEYS)
    if len({option.seed_tokens for option in tried}) < len(set(config.split.shares)):
        what = f"some shares are the same number of steps of {budget} tokens"
        yield Finding(key, what, "use a larger budget, fewer shares, or smaller steps", reads)
    shortest = min((option.expert_tokens for option in tried if option.expert_tokens), default=None)
    if shortest is not None and shortest < 2 * config.split.warmup_tokens:
        what = f"its shortest experts have {shortest} tokens, less than twice their warmup"
        yield Finding(key, what, "shorten split.warmup_tokens, or use a larger budget", ("split.warmup_tokens", *reads))
