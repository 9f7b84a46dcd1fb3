"""From a study's config to the runs it needs: pilots before the plan, final runs after it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from speciate.corpus.tokens.shards import Corpus
from speciate.errors import Problem, UserError
from speciate.evaluation.identity import eval_hash
from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.runs.tree import Node
from speciate.storage import digest, file_digest
from speciate.study.config import ModelConfig, StudyConfig
from speciate.study.split.config import AnyStudy

CLOSEST = 0.03  # a neighbour nearer to the planned ratio than this would only repeat it
ROUTER_AUX_LOSS = 0.001
SEED_STRIDE = 1000  # study seed 1 must not replay the extra seeds of study seed 0


def model_spec(config: AnyStudy, model: ModelConfig, vocab_size: int) -> ModelSpec:
    """The architecture of one of the study's models; vocabulary and weights of a local checkpoint are its own."""
    spec = ModelSpec(
        architecture=model.architecture,
        hidden_size=model.hidden_size,
        layers=model.layers,
        heads=model.heads,
        kv_heads=model.kv_heads,
        intermediate_size=model.intermediate_size,
        vocab_size=vocab_size,
        sequence_length=config.training.sequence_length,
        experts=model.experts,
        experts_per_token=model.experts_per_token,
        expert_intermediate_size=model.expert_intermediate_size,
        router_aux_loss=router_weight(model),
    )
    if model.init_from is None:
        return spec
    folder = Path(model.init_from)
    found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if vocab_size > found["vocab_size"]:
        what = f"corpus.tokenizer has {vocab_size} entries, the checkpoint only {found['vocab_size']}"
        raise UserError(Problem(what, str(folder), "give the tokenizer that the checkpoint was trained with"))
    return replace(
        spec,
        vocab_size=found["vocab_size"],
        tie_embeddings=found.get("tie_word_embeddings", False),
        init_from=model.init_from,
        init_digest=_checkpoint_digest(folder),
    )


def router_weight(model: ModelConfig) -> float | None:
    """The weight of the load-balancing loss: None in a model without experts, transformers' own where none is given."""
    if model.architecture != "qwen2_moe":
        return model.router_aux_loss
    return ROUTER_AUX_LOSS if model.router_aux_loss is None else model.router_aux_loss


@lru_cache  # every stage asks, and hashing gigabytes takes a minute; a launch trains from what it found at its start
def _checkpoint_digest(folder: Path) -> str:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(Problem("no *.safetensors file", str(folder), "save the model with save_pretrained()"))
    return digest({path.name: file_digest(path) for path in (*files, folder / "config.json")})  # rope and norms count


@dataclass(frozen=True)
class StudyRun:
    """A continued run of the study and what the ledger calls it.

    ``spec.name`` has the horizon in it and is unique; ``label`` has not: the horizons of a run are one run.
    """

    model: str
    ratio: float
    seed: int
    trunk_seed: int
    spec: RunSpec

    @property
    def label(self) -> str:
        """The ledger's ``run``."""
        name = f"{self.model}-r{self.ratio:.3f}-s{self.seed}" + (f"-t{self.trunk_seed}" if self.trunk_seed else "")
        last = self.spec.phases[-1] if self.spec.phases else None  # under cosine every horizon is a run of its own
        return f"{name}-{last.tokens}" if last is not None and last.schedule == "cosine" else name

    @property
    def trunk(self) -> str:
        """The ledger's ``trunk``: the starting model."""
        return f"{self.model}-t{self.trunk_seed}"


def continued_run(
    config: StudyConfig, base: RunSpec, model: str, ratio: float, seed: int, trunk_seed: int, tokens: int
) -> StudyRun:
    """``base`` (a trunk, or no phase at all for a checkpoint) continued on a mixture for ``tokens``."""
    phase = Phase(
        mixture=config.mixture(ratio),
        tokens=tokens,
        learning_rate=config.pilot.learning_rate,
        warmup_tokens=config.pilot.warmup_tokens,
        schedule=config.training.schedule,
        reset_optimizer=config.pilot.reset_optimizer,
        order_seed=config.seed * SEED_STRIDE + seed,
    )
    run = StudyRun(model, ratio, seed, trunk_seed, replace(base, phases=(*base.phases, phase)))
    return replace(run, spec=replace(run.spec, name=f"{run.label}@{tokens}"))


def base_run(config: StudyConfig, model: ModelConfig, spec: ModelSpec, corpus_digest: str, trunk_seed: int) -> RunSpec:
    """The general pretraining that the continued runs of one model and trunk seed share."""
    training, seed = config.training, config.seed * SEED_STRIDE + trunk_seed
    trunk = Phase(
        mixture=config.mixture(0.0),
        tokens=config.trunk.tokens,
        learning_rate=training.learning_rate,
        warmup_tokens=training.warmup_tokens,
        schedule=training.schedule,
        order_seed=seed,
    )
    return RunSpec(
        name="",
        model=spec,
        init_seed=seed,
        phases=() if model.init_from is not None else (trunk,),
        batch_sequences=training.batch_sequences,
        corpus_digest=corpus_digest,
        precision=training.precision,
        threads=config.compute.threads,
        beta1=training.beta1,
        beta2=training.beta2,
        weight_decay=training.weight_decay,
        grad_clip=training.grad_clip,
    )


def pilot_runs(config: StudyConfig, corpus_digest: str, vocab_size: int) -> list[StudyRun]:
    """Every pilot: models x trunk seeds x ratios, and the extra seeds at their ratios."""
    runs = []
    for model in config.models:
        spec = model_spec(config, model, vocab_size)
        # a checkpoint is one starting model, whatever seeds a trunk would have had
        for trunk_seed in config.trunk.seeds if model.init_from is None else config.trunk.seeds[:1]:
            base = base_run(config, model, spec, corpus_digest, trunk_seed)
            for ratio in config.pilot.ratios:
                for seed in [0, *config.pilot.extra_seeds.get(ratio, [])]:
                    runs.append(continued_run(config, base, model.name, ratio, seed, trunk_seed, config.pilot.tokens))
    return runs


def planned_model(config: AnyStudy, vocab_size: int) -> tuple[ModelConfig, ModelSpec]:
    """The model the plan is for: the named one, else the largest."""
    pairs = [(model, model_spec(config, model, vocab_size)) for model in config.models]
    if config.plan.model is not None:
        return next(pair for pair in pairs if pair[0].name == config.plan.model)
    return max(pairs, key=lambda pair: pair[1].params)


def final_ratios(config: StudyConfig, planned: float) -> list[float]:
    """The planned ratio, then its nearest neighbours among the pilots' ratios on either side.

    >>> final_ratios(StudyConfig(), 0.6), final_ratios(StudyConfig(), 0.51)
    ([0.6, 0.5, 0.75], [0.51, 0.25, 0.75])
    """
    tried, count = sorted(config.pilot.ratios), config.plan.neighbours
    below = [ratio for ratio in tried if ratio <= planned - CLOSEST][::-1][:count]
    above = [ratio for ratio in tried if ratio >= planned + CLOSEST][:count]
    return [planned, *below, *above]


def final_runs(config: StudyConfig, planned: float, corpus_digest: str, vocab_size: int) -> list[StudyRun]:
    """The planned ratio and its neighbours, to the horizon.

    The planned ratio is a run nobody has seen: an order of the text of its own. The neighbours go on
    from where their pilots stopped, so the tree trains only what lies beyond.
    """
    model, spec = planned_model(config, vocab_size)
    trunk_seed = config.trunk.seeds[0]
    base = base_run(config, model, spec, corpus_digest, trunk_seed)
    fresh = 1 + max([0, *(seed for seeds in config.pilot.extra_seeds.values() for seed in seeds)])
    return [
        continued_run(
            config, base, model.name, ratio, fresh if ratio == planned else 0, trunk_seed, config.plan.horizon_tokens
        )
        for ratio in final_ratios(config, planned)
    ]


def evaluation_groups(config: StudyConfig) -> dict[str, dict[str, float]]:
    """Evaluation sets beside the domains' own: "general" is the general mixture's weighted mean."""
    return {"general": dict(config.mixture(0.0))}


def study_eval_hash(config: StudyConfig, corpus: Corpus) -> str:
    """The ledger's ``eval_hash``: which held-out windows every loss of the study is measured on."""
    held_out = {domain: corpus.held_out[domain].sha256 for domain in corpus.domains}
    tokens_per_set, length = config.evaluation.tokens_per_set, config.training.sequence_length
    return eval_hash(held_out, evaluation_groups(config), tokens_per_set, length)


def measured_tokens(config: StudyConfig, phase_tokens: int, *, continued: bool) -> list[int]:
    """Token counts within a phase at which every held-out set is measured: 0, log-spaced steps, the end.

    The grid is laid over the pilots (or the trunk) and goes on at the same spacing beyond, so that a
    run continued to a longer horizon measures at the same places as one trained in one piece.
    """
    step = config.training.tokens_per_step
    length = config.pilot.tokens if continued else config.trunk.tokens
    first, last = 2, max(3, length // step)
    growth = (last / first) ** (1 / (config.evaluation.points - 1))
    steps = {round(first * growth**i) for i in range(config.evaluation.points)}
    beyond = math.ceil(math.log(max(phase_tokens // step, last) / last, growth))
    steps |= {round(last * growth**i) for i in range(beyond)}
    return [0, *sorted(s * step for s in steps if s * step < phase_tokens), phase_tokens]


def is_continued(node: Node) -> bool:
    """Whether a node belongs to a continued run, not to the trunk before it."""
    return node.phase_index > 0 or node.spec.model.init_from is not None


def node_measured_tokens(config: StudyConfig, node: Node) -> list[int]:
    """Where a node is measured: the grid of its phase beyond its start, and the starting model of a continued run."""
    continued = is_continued(node)
    grid = measured_tokens(config, node.end_tokens, continued=continued)
    start_too = continued and node.start_tokens == 0
    return [tokens for tokens in grid if tokens > node.start_tokens or (tokens == 0 and start_too)]
