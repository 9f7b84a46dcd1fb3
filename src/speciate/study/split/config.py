"""Every field of a ``study.yaml`` with ``decide: split``: what it shares with other studies is in ``study/config.py``.

The sentences are the documentation of the fields, as there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from speciate.study.config import (
    ComputeConfig,
    EvaluationConfig,
    ModelConfig,
    Name,
    Number,
    Section,
    SmallSeed,
    StudyConfig,
    TextConfig,
    TrainingConfig,
    Whole,
)

SplitShare = Annotated[Number, Field(ge=0, le=1)]
Above0 = Annotated[Number, Field(gt=0)]


class SplitCorpus(TextConfig):
    """Which text there is, and what its domains are."""

    clusters: Annotated[Whole, Field(ge=2, le=1000)] | None = Field(
        None, description="number of clusters to find in all the text together; null: every source is a domain"
    )
    weights: dict[Name, Above0] | None = Field(
        None,
        description="weight of each domain in the seed's mixture and in the mean loss; null: by its training tokens",
    )
    prefix: Whole = Field(32, ge=1, description="tokens at the start of a document that the router reads")


class SplitTraining(TrainingConfig):
    """What every run has in common."""

    batch_sequences: Whole = Field(8, ge=1, description="sequences in one optimizer step")
    learning_rate: Number = Field(3e-3, gt=0, description="peak learning rate of AdamW in the seed")
    warmup_tokens: Whole = Field(49_152, ge=0, description="tokens of linear warmup in the seed")
    schedule: Literal["warmup-stable"] = Field(
        "warmup-stable", description="warmup-stable: a seed saved at several token counts needs a constant rate"
    )


class SplitConfig(Section):
    """The cheap runs that the law is fitted on: seeds, and a copy of each for every domain."""

    budgets: list[Annotated[Whole, Field(gt=0)]] = Field(
        [983_040, 1_966_080],
        min_length=1,
        description="total tokens D + K D' of a seed and its K experts; every share is tried at every budget",
    )
    shares: list[SplitShare] = Field(
        [0, 0.1, 0.25, 0.5, 0.75, 1],
        min_length=1,
        description="shares of a budget that the seed gets: 1 never splits, 0 trains K models from scratch",
    )
    extra_seeds: dict[SplitShare, list[SmallSeed]] = Field(
        {0.5: [1]},
        description="further orders of the text for the experts of a share at the largest budget, from which "
        "intervals learn the noise; 0 is the pilots' own",
    )
    learning_rate: Number = Field(
        3e-3,
        gt=0,
        description="learning rate of the experts, constant after its warmup; of models from scratch it is training's",
    )
    warmup_tokens: Whole = Field(8192, ge=0, description="tokens of linear warmup of the experts")
    reset_optimizer: bool = Field(True, description="whether an expert starts with a fresh optimizer state")


class SplitTrunk(Section):
    """The seed: one model of each size trained on all domains, saved wherever experts start."""

    seeds: list[SmallSeed] = Field([0], min_length=1, description="seeds of initial weights and order of the text")


class SplitPlan(Section):
    """What is asked, and what is then carried out."""

    model: str | None = Field(None, description="the model to plan for; null is the largest")
    total_tokens: Whole = Field(
        2_949_120, gt=0, description="total tokens of a seed and all experts to plan for; more than any pilot budget"
    )
    level: Number = Field(0.9, ge=0.5, lt=1, description="coverage of the intervals")
    draws: Whole = Field(1000, ge=100, description="bootstrap draws behind the intervals")
    options: list[SplitShare] = Field(
        [0, 0.25, 0.5, 0.75, 1], description="shares for the seed carried out beside the planned one, to check it"
    )


class SplitEvaluation(EvaluationConfig):
    """How loss is measured."""

    facts: dict[Name, str] | None = Field(
        None, description="for each domain a .jsonl of facts whose exact recall is measured too; null: none"
    )


class SplitStudy(Section):
    """A whole study: text, models, pilots, the question, and the machine."""

    decide: Literal["split"] = Field("split", description="the question: split (one model, or a seed and K experts)")
    name: str = Field("study", min_length=1, max_length=200, description="the title of the report")
    seed: Annotated[Whole, Field(ge=0, lt=10**6)] = Field(
        0, description="seed of initial weights, order of the text and draws; the split of the text is the same for all"
    )
    corpus: SplitCorpus = SplitCorpus()
    models: list[ModelConfig] = Field(
        default_factory=lambda: [
            ModelConfig(name="small", hidden_size=32, heads=2, intermediate_size=80),
            ModelConfig(name="medium"),
        ],
        min_length=1,
    )
    training: SplitTraining = SplitTraining()
    trunk: SplitTrunk = SplitTrunk()
    split: SplitConfig = SplitConfig()
    plan: SplitPlan = SplitPlan()
    evaluation: SplitEvaluation = SplitEvaluation()
    compute: ComputeConfig = ComputeConfig()


AnyStudy = StudyConfig | SplitStudy
"""A study of either kind."""
