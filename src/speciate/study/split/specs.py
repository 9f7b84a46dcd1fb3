"""From a split study's config to its runs: seeds of several lengths, and an expert of every domain from each of them.

All of one model and trunk seed come from one trunk. A split spends C tokens as D + K D': whole optimizer steps, and
exactly C, because budgets are multiples of K steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speciate.corpus.tokens.shards import Corpus, read_manifest
from speciate.errors import Problem, UserError
from speciate.evaluation.identity import eval_hash
from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.runs.tree import Node
from speciate.storage import digest, file_digest
from speciate.study.config import ModelConfig
from speciate.study.specs import SEED_STRIDE, model_spec, planned_model
from speciate.study.split.config import SplitStudy

Weights = Mapping[str, float]  # of every domain, summing to 1


@dataclass(frozen=True)
class Option:
    """One way to spend a total: a seed of ``seed_tokens`` D, then ``expert_tokens`` D' for each of K experts.

    ``expert_tokens`` 0: never split. ``share``: the share of the total that was asked for the seed.
    """

    share: float
    seed_tokens: int
    expert_tokens: int


@dataclass(frozen=True)
class SplitRun:
    """A run of the study and what the ledger calls it: an expert of ``domain``, or the seed itself (None).

    ``seed_tokens`` is D: of a seed its own length. ``spec.name`` has the length in it and is unique; ``label`` has
    not: runs of several lengths are one run.
    """

    model: str
    seed_tokens: int
    domain: str | None
    seed: int
    trunk_seed: int
    spec: RunSpec

    @property
    def trunk(self) -> str:
        """The ledger's ``trunk``: the seed's run."""
        return f"{self.model}-t{self.trunk_seed}"

    @property
    def label(self) -> str:
        """The ledger's ``run``."""
        return self.trunk if self.domain is None else self._named(f"-{self.domain}")

    @property
    def mean(self) -> str:
        """The ledger's ``run`` of the mean over the K experts that this one belongs to."""
        return self._named("")

    def _named(self, domain: str) -> str:
        ending = f"-t{self.trunk_seed}" if self.trunk_seed else ""
        return f"{self.model}-d{self.seed_tokens}{domain}-s{self.seed}{ending}"


def domains_of(config: SplitStudy) -> tuple[str, ...]:
    """The names of the domains, as far as they are known before there is a corpus."""
    corpus = config.corpus
    if corpus.prepared is not None:
        return tuple(sorted(read_manifest(Path(corpus.prepared))["domains"]))
    if corpus.clusters is not None:
        return tuple(f"cluster-{index:02}" for index in range(corpus.clusters))
    return tuple(sorted(corpus.sources))


def domain_weights(config: SplitStudy, tokens: Mapping[str, int]) -> dict[str, float]:
    """The weight of every domain, summing to 1: as the study says, else by ``tokens``, those of its training text."""
    given = config.corpus.weights
    raw = {name: float(tokens[name] if given is None else given[name]) for name in sorted(tokens)}
    total = math.fsum(raw.values())
    return {name: weight / total for name, weight in raw.items()}


def allocate(config: SplitStudy, total: int, share: float, domains: int) -> Option:
    """``total`` tokens spent with about ``share`` of them on the seed: D + K D' is ``total``, in whole steps.

    >>> allocate(SplitStudy(), 983_040, 0.1, 6)
    Option(share=0.1, seed_tokens=98304, expert_tokens=147456)
    """
    block = domains * config.training.tokens_per_step
    expert = round((1 - share) * total / block) * config.training.tokens_per_step
    return Option(share, total - domains * expert, expert)


def pilot_options(config: SplitStudy, domains: int) -> dict[int, list[Option]]:
    """For every budget the allocations tried at it."""
    return {
        budget: [allocate(config, budget, share, domains) for share in config.split.shares]
        for budget in sorted(config.split.budgets)
    }


def base_run(config: SplitStudy, spec: ModelSpec, corpus_digest: str, trunk_seed: int) -> RunSpec:
    """What all runs of one model and trunk seed share, without any phase."""
    training = config.training
    return RunSpec(
        name="",
        model=spec,
        init_seed=config.seed * SEED_STRIDE + trunk_seed,
        phases=(),
        batch_sequences=training.batch_sequences,
        corpus_digest=corpus_digest,
        precision=training.precision,
        threads=config.compute.threads,
        beta1=training.beta1,
        beta2=training.beta2,
        weight_decay=training.weight_decay,
        grad_clip=training.grad_clip,
    )


def seed_phase(config: SplitStudy, weights: Weights, tokens: int, trunk_seed: int) -> Phase:
    """Training the seed on all domains."""
    return Phase(
        mixture=tuple(sorted(weights.items())),
        tokens=tokens,
        learning_rate=config.training.learning_rate,
        warmup_tokens=config.training.warmup_tokens,
        schedule=config.training.schedule,
        order_seed=config.seed * SEED_STRIDE + trunk_seed,
    )


def expert_phase(config: SplitStudy, domain: str, tokens: int, seed: int, *, scratch: bool) -> Phase:
    """Training a copy of the seed on its own domain; from initial weights (``scratch``) with the seed's warmup."""
    rates = config.training if scratch else config.split
    return Phase(
        mixture=((domain, 1.0),),
        tokens=tokens,
        learning_rate=rates.learning_rate,
        warmup_tokens=rates.warmup_tokens,
        schedule=config.training.schedule,
        reset_optimizer=config.split.reset_optimizer,
        order_seed=config.seed * SEED_STRIDE + seed,
    )


def seed_run(config: SplitStudy, base: RunSpec, weights: Weights, model: str, tokens: int, trunk_seed: int) -> SplitRun:
    """The seed trained for ``tokens``: where experts start, and what never splitting is."""
    run = SplitRun(model, tokens, None, trunk_seed, trunk_seed, base)
    spec = replace(base, name=f"{run.label}@{tokens}", phases=(seed_phase(config, weights, tokens, trunk_seed),))
    return replace(run, spec=spec)


def expert_run(
    config: SplitStudy, base: RunSpec, weights: Weights, model: str, domain: str, option: Option, seed: int, trunk: int
) -> SplitRun:
    """An expert of ``domain``: a copy of the seed of D tokens (0: its initial weights) trained for D' tokens."""
    run = SplitRun(model, option.seed_tokens, domain, seed, trunk, base)
    before = (seed_phase(config, weights, option.seed_tokens, trunk),) if option.seed_tokens else ()
    phases = (*before, expert_phase(config, domain, option.expert_tokens, seed, scratch=not before))
    return replace(run, spec=replace(base, name=f"{run.label}@{option.expert_tokens}", phases=phases))


def option_runs(
    config: SplitStudy,
    base: RunSpec,
    weights: Weights,
    model: str,
    options: Iterable[Option],
    trunk: int,
    seeds: Sequence[int] = (0,),
) -> list[SplitRun]:
    """Every run of some ways to spend a total: their seeds, and K experts of each that splits; none twice."""
    runs: dict[str, SplitRun] = {}
    for option in options:
        wanted = [seed_run(config, base, weights, model, option.seed_tokens, trunk)] if option.seed_tokens else []
        if option.expert_tokens:
            wanted += [
                expert_run(config, base, weights, model, domain, option, seed, trunk)
                for seed in seeds
                for domain in sorted(weights)
            ]
        for run in wanted:
            runs.setdefault(run.spec.name, run)
    return list(runs.values())


def pilot_runs(config: SplitStudy, weights: Weights, corpus_digest: str, vocab_size: int) -> list[SplitRun]:
    """Every pilot: models x trunk seeds x budgets x shares x domains, and the extra orders at the largest budget.

    The trunk is also saved where the options to be carried out will split, so that they need not train it again.
    """
    by_budget = pilot_options(config, len(weights))
    largest = max(by_budget)
    runs: list[SplitRun] = []
    for model in config.models:
        spec = model_spec(config, model, vocab_size)
        for trunk in config.trunk.seeds:
            base = base_run(config, spec, corpus_digest, trunk)
            for budget, options in by_budget.items():
                runs += option_runs(config, base, weights, model.name, options, trunk)
                for option in options if budget == largest else ():
                    extra = config.split.extra_seeds.get(option.share, [])
                    runs += option_runs(config, base, weights, model.name, [option], trunk, extra)
            if model is planned(config)[0] and trunk == config.trunk.seeds[0]:
                later = [tried.seed_tokens for tried in tried_options(config, len(weights))]
                saved = [tokens for tokens in later if 0 < tokens < largest]
                runs += [seed_run(config, base, weights, model.name, tokens, trunk) for tokens in saved]
    return list({run.spec.name: run for run in runs}.values())


def planned(config: SplitStudy) -> tuple[ModelConfig, ModelSpec]:
    """The model the plan is for: the named one, else the largest; its vocabulary is not looked at."""
    return planned_model(config, 1)


def tried_options(config: SplitStudy, domains: int) -> list[Option]:
    """The options carried out beside the planned one; none twice, never splitting always among them."""
    total = config.plan.total_tokens
    found = [allocate(config, total, share, domains) for share in sorted({*config.plan.options, 1.0})]
    return list({option.seed_tokens: option for option in found}.values())


def final_options(config: SplitStudy, chosen_seed_tokens: float, domains: int) -> list[Option]:
    """What a plan has carried out: the planned allocation first, then the options beside it."""
    total = config.plan.total_tokens
    chosen = allocate(config, total, chosen_seed_tokens / total, domains)
    beside = [option for option in tried_options(config, domains) if option.seed_tokens != chosen.seed_tokens]
    return [replace(chosen, share=chosen.seed_tokens / total), *beside]


def final_runs(
    config: SplitStudy, options: Iterable[Option], weights: Weights, corpus_digest: str, vocab_size: int
) -> list[SplitRun]:
    """The runs that carry options out, of the planned model, on the first trunk."""
    model, spec = planned_model(config, vocab_size)
    trunk = config.trunk.seeds[0]
    base = base_run(config, spec, corpus_digest, trunk)
    return option_runs(config, base, weights, model.name, options, trunk)


def evaluation_groups(weights: Weights) -> dict[str, dict[str, float]]:
    """Evaluation sets beside the domains' own: "mean" weighs them as the seed's mixture does."""
    return {"mean": dict(weights)}


def split_eval_hash(config: SplitStudy, corpus: Corpus, weights: Weights) -> str:
    """The ledger's ``eval_hash``: which held-out windows every loss of the study is measured on."""
    held_out = {domain: corpus.held_out[domain].sha256 for domain in corpus.domains}
    tokens_per_set, length = config.evaluation.tokens_per_set, config.training.sequence_length
    text = eval_hash(held_out, evaluation_groups(weights), tokens_per_set, length)
    facts = config.evaluation.facts
    return text if facts is None else digest({"text": text, "facts": _facts_digests(facts)})[:16]


def _facts_digests(facts: Mapping[str, str]) -> dict[str, str]:
    try:
        return {name: file_digest(Path(path)) for name, path in facts.items()}
    except OSError as error:
        fix = "give a .jsonl file of facts for each domain"
        raise UserError(Problem(f"cannot be read ({error.strerror})", str(error.filename), fix)) from None


def domain_of(node: Node) -> str | None:
    """The domain that a node's expert is trained on; None for a stretch of the trunk."""
    trained = [name for name, weight in node.phase.mixture if weight > 0]
    return trained[0] if len(trained) == 1 else None


def measured_tokens(config: SplitStudy, node: Node) -> list[int]:
    """Where a node is measured, within its phase: a log-spaced grid beyond its start, its end, and all that is needed.

    The grid is laid over the longest pilot and goes on at the same spacing beyond it, so that a longer run is measured
    at the same places. An expert is also measured wherever a budget is spent: at (C - D) / K of every budget C.
    """
    domains, step = len(domains_of(config)), config.training.tokens_per_step
    largest = max(config.split.budgets)
    expert = domain_of(node) is not None
    length = max(largest // domains if expert else largest, 3 * step)
    grid = set(log_grid(length // step, node.end_tokens // step, config.evaluation.points))
    seed = node.tokens_before_phase
    served = [(budget - seed) // domains for budget in config.split.budgets] if expert else []
    found = {steps * step for steps in grid} | {t for t in served if t % step == 0} | {node.end_tokens}
    return sorted(tokens for tokens in found if node.start_tokens < tokens <= node.end_tokens)


def log_grid(length: int, end: int, points: int) -> list[int]:
    """Log-spaced steps from 2 to ``length``, and on at the same spacing up to ``end``.

    >>> log_grid(64, 128, 6), log_grid(64, 8, 6)
    ([2, 4, 8, 16, 32, 64, 128], [2, 4, 8])
    """
    first, last = 2, max(3, length)
    growth = (last / first) ** (1 / (points - 1))
    beyond = max(0, math.ceil(math.log(max(end, last) / last, growth)))
    steps = {round(first * growth**i) for i in range(points + beyond)}
    return sorted(step for step in steps if step <= end)
