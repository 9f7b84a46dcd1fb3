"""Every field of ``study.yaml``: its type, its default, and one sentence that says what it is.

The sentences are the only documentation of the fields: ``speciate init`` prints them as comments,
and an error about a field repeats its sentence as what to do. Bounds that concern one field are
here; rules between fields are in ``checks.py``; reading the file is in ``load.py``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from speciate.corpus.builtin import DOMAINS

GENERAL = ("docs_python", "docs_science", "docs_math", "docs_deep_learning")  # built-in prose about software


def _no_bool(value: Any) -> Any:
    # YAML reads yes, no, on, off as booleans, and pydantic would count them as 1 and 0.
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false (yes, no, on, off)")
    return value


def _weights(value: Any) -> Any:
    # A list of names is a mapping with equal weights. Names repeated stay wrong, said by the check.
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        if len(set(value)) < len(value):
            raise ValueError("a domain is named twice")
        return dict.fromkeys(value, 1.0)
    return value


Whole = Annotated[int, BeforeValidator(_no_bool), Field(le=10**15)]  # beyond, sums would leave 64 bits
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
Share = Annotated[Number, Field(gt=0, le=1)]
Weight = Annotated[Number, Field(ge=0)]
SmallSeed = Annotated[Whole, Field(ge=0, lt=1000)]  # below the distance between two studies' seeds (specs.SEED_STRIDE)


class Section(BaseModel):
    """A part of the study; frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TextConfig(Section):
    """Where text comes from, whatever is decided."""

    sources: dict[Name, str] = Field(
        default_factory=lambda: dict.fromkeys(DOMAINS, "builtin"),
        min_length=1,
        description="where each domain's text is: a folder, a .txt, .jsonl(.gz|.zst) or .parquet file, relative to "
        "this file; or builtin, for text that this Python installation holds",
    )
    cap_megabytes: Number = Field(5.0, gt=0, description="megabytes of text read from each source at most")
    held_out_share: Number = Field(
        0.05, gt=0, le=0.5, description="share of each domain's files kept for evaluation, never trained on"
    )
    vocabulary: Whole = Field(1024, ge=257, description="size of the byte-level BPE tokenizer trained on this text")
    tokenizer: str | None = Field(
        None, description="a Hugging Face tokenizer's folder or tokenizer.json to use instead of training one"
    )
    prepared: str | None = Field(
        None,
        description="a folder that speciate corpus tokenize wrote, whose domains are used instead of sources; "
        "null reads the sources",
    )


class CorpusConfig(TextConfig):
    """Which text there is, which of it is general, and which the specialisation."""

    general: Annotated[dict[Name, Weight], BeforeValidator(_weights)] = Field(
        default_factory=lambda: dict.fromkeys(GENERAL, 1.0),
        min_length=1,
        description="the general mixture: a weight for each domain, or a list of domains of equal weight",
    )
    domain: Name = Field("code_cpp", description="the domain to specialise in, one of the sources")


class ModelConfig(Section):
    """One model size, trained from scratch or continued from a local checkpoint."""

    name: Name = Field(description="the model's name in tables and figures")
    architecture: Literal["llama", "qwen2", "qwen2_moe"] = Field(
        "llama", description="llama, qwen2, or qwen2_moe (a mixture of experts: then the fields from experts on count)"
    )
    hidden_size: Whole = Field(64, ge=1, description="width of the residual stream, a multiple of heads")
    layers: Whole = Field(3, ge=1, description="transformer blocks")
    heads: Whole = Field(2, ge=1, description="attention heads")
    kv_heads: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="key and value heads, each shared by a group of attention heads; null is as many as heads"
    )
    intermediate_size: Whole = Field(
        160, ge=1, description="width of the MLP; of a mixture of experts, of the one that all tokens pass"
    )
    experts: Annotated[Whole, Field(ge=2)] | None = Field(
        None, description="experts in each layer of a qwen2_moe: MLPs of which a router chooses for every token"
    )
    experts_per_token: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="experts that a token is sent to, at most as many as there are"
    )
    expert_intermediate_size: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="width of each expert; experts_per_token of them and intermediate_size make up a dense MLP"
    )
    router_aux_loss: Annotated[Number, Field(ge=0)] | None = Field(
        None,
        description="weight of the load-balancing loss in the gradient of a qwen2_moe, never in a measured loss; "
        "null is .001",
    )
    init_from: str | None = Field(
        None,
        description="a local Hugging Face checkpoint to continue from; the sizes above are then read from it, "
        "no trunk is trained, and corpus.tokenizer must be its tokenizer",
    )


class TrainingConfig(Section):
    """What every run has in common."""

    sequence_length: Whole = Field(256, ge=8, description="tokens in one training sequence")
    batch_sequences: Whole = Field(32, ge=1, description="sequences in one optimizer step")
    precision: Literal["bfloat16", "float32"] = Field(
        "bfloat16", description="bfloat16 (autocast; weights and optimizer stay float32) or float32"
    )
    learning_rate: Number = Field(3e-3, gt=0, description="peak learning rate of AdamW in the trunk")
    warmup_tokens: Whole = Field(204_800, ge=0, description="tokens of linear warmup in the trunk")
    weight_decay: Number = Field(0.1, ge=0, description="decoupled weight decay of AdamW")
    beta1: Number = Field(0.9, ge=0, lt=1, description="decay of AdamW's first moment")
    beta2: Number = Field(0.95, ge=0, lt=1, description="decay of AdamW's second moment")
    grad_clip: Number = Field(1.0, gt=0, description="largest norm of the gradient")
    schedule: Literal["warmup-stable", "cosine"] = Field(
        "warmup-stable",
        description="warmup-stable (shorter runs are prefixes of longer ones) or cosine (every horizon is its own run)",
    )

    @property
    def tokens_per_step(self) -> int:
        """Tokens in one optimizer step; every token count is a multiple of it.

        >>> TrainingConfig().tokens_per_step
        8192
        """
        return self.batch_sequences * self.sequence_length


class TrunkConfig(Section):
    """The general pretraining that every continued run starts from."""

    tokens: Whole = Field(3_072_000, gt=0, description="tokens of general text; ignored for models with init_from")
    seeds: list[SmallSeed] = Field(
        [0], min_length=1, description="seeds of the trunk: initial weights and order of text"
    )


class PilotConfig(Section):
    """The cheap continued runs that the law is fitted on."""

    ratios: list[Share] = Field(
        [0.25, 0.5, 0.75, 0.9], min_length=1, description="shares of domain text in the continued runs' mixtures"
    )
    tokens: Whole = Field(1_228_800, gt=0, description="tokens of each continued run")
    extra_seeds: dict[Share, list[SmallSeed]] = Field(
        {0.5: [1]},
        description="further orders of the text, by ratio, from which intervals learn the noise; 0 is the pilots' own",
    )
    learning_rate: Number = Field(
        1e-3, gt=0, description="peak learning rate of the continued runs; a third of the trunk's is usual"
    )
    warmup_tokens: Whole = Field(40_960, ge=0, description="tokens of linear warmup of the continued runs")
    reset_optimizer: bool = Field(True, description="whether a continued run starts with a fresh optimizer state")


class PlanConfig(Section):
    """What is asked, and what is then carried out."""

    model: str | None = Field(None, description="the model to plan for; null is the largest")
    horizon_tokens: Whole = Field(
        1_843_200, gt=0, description="tokens of the run that is planned; more than any pilot has seen"
    )
    tolerance: Number = Field(0.05, gt=0, description="nats per token that the general loss may be above its start")
    level: Number = Field(0.9, ge=0.5, lt=1, description="coverage of the intervals")
    draws: Whole = Field(1000, ge=100, description="bootstrap draws behind the intervals")
    neighbours: Whole = Field(1, ge=0, description="ratios trained on either side of the planned one, to check it")


class EvaluationConfig(Section):
    """How loss is measured."""

    tokens_per_set: Whole = Field(8192, ge=1, description="held-out tokens of each domain, the same ones every time")
    points: Whole = Field(16, ge=2, description="measurements along each run, log-spaced in tokens")


class ComputeConfig(Section):
    """What the machine may be used for."""

    processes: Whole = Field(2, ge=1, description="runs trained side by side, each in a process of its own")
    threads: Whole = Field(1, ge=1, description="threads of each process")
    checkpoint_seconds: Number = Field(20, gt=0, description="seconds between checkpoints of a run")


class StudyConfig(Section):
    """A whole study: text, models, pilots, the question, and the machine."""

    decide: Literal["mixture"] = Field("mixture", description="the question: mixture (how much domain text) or split")
    name: str = Field("study", min_length=1, max_length=200, description="the title of the report")
    seed: Annotated[Whole, Field(ge=0, lt=10**6)] = Field(
        0, description="seed of initial weights, order of the text and draws; the split of the text is the same for all"
    )
    corpus: CorpusConfig = CorpusConfig()
    models: list[ModelConfig] = Field(
        default_factory=lambda: [
            ModelConfig(name="small", hidden_size=32, heads=2, intermediate_size=80),
            ModelConfig(name="medium"),
        ],
        min_length=1,
    )
    training: TrainingConfig = TrainingConfig()
    trunk: TrunkConfig = TrunkConfig()
    pilot: PilotConfig = PilotConfig()
    plan: PlanConfig = PlanConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    compute: ComputeConfig = ComputeConfig()

    def mixture(self, ratio: float) -> tuple[tuple[str, float], ...]:
        """The mixture with a share of domain text: (domain, weight) sorted by name, weights summing to 1.

        >>> StudyConfig().mixture(0.6)[:2]
        (('code_cpp', 0.6), ('docs_deep_learning', 0.1))
        """
        total = sum(self.corpus.general.values())
        weights = {name: (1 - ratio) * weight / total for name, weight in self.corpus.general.items()}
        weights[self.corpus.domain] = ratio
        return tuple(sorted((name, weight) for name, weight in weights.items() if weight > 0))
