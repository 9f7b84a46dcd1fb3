"""What is measured at a node of a study, whatever the study decides: where, and on which held-out text."""

from __future__ import annotations

from speciate.corpus.tokens.shards import Corpus
from speciate.runs.tree import Node
from speciate.study import specs
from speciate.study.split import specs as split
from speciate.study.split.config import AnyStudy, SplitStudy


def node_measured_tokens(config: AnyStudy, node: Node) -> list[int]:
    """Tokens within its phase at which a node is measured."""
    if isinstance(config, SplitStudy):
        return split.measured_tokens(config, node)
    return specs.node_measured_tokens(config, node)


def node_sets(config: AnyStudy, node: Node) -> tuple[str, ...] | None:
    """The domains that a node is measured on: an expert's own, else all (None)."""
    domain = split.domain_of(node) if isinstance(config, SplitStudy) else None
    return None if domain is None else (domain,)


def sets_measured(config: AnyStudy, node: Node) -> int:
    """How many held-out sets one measurement of a node reads."""
    if isinstance(config, SplitStudy):
        return len(split.domains_of(config)) if split.domain_of(node) is None else 1
    return len(config.corpus.sources)


def study_eval_hash(config: AnyStudy, corpus: Corpus) -> str:
    """The ledger's ``eval_hash`` of a study."""
    if isinstance(config, SplitStudy):
        return split.split_eval_hash(config, corpus, corpus_weights(config, corpus))
    return specs.study_eval_hash(config, corpus)


def evaluation_groups(config: AnyStudy, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Weighted means of the domains' sets: "general" of a mixture, "mean" of a split."""
    if isinstance(config, SplitStudy):
        return split.evaluation_groups(corpus_weights(config, corpus))
    return specs.evaluation_groups(config)


def corpus_weights(config: SplitStudy, corpus: Corpus) -> dict[str, float]:
    """The weight of every domain in the seed's mixture and in the mean loss, summing to 1."""
    return split.domain_weights(config, {domain: len(corpus.train[domain]) for domain in corpus.domains})
