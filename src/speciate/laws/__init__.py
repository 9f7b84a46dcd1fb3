"""The laws, by the name the command line knows them by. Formulas only; imports numpy and nothing heavier."""

from __future__ import annotations

from speciate.laws.accuracy_broken import ACCURACY_BROKEN
from speciate.laws.accuracy_ceiling import ACCURACY_CEILING
from speciate.laws.accuracy_compute import ACCURACY_COMPUTE
from speciate.laws.accuracy_loss_linear import ACCURACY_LOSS_LINEAR
from speciate.laws.accuracy_loss_logistic import ACCURACY_LOSS_LOGISTIC
from speciate.laws.accuracy_params_tokens import ACCURACY_PARAMS_TOKENS
from speciate.laws.accuracy_samples import ACCURACY_SAMPLES
from speciate.laws.chinchilla import CHINCHILLA
from speciate.laws.cmr import CMR
from speciate.laws.d_cpt import D_CPT
from speciate.laws.forgetting import FORGETTING
from speciate.laws.kaplan import KAPLAN
from speciate.laws.law import Input, Law, Link, Parameter
from speciate.laws.liew_kato import LIEW_KATO
from speciate.laws.loss_compute import LOSS_COMPUTE
from speciate.laws.mixing import MIXING
from speciate.laws.mixture_domain import MIXTURE_DOMAIN
from speciate.laws.mixture_general import MIXTURE_GENERAL
from speciate.laws.mixture_ratio import MIXTURE_RATIO
from speciate.laws.optimal_mixture import OPTIMAL_MIXTURE
from speciate.laws.perplexity_size import PERPLEXITY_SIZE
from speciate.laws.repetition import REPETITION
from speciate.laws.sger import SGER
from speciate.laws.split import SPLIT
from speciate.laws.transfer import TRANSFER

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        CHINCHILLA,
        KAPLAN,
        REPETITION,
        MIXTURE_RATIO,
        MIXTURE_DOMAIN,
        MIXTURE_GENERAL,
        CMR,
        D_CPT,
        MIXING,
        OPTIMAL_MIXTURE,
        SPLIT,
        LIEW_KATO,
        FORGETTING,
        TRANSFER,
        ACCURACY_COMPUTE,
        ACCURACY_PARAMS_TOKENS,
        ACCURACY_CEILING,
        ACCURACY_SAMPLES,
        ACCURACY_BROKEN,
        LOSS_COMPUTE,
        ACCURACY_LOSS_LINEAR,
        ACCURACY_LOSS_LOGISTIC,
        PERPLEXITY_SIZE,
        SGER,
    )
}

__all__ = ["LAWS", "Input", "Law", "Link", "Parameter"]
