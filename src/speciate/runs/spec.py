"""What a run is, as plain data: everything that affects its weights, and nothing else."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from speciate.errors import Problem

ARCHITECTURES = ("llama", "qwen2", "qwen2_moe")
EXPERT_FIELDS = ("experts", "experts_per_token", "expert_intermediate_size", "router_aux_loss")  # of a ModelSpec
SCHEDULES = ("warmup-stable", "cosine")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class ModelSpec:
    """A causal language model built from a config, or started from a checkpoint.

    ``init_from`` is a local Hugging Face folder (then ``init_digest`` is the hash of its weights);
    otherwise weights are drawn from ``RunSpec.init_seed``. ``kv_heads`` below ``heads`` is grouped-query attention:
    each key and value head serves ``heads / kv_heads`` attention heads; None is as many as ``heads``.

    "qwen2_moe" (Qwen1.5-MoE; paper 001, appendix N) has in each layer ``experts`` MLPs of ``expert_intermediate_size``,
    of which a router sends every token to ``experts_per_token``, beside one MLP of ``intermediate_size`` that all
    tokens pass. ``router_aux_loss`` weighs the load-balancing loss (Switch Transformer, Fedus et al. 2021, eq. 4) in
    the gradient. The four are None in the other architectures.
    """

    architecture: str  # one of ARCHITECTURES
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    vocab_size: int
    sequence_length: int
    tie_embeddings: bool = True
    init_from: str | None = None
    init_digest: str | None = None
    kv_heads: int | None = None
    experts: int | None = None
    experts_per_token: int | None = None
    expert_intermediate_size: int | None = None
    router_aux_loss: float | None = None

    @property
    def key_heads(self) -> int:
        """Key and value heads, as a number."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def params(self) -> int:
        """Non-embedding trainable parameters N (attention and MLP matrices, their biases, norms), all experts.

        >>> ModelSpec("llama", 64, 3, 4, 160, 1024, 256).params
        141760
        >>> ModelSpec("llama", 64, 3, 4, 160, 1024, 256, kv_heads=1).params  # 3 x 2 x 64 x 48 fewer
        123328
        """
        return self._params(self.experts or 0)

    @property
    def active_params(self) -> int:
        """Of ``params``, those that one token passes through: all but the experts that it is not sent to.

        >>> sizes = dict(experts=8, experts_per_token=2, expert_intermediate_size=40, router_aux_loss=0.001)
        >>> moe = ModelSpec("qwen2_moe", 64, 3, 4, 160, 1024, 256, **sizes)
        >>> moe.params - moe.active_params  # 3 layers x 6 idle experts x 3 x 64 x 40
        138240
        """
        return self._params(self.experts_per_token or 0)

    def _params(self, experts: int) -> int:
        hidden, inner = self.hidden_size, self.intermediate_size
        keys = hidden // self.heads * self.key_heads  # width of all keys, and of all values
        biases = 0 if self.architecture == "llama" else hidden + 2 * keys
        per_layer = 2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner + 2 * hidden + biases
        if self.experts is not None:  # and the router, and the gate of the MLP that all tokens pass
            per_layer += experts * 3 * hidden * (self.expert_intermediate_size or 0) + hidden * self.experts + hidden
        return self.layers * per_layer + hidden


@dataclass(frozen=True)
class Phase:
    """One stage of training: a mixture, for a number of tokens, under one learning-rate history.

    ``mixture`` holds (corpus domain, weight) sorted by domain, weights summing to 1.
    ``schedule`` "warmup-stable" does not depend on ``tokens``, so shorter runs are prefixes of
    longer ones; "cosine" decays to zero at ``tokens``, so it shares nothing within the phase.
    ``order_seed`` shuffles the part of the text that earlier phases have not read yet.
    """

    mixture: tuple[tuple[str, float], ...]
    tokens: int
    learning_rate: float
    warmup_tokens: int = 0
    schedule: str = "warmup-stable"
    reset_optimizer: bool = True
    order_seed: int = 0


@dataclass(frozen=True)
class RunSpec:
    """One run, from initial weights through its phases to its last token.

    ``corpus_digest`` is the hash of the token shards' manifest: other text is another run.
    ``precision`` is "float32" or "bfloat16" (autocast; weights and optimizer stay float32).
    """

    name: str
    model: ModelSpec
    init_seed: int
    phases: tuple[Phase, ...]
    batch_sequences: int
    corpus_digest: str
    precision: str = "bfloat16"
    threads: int = 1
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.1
    grad_clip: float = 1.0

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step; every length of training is a multiple of it."""
        return self.batch_sequences * self.model.sequence_length

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> RunSpec:
        """The inverse of ``to_json``, after a trip through JSON (lists become tuples again)."""
        phases = tuple(
            Phase(**{**phase, "mixture": tuple((str(d), float(w)) for d, w in phase["mixture"])})
            for phase in value["phases"]
        )
        return RunSpec(**{**value, "model": ModelSpec(**value["model"]), "phases": phases})


def spec_problems(spec: RunSpec) -> list[Problem]:
    """Everything about a run that cannot be trained, in words; empty when all is well.

    >>> from dataclasses import replace
    >>> run = RunSpec("r", ModelSpec("llama", 64, 2, 4, 160, 256, 64), 0, (Phase((("a", 1.0),), 300, 1e-3),), 4, "")
    >>> [str(problem) for problem in spec_problems(run)]
    ['run r, phase 1: 300 tokens is no multiple of 256 (4 sequences of 64); use 256 or 512']
    """
    where = f"run {spec.name}"
    problems = [] if spec.phases else [Problem("it has no phases", where, "give it at least one")]
    if spec.precision not in PRECISIONS:
        problems.append(Problem(f"precision is {spec.precision!r}", where, f"use one of {', '.join(PRECISIONS)}"))
    problems += _model_problems(spec.model, where)
    if spec.tokens_per_step < 1:
        fix = "both must be at least 1"
        what = f"{spec.batch_sequences} sequences of {spec.model.sequence_length} tokens per step"
        return [*problems, Problem(what, where, fix)]
    for number, phase in enumerate(spec.phases, start=1):
        problems += _phase_problems(spec, phase, f"{where}, phase {number}")
    return problems


def _model_problems(model: ModelSpec, where: str) -> list[Problem]:
    problems = []
    if model.architecture not in ARCHITECTURES:
        fix = f"use one of {', '.join(ARCHITECTURES)}"
        problems.append(Problem(f"architecture is {model.architecture!r}", where, fix))
    if model.heads < 1 or model.hidden_size % (2 * model.heads):
        fix = "use a hidden size that is a multiple of twice the heads (rotary embeddings pair their channels)"
        problems.append(Problem(f"hidden_size {model.hidden_size} over {model.heads} heads", where, fix))
    if model.kv_heads is not None and (model.kv_heads < 1 or model.heads % model.kv_heads):
        fix = "use kv_heads that divide heads, or None for as many"
        problems.append(Problem(f"{model.heads} heads share {model.kv_heads} kv_heads", where, fix))
    problems += _expert_problems(model, where)
    if model.init_from is not None and model.init_digest is None:
        fix = "give init_digest, the hash of its weights"
        problems.append(Problem(f"starts from {model.init_from}, whose weights are not identified", where, fix))
    return problems


def _expert_problems(model: ModelSpec, where: str) -> list[Problem]:
    named = {name: getattr(model, name) for name in EXPERT_FIELDS}
    if model.architecture != "qwen2_moe":
        given = [name for name, value in named.items() if value is not None]
        fix = "use the architecture qwen2_moe, or leave them out"
        return [Problem(f"{model.architecture} has no {', '.join(given)}", where, fix)] if given else []
    missing = [name for name, value in named.items() if value is None]
    if missing:
        return [Problem(f"a mixture of experts without {', '.join(missing)}", where, "give them")]
    problems = []
    experts, active, width, balance = named.values()
    if experts < 2 or not 1 <= active <= experts or width < 1:
        what = f"{active} of {experts} experts of width {width}"
        problems.append(Problem(what, where, "use at least 2 experts, and 1 to all of them per token"))
    if not (math.isfinite(balance) and balance >= 0):
        problems.append(Problem(f"router_aux_loss is {balance}", where, "use 0 or a positive number; .001 is usual"))
    return problems


def _phase_problems(spec: RunSpec, phase: Phase, where: str) -> list[Problem]:
    problems = []
    step = spec.tokens_per_step
    if phase.tokens < 1 or phase.tokens % step:
        below = max(phase.tokens // step, 0) * step
        what = f"{phase.tokens} tokens is no multiple of {step}" if phase.tokens > 0 else f"{phase.tokens} tokens"
        fix = f"use {below} or {below + step}" if below else f"use {step} or a multiple of it"
        problems.append(
            Problem(f"{what} ({spec.batch_sequences} sequences of {spec.model.sequence_length})", where, fix)
        )
    if phase.schedule not in SCHEDULES:
        problems.append(Problem(f"schedule is {phase.schedule!r}", where, f"use one of {', '.join(SCHEDULES)}"))
    if not (math.isfinite(phase.learning_rate) and phase.learning_rate > 0):
        problems.append(Problem(f"learning_rate is {phase.learning_rate}", where, "use a positive number"))
    if phase.warmup_tokens < 0:
        problems.append(Problem(f"warmup_tokens is {phase.warmup_tokens}", where, "use 0 or more"))
    weights = [weight for _, weight in phase.mixture]
    domains = [domain for domain, _ in phase.mixture]
    if not all(0 <= weight <= 1 for weight in weights) or not math.isclose(sum(weights), 1, abs_tol=1e-9):
        problems.append(Problem(f"mixture weights {weights}", where, "use shares between 0 and 1 that sum to 1"))
    if domains != sorted(set(domains)):
        problems.append(Problem(f"mixture domains {domains}", where, "name each domain once, in sorted order"))
    return problems
