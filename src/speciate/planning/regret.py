"""What following a plan cost, by what was measured since: its choice against the best measured alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from speciate.planning.matching import APART, agrees, amounts, keys_of, nearest, output_of
from speciate.planning.predictions import examined
from speciate.planning.seal import fitted_on
from speciate.planning.words import short
from speciate.runs.columns import SHARE

Row = Mapping[str, Any]  # of the comparison
Options = dict[str, float]  # measured value by what was done


def regrets(plan: Mapping[str, Any], rows: Sequence[Row], table: pd.DataFrame) -> list[dict[str, Any]]:
    """By kind; [] where the choice was not measured, and of accuracies, among which no plan chooses.

    ``rows``: measured predictions as ``compare`` makes them. Values are means over runs. ``difference`` is 0 or more,
    None where no alternative was measured.
    """
    kind = plan["decision"].get("kind", "mixture")
    if kind == "mixture":
        return of_mixtures(plan, rows, table)
    chosen = [one for one in plan["predictions"] if one.get("chosen")]
    options = measured_options(plan["predictions"], rows)
    if not chosen or output_of(chosen[0]) == "accuracy" or chosen[0].get("option") not in options:
        return []
    taken = str(chosen[0]["option"])
    if kind == "split" and len(chosen) == 1:
        options = allocations(chosen[0], plan["decision"], table) | {taken: options[taken]}
    if kind == "mixture-domains":
        return mixtures_of_domains(plan["decision"], taken, options[taken], rows, table)
    if kind == "specialize":
        options = checkpoints(plan, chosen[0], table) | {taken: options[taken]}
    return [_entry(taken, options, output_of(chosen[0]))]


def _entry(taken: str, options: Options, output: str) -> dict[str, Any]:
    """The choice beside the best of all that were measured, itself among them."""
    best = min(options, key=lambda option: options[option])
    alone = len(options) == 1
    return {
        "chosen": taken,
        "value": options[taken],
        "best": None if alone else best,
        "best_value": None if alone else options[best],
        "options": len(options),
        "output": output,
        "difference": None if alone else options[taken] - options[best],
    }


def measured_options(predictions: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> Options:
    """Each feasible option's mean measured value; weighted over its predictions, all of which must be measured."""
    found: Options = {}
    for option in dict.fromkeys(one.get("option") for one in predictions):
        parts = [(i, one.get("weight", 1.0)) for i, one in enumerate(predictions) if one.get("option") == option]
        values = [[row["measured"] for row in rows if row["prediction"] == i] for i, _ in parts]
        barred = any(one.get("feasible") is False for one in predictions if one.get("option") == option)
        if option is not None and all(values) and not barred:
            means = np.array([np.mean(value) for value in values])
            found[option] = float(np.average(means, weights=[weight for _, weight in parts]))
    return found


def allocations(chosen: Mapping[str, Any], decision: Mapping[str, Any], table: pd.DataFrame) -> Options:
    """Mean loss of every other measured way to spend the same total on as many domains at this size."""
    count, total = decision["domains"], decision["total_tokens"]
    seeds, tokens = amounts(table, "seed_tokens"), amounts(table, "tokens")
    planned = agrees(table, "seed_tokens", chosen["seed_tokens"]) & agrees(table, "tokens", chosen["tokens"])
    fits = table["loss"].notna().to_numpy(dtype=bool) & ~planned
    fits &= np.abs(seeds + count * tokens - total) <= APART * total
    for name, value in ({"domains": count} | keys_of(chosen)).items():
        fits &= name in ("seed_tokens", "tokens") or agrees(table, name, value)
    found: dict[str, list[float]] = {}
    for i in np.flatnonzero(fits):
        option = "unsplit" if tokens[i] == 0 else f"a seed of {short(float(f'{seeds[i]:.3g}'))} tokens"
        found.setdefault(option, []).append(float(table["loss"].iloc[i]))
    return {option: float(np.mean(values)) for option, values in found.items()}


def checkpoints(plan: Mapping[str, Any], chosen: Mapping[str, Any], table: pd.DataFrame) -> Options:
    """Mean perplexity of every other regime and checkpoint that new runs of this size were examined at.

    Runs that the plan was fitted on are left out: it chose their lowest checkpoint, luck and all.
    """
    regimes = (plan["decision"]["general"], plan["decision"]["specialized"])
    examined_at = table["perplexity"].notna() & table["train_on"].isin(regimes) & (table["tokens"] > 0)
    fits = examined_at.to_numpy(dtype=bool, copy=True)
    fits &= agrees(table, "params", chosen["params"]) & agrees(table, "eval_on", chosen["eval_on"])
    mine = table[fits]
    fresh = mine[~fitted_on(plan, mine)[1]]
    planned = agrees(fresh, "tokens", chosen["tokens"]) & agrees(fresh, "train_on", chosen["train_on"])
    found: dict[str, list[float]] = {}
    for row in fresh[~planned].itertuples():
        found.setdefault(examined(str(row.train_on), float(row.tokens)), []).append(float(row.perplexity))
    return {option: float(np.mean(values)) for option, values in found.items()}


def mixtures_of_domains(
    decision: Mapping[str, Any], chosen: str, value: float, rows: Sequence[Row], table: pd.DataFrame
) -> list[dict[str, Any]]:
    """The planned mixture against every other that was measured at its size and horizon and kept the tolerances.

    ``kept_tolerance``: whether the planned one did; None where a loss that has one, or its start, is not known.
    """
    limits = {decision["general"]: decision["tolerance"], **decision.get("tolerances", {})}
    starts = {one["eval_on"]: one["start"] for one in decision["losses"]}
    most = {name: np.inf if starts[name] is None else starts[name] + limit for name, limit in limits.items()}
    weights = {one["eval_on"]: one["weight"] for one in decision["losses"] if one["weight"] > 0}
    mine = {name: [row["measured"] for row in rows if row["eval_on"] == name] for name in limits}
    known = all(mine.values()) and None not in (starts[name] for name in limits)
    kept = all(np.mean(mine[name]) <= most[name] for name in limits) if known else None
    columns = [name for name in (*(SHARE + one for one in decision["domains"]), "domain_ratio") if name in rows[0]]
    planned = np.logical_and.reduce([agrees(table, name, rows[0][name]) for name in columns])
    at = agrees(table, "params", decision["params"]) & agrees(table, "tokens", decision["horizon_tokens"])
    others = table[at & ~planned & table["loss"].notna().to_numpy(dtype=bool)]
    options = {chosen: value}
    for _, group in others.groupby([others[name].fillna(0.0).round(6) for name in columns]):
        losses = group.groupby("eval_on")["loss"].mean()
        if {*limits, *weights} <= set(losses.index) and all(losses[name] <= end for name, end in most.items()):
            told = ", ".join(f"{name.removeprefix(SHARE)} {group[name].iloc[0]:.1%}" for name in columns)
            options[told] = float(np.average([losses[name] for name in weights], weights=list(weights.values())))
    return [_entry(chosen, options, "loss") | {"kept_tolerance": kept}]


def of_mixtures(plan: Mapping[str, Any], rows: Sequence[Row], table: pd.DataFrame) -> list[dict[str, Any]]:
    """Per size: the planned ratio's domain loss against the best measured ratio that turned out feasible.

    Ratios are those of new runs at the horizon, predicted or not. The chosen one is the measured one closest to the
    planned critical ratio. ``loss_difference`` (nats/token, 0 or more) is None when the chosen ratio broke the
    tolerance or nothing was feasible.
    """
    found, decision = [], plan["decision"]
    for model in decision["models"]:
        critical, start = model.get("critical_ratio"), (model.get("start_loss") or {}).get("general")
        mine = [row for row in rows if row["params"] == model["params"]]
        if critical is None or start is None or not mine:
            continue
        general, domain = (_by_ratio(plan, mine[0], name, table) for name in (decision["general"], decision["domain"]))
        shared = sorted(set(general) & set(domain))
        if not shared:
            continue
        start = _start_measured(table, model["params"], decision["general"], mine, start)
        feasible = [ratio for ratio in shared if general[ratio] - start <= model["tolerance"]]
        chosen = min(shared, key=lambda ratio: abs(ratio - critical))
        best = min(feasible, key=lambda ratio: domain[ratio]) if feasible else None
        kept = chosen in feasible
        found.append({
            "params": model["params"],
            "planned_ratio": critical,
            "chosen_ratio": chosen,
            "chosen_feasible": kept,
            "general_change": general[chosen] - start,
            "tolerance": model["tolerance"],
            "best_ratio": best,
            "loss_difference": domain[chosen] - domain[best] if kept and best is not None else None,
        })  # fmt: skip
    return found


def _by_ratio(plan: Mapping[str, Any], row: Row, eval_on: str, table: pd.DataFrame) -> dict[float, float]:
    """Mean loss by ratio of runs like that of a row, on its trunk if the plan names one, that the plan had not seen."""
    planned = plan["predictions"][row["prediction"]]
    fits = table["loss"].notna().to_numpy(dtype=bool, copy=True) & agrees(table, "eval_on", eval_on)
    for name in ("params", "tokens", "trunk"):
        if planned.get(name) is not None:
            fits &= agrees(table, name, planned[name])
    places = np.array(nearest(table, np.flatnonzero(fits), planned["tokens"]), dtype=int)
    fresh = table.iloc[places][~fitted_on(plan, table.iloc[places])[1]] if len(places) else table.iloc[:0]
    return {float(ratio): float(loss) for ratio, loss in fresh.groupby("domain_ratio")["loss"].mean().items()}


def _start_measured(table: pd.DataFrame, params: int, general: str, rows: Sequence[Row], otherwise: float) -> float:
    """Loss of the starting models of the compared runs, from their own rows with tokens = 0 where there are any."""
    runs = {row["run"] for row in rows}
    zero = table[(table["params"] == params) & (table["eval_on"] == general) & (table["tokens"] == 0)]
    if "run" not in table.columns:
        return float(zero["loss"].mean()) if len(zero) else otherwise
    own = zero[zero["run"].astype(str).isin(runs)]
    if own.empty and "trunk" in table.columns:
        trunks = set(table.loc[table["run"].astype(str).isin(runs), "trunk"].astype(str))
        own = zero[zero["trunk"].astype(str).isin(trunks)]
    return float(own["loss"].mean()) if len(own) else otherwise
