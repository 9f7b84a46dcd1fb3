"""The laws, by the name the command line knows them by. Formulas only; imports numpy and nothing heavier."""

from __future__ import annotations

from speciate.laws.chinchilla import CHINCHILLA
from speciate.laws.cmr import CMR
from speciate.laws.law import Input, Law, Parameter
from speciate.laws.mixture_domain import MIXTURE_DOMAIN
from speciate.laws.mixture_general import MIXTURE_GENERAL
from speciate.laws.mixture_ratio import MIXTURE_RATIO

LAWS: dict[str, Law] = {law.name: law for law in (CHINCHILLA, MIXTURE_RATIO, MIXTURE_DOMAIN, MIXTURE_GENERAL, CMR)}

__all__ = ["LAWS", "Input", "Law", "Parameter"]
