"""The runs that a split study is expected to need, before there is a plan or even a corpus."""

from __future__ import annotations

from speciate.corpus.tokens.shards import Corpus
from speciate.runs.spec import RunSpec
from speciate.study.measuring import corpus_weights
from speciate.study.split.config import SplitStudy
from speciate.study.split.specs import domain_weights, domains_of, final_options, final_runs, pilot_runs
from speciate.study.split.train import unique

GUESS = 0.4  # share of the total that the seed gets in the plan that is expected; none of the usual ones


def expected_split_specs(
    config: SplitStudy, corpus: Corpus | None, corpus_digest: str, vocab_size: int
) -> list[RunSpec]:
    """The pilots, and the final runs as if a share of GUESS came out as planned; domains alike before there is text."""
    if corpus is None:
        weights = domain_weights(config, dict.fromkeys(domains_of(config), 1))
    else:
        weights = corpus_weights(config, corpus)
    options = final_options(config, GUESS * config.plan.total_tokens, len(weights))
    finals = final_runs(config, options, weights, corpus_digest, vocab_size)
    return [run.spec for run in unique([*pilot_runs(config, weights, corpus_digest, vocab_size), *finals])]
