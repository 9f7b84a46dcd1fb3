"""What a decision promises to be measured: the rows that a sealed plan is later held against.

A decision whose JSON has ``predictions`` says them itself; for the others there is one function a kind.

A prediction is {option, chosen, ...columns that say which rows it is about, output, value, low, high}. ``output`` names
the measured column; ``low`` and ``high`` hold one new run's measurement at the decision's level, None where it is
unknown how runs differ. ``option`` names what was to choose from (None: it is compared, and no alternative), ``chosen``
is whether the plan takes it, ``feasible`` False that it must not, and ``weight`` its share where several rows measure
an option.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd
from scipy.stats import t

from speciate.planning.accuracy.decision import AccuracyDecision
from speciate.planning.matching import keys_of, match, output_of
from speciate.planning.mixture.decision import MixtureDecision, SizeDecision
from speciate.planning.mixture.decision import predictions as mixture_losses
from speciate.planning.seal import FORMAT, seal
from speciate.planning.specialize.decision import SpecializeDecision
from speciate.planning.split.decision import Ends, Expert, SplitDecision
from speciate.planning.words import short
from speciate.runs.columns import SHARE

Prediction = dict[str, Any]


class Decision(Protocol):
    """What can be sealed."""

    def to_json(self) -> dict[str, Any]: ...
    def explain(self) -> str: ...


def promised(decision: Decision, fitted: pd.DataFrame) -> list[Prediction]:
    """The predictions of a decision, each with ``fitted_rows``: how many rows it was fitted on are such measurements.

    Of those the outcome is known: only a further run can then tell whether the plan was right.
    """
    told = decision.to_json()
    if "predictions" in told:
        found = [dict(one) for one in told["predictions"]]
    elif isinstance(decision, MixtureDecision):
        found = of_mixture(decision)
    elif told["kind"] == "mixture-domains":
        found = of_domains(told, fitted)
    elif isinstance(decision, SplitDecision):
        found = of_split(decision)
    elif isinstance(decision, SpecializeDecision):
        found = of_specialize(decision)
    elif isinstance(decision, AccuracyDecision):
        found = of_accuracy(decision)
    else:
        found = []  # which run to buy next promises no measurement
    there = {name for one in found for name in (*keys_of(one), output_of(one))} - {"domains"} <= set(fitted.columns)
    counts = [0] * len(found)
    for i, _ in match(found, fitted) if there else ():
        counts[i] += 1
    return [{**one, "fitted_rows": count} for one, count in zip(found, counts, strict=True)]


def sealed_plan(decision: Decision, fitted: pd.DataFrame, request: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as it is sealed: what was asked, decided and promised, and digests of the rows it rests on.

    {format, kind, request, decision, explanation[line], predictions[...], and what ``planning.seal.seal`` adds}.
    """
    told = decision.to_json()
    plan = {
        "format": FORMAT,
        "kind": told["kind"],
        "request": dict(request),
        "decision": told,
        "explanation": decision.explain().splitlines(),
        "predictions": promised(decision, fitted),
    }
    return seal(plan, fitted)


def of_mixture(decision: MixtureDecision) -> list[Prediction]:
    """Both losses of every size at the horizon: of the planned ratio (rounded down to .1 %) and of those tried."""
    found = []
    for model in decision.models:
        if model.basis is None:
            continue
        tried = [verdict.domain_ratio for verdict in model.ratios]
        planned = None if model.critical_ratio is None else math.floor(model.critical_ratio * 1000) / 1000
        ratios = sorted({*tried, *(() if planned is None else (planned,))})
        losses = mixture_losses(decision, ratios, [model.horizon_tokens], params=model.params, trunk=_one_trunk(model))
        for one in losses:
            extra = {"option": f"ratio {one['domain_ratio']:g}", "chosen": one["domain_ratio"] == planned}
            found.append({**one, **extra, "output": "loss"})
    return found


def _one_trunk(model: SizeDecision) -> str | None:
    """The starting model that all runs of a size share, if they do."""
    assert model.basis is not None
    curves = model.basis.general.curves
    trunks = {curve.trunk for curve in curves}
    return trunks.pop() if len(trunks) == 1 < len({curve.run for curve in curves}) else None


def of_domains(told: Mapping[str, Any], fitted: pd.DataFrame) -> list[Prediction]:
    """Every evaluation set's loss of the planned mixture of several domains at the horizon; ``told``: its JSON."""
    shares = {SHARE + name: told["shares"][name]["value"] for name in told["domains"]}
    if len(shares) == 1 and not set(shares) <= set(fitted.columns):
        shares = {"domain_ratio": next(iter(shares.values()))}  # the table has its one domain so
    at = {"params": told["params"], **shares, "tokens": told["horizon_tokens"]}
    named = {"option": "the planned mixture", "chosen": told["decided"], **at}
    found = []
    for one in told["losses"]:
        more = shared(fitted[fitted["eval_on"] == one["eval_on"]], ("tokenizer", "eval_hash"))
        value = {"weight": one["weight"], "output": "loss"} | {name: one[name] for name in ("value", "low", "high")}
        found.append({**named, "eval_on": one["eval_on"], **more, **value})
    return found


def of_split(decision: SplitDecision) -> list[Prediction]:
    """Loss of an expert of the planned split, and of one model trained on all tokens; by domain where they are unequal.

    Where the plan is not to split, there is nothing to be seen of a split.
    """
    rows, split = decision.rows, decision.choice != "never split" and decision.seed_tokens < decision.total_tokens
    alone = {"seed_tokens": decision.total_tokens, "tokens": 0.0}
    both = [("split", split, decision.choice == "split"), ("unsplit", True, decision.choice == "never split")]
    found = []
    for option, wanted, chosen in both:
        named = {"option": option, "chosen": chosen, "params": decision.params}
        for expert in decision.experts if wanted else ():
            found.append(_of_expert(decision, expert, option == "split", named, alone))
        if wanted and not decision.experts:
            value, name = (decision.loss, "loss") if option == "split" else (decision.loss_unsplit, "loss_unsplit")
            at = {"seed_tokens": decision.seed_tokens, "tokens": decision.expert_tokens} if option == "split" else alone
            ends = with_noise(value, decision.intervals[name], decision.noise, len(rows), decision.level)
            of = {"domains": decision.domains} if option == "split" else {}
            found.append({**named, **at, **of, **shared(rows, ("eval_on",)), "output": "loss", **ends})
    return found


def _of_expert(
    decision: SplitDecision, expert: Expert, split: bool, named: Mapping[str, Any], alone: Mapping[str, float]
) -> Prediction:
    """One domain: its expert's loss, or that of the model that was not split."""
    rows = decision.rows[decision.rows["eval_on"] == expert.eval_on]
    at: dict[str, Any] = {"seed_tokens": decision.seed_tokens, "tokens": expert.tokens} if split else {**alone}
    if at["tokens"] > 0 and "train_on" in rows.columns and bool((rows["train_on"] == expert.eval_on).any()):
        at["train_on"] = expert.eval_on  # experts say so in this table
    value, ends = (expert.loss, expert.loss_interval) if split else (expert.loss_unsplit, expert.unsplit_interval)
    measured = with_noise(value, ends, expert.noise, len(rows), decision.level)
    where = {**at, "eval_on": expert.eval_on, **shared(rows, ("tokenizer", "eval_hash"))}
    return {**named, **where, "weight": expert.weight, "output": "loss", **measured}


def with_noise(value: float, ends: Ends, noise: float, rows: int, level: float) -> dict[str, float | None]:
    """{value, low, high} of a measurement: the law's interval, and a run's own ln noise, as independent errors."""
    low, high = ends
    if low is None or high is None:
        return {"value": value, "low": None, "high": None}
    wide = noise * float(t.ppf((1 + level) / 2, max(rows - 1, 1)))
    below, above = (math.hypot(math.log(end / value), wide) for end in (low, high))
    return {"value": value, "low": value * math.exp(-below), "high": value * math.exp(above)}


def of_specialize(decision: SpecializeDecision) -> list[Prediction]:
    """The exam perplexity of each regime at its best checkpoint, of every size, as a further run would show it."""
    names, sd = decision.names, decision.method["run_sd"]
    found = []
    for size in decision.sizes:
        for regime, minimum in zip(names.regimes, (size.general, size.specialized), strict=True):
            ends: Sequence[float | None] = (None, None)
            if sd is not None:
                # a new run differs from the mean of those seen, which is itself not known exactly
                spread = math.hypot(sd["ln_perplexity"], decision.method["checkpoint_scatter"])
                wide = spread * math.sqrt(1 + 1 / minimum.runs) * float(t.ppf((1 + decision.level) / 2, sd["freedom"]))
                ends = (minimum.best * math.exp(-wide), minimum.best * math.exp(wide))
            chosen = size is decision.largest and regime == decision.regime
            at = {"params": size.params, "train_on": regime, "tokens": minimum.checkpoint, "eval_on": names.eval_on}
            more = shared(decision.rows, ("tokenizer", "eval_hash"))
            interval = {"value": minimum.best, "low": ends[0], "high": ends[1]}
            option = f"{examined(regime, minimum.checkpoint)}, {short(size.params)} params"
            found.append({"option": option, "chosen": chosen, **at, **more, "output": "perplexity", **interval})
    return found


def examined(regime: str, tokens: float) -> str:
    """A checkpoint for a person: "law to 30B tokens"."""
    return f"{regime} to {short(float(f'{tokens:.3g}'))} tokens"


def of_accuracy(decision: AccuracyDecision) -> list[Prediction]:
    """The accuracy of the run that was asked for; nothing where no law could be read."""
    if decision.accuracy is None:
        return []
    sized = decision.params is not None and decision.tokens is not None
    at: dict[str, Any] = {"params": decision.params, "tokens": decision.tokens} if sized else {"flops": decision.flops}
    at |= {"samples": decision.samples, **shared(decision.rows, ("train_on", "eval_on"))}
    value = {"value": decision.accuracy, "low": decision.low, "high": decision.high}
    return [{"option": "asked", "chosen": True, **at, "output": "accuracy", **value}]


def shared(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, str]:
    """The names that all rows have in common, of those columns and of what losses depend on: tokenizer, documents.

    >>> shared(pd.DataFrame({"eval_on": ["law", "law"], "train_on": ["a", "b"]}), ("eval_on", "train_on"))
    {'eval_on': 'law'}
    """
    wanted = [name for name in dict.fromkeys((*names, "tokenizer", "eval_hash")) if name in rows.columns]
    values = {name: rows[name].dropna().unique() for name in wanted}
    return {name: str(found[0]) for name, found in values.items() if len(found) == 1}
