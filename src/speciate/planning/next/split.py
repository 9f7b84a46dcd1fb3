"""What is at stake in a split decision, and the runs that could be bought for it.

The action is the seed's share of the total, from splitting at once to never splitting. Its regret in a draw of the
split law is the loss of that plan less the least loss along the budget, in nats per token. A candidate would measure
one ln loss; runs of every size speak of the size that is asked for, as far as the law's draws say so.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.planning.next.cost import Schedule, marginal_flops
from speciate.planning.next.decision import Candidate, Stakes, Unknown
from speciate.planning.next.value import Outcome, best_action
from speciate.planning.split.budget import Budget, budget_of, grid
from speciate.planning.split.fit import Fitted, fit_split
from speciate.planning.split.plan import check
from speciate.planning.split.remedy import some
from speciate.planning.split.rows import of_number
from speciate.planning.words import short

Array = NDArray[np.float64]
REPEATS = (1, 3)  # runs bought at once
LEVEL = 0.9  # at which few trunks widen the draws
LISTED = ("seed_tokens", "tokens")  # columns that a list of candidates has to have


def split_stakes(
    table: pd.DataFrame,
    *,
    total_tokens: float | None = None,
    domains: int | None = None,
    params: float | None = None,
    eval_on: str | None = None,
    where: str | None = None,
    schedule: Schedule = "constant",
    candidates: pd.DataFrame | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Stakes | Unknown:
    """The stakes of ``plan_split`` with domains that are alike, and runs on offer.

    ``candidates``: runs to choose from (params, seed_tokens, tokens) instead of a grid of what the rows hold and the
    plan asks. Unknown where all rows come from one run. Raises UserError and NotDecidable as ``plan_split`` does.
    """
    missing = [name for name, value in (("tokens", total_tokens), ("domains", domains)) if value is None]
    if missing or total_tokens is None or domains is None:
        raise UserError([Problem("it is not given", f"--{name}", "a split needs it") for name in missing])
    check(total_tokens, (domains,), params, None, LEVEL, draws)
    sets = sorted(table["eval_on"].dropna().astype(str).unique()) if "eval_on" in table.columns else []
    if eval_on is None and len(sets) > 1:
        fix = f"name one with --eval-on: {', '.join(sets)}"
        raise UserError(Problem("the rows hold several evaluation sets", "column eval_on", fix))
    rows, notes = of_number(table, domains, several=False)
    fitted, asked = fit_split(rows, params, eval_on, where, draws, seed)
    budget = budget_of(fitted, asked, total_tokens, domains, LEVEL)
    wide = fitted.widened(budget.directions, LEVEL)
    now = {"params": asked, "total_tokens": total_tokens, "domains": domains}
    if wide.moves is None:
        return Unknown("split", "all rows come from one run", (), {**now, "seed_tokens": budget.seed})
    shares = grid()
    curve = wide.drawn(*wide.losses(asked, shares * total_tokens, (1 - shares) * total_tokens / domains))
    regret = curve - curve.min(axis=1, keepdims=True)
    share = float(shares[best_action(regret)])
    runs = _grid(fitted, budget) if candidates is None else _listed(fitted, candidates, asked)
    offered = _priced(wide, runs, asked, schedule)
    text = f"never split {short(total_tokens)} tokens" if share == 1 else (
        f"a seed of {short(share * total_tokens)} of {short(total_tokens)} tokens")  # fmt: skip
    decision = {**now, "seed_tokens": share * total_tokens,
                "expert_tokens": (1 - share) * total_tokens / domains}  # fmt: skip
    return Stakes("split", regret, decision, text, tuple(offered), (*notes, *fitted.notes))


def _grid(fitted: Fitted, budget: Budget) -> Array:
    """Runs (n, 3) of params, seed_tokens, tokens: sizes and lengths of the rows, and twice the longest; the plan's."""
    x = fitted.weighted.x
    sizes = some(x["params"]) if "params" in x else np.array([budget.params])
    seeds = some(np.append(x["seed_tokens"], 2 * x["seed_tokens"].max()))
    tokens = some(np.append(x["tokens"], 2 * x["tokens"].max()))
    plan = [(budget.params, budget.seed, budget.expert), (budget.params, budget.total, 0.0)]
    return np.array([*(run for run in product(sizes, seeds, tokens) if run[1] + run[2] > 0), *plan])


def _listed(fitted: Fitted, table: pd.DataFrame, asked: float) -> Array:
    """The user's runs (n, 3); UserError for every row that is none."""
    sizes = fitted.weighted.x.get("params", np.array([asked]))
    problems, found = [], []
    for number, row in enumerate(table.to_dict("records"), start=1):
        params, seed, tokens = row.get("params"), float(row["seed_tokens"]), float(row["tokens"])
        size = asked if params is None or pd.isna(params) else float(params)
        if not (seed >= 0 and tokens >= 0 and seed + tokens > 0):
            what = f"it has {seed:g} seed_tokens and {tokens:g} tokens"
            problems.append(Problem(what, f"candidate {number}", "give 0 or more of both, and more than 0 of one"))
        if "params" not in fitted.weighted.x and not np.isclose(sizes, size).any():
            what, fix = f"it has {size:,.0f} params", f"the rows have one size: list runs of {asked:,.0f} params"
            problems.append(Problem(what, f"candidate {number}", fix))
        found.append((size, seed, tokens))
    if problems:
        raise UserError(problems)
    return np.array(found)


def _priced(fitted: Fitted, runs: Array, asked: float, schedule: Schedule) -> list[Candidate]:
    """Every run once and repeated, with its price and what it would measure in every draw."""
    expected = np.log(fitted.drawn(*fitted.losses(*runs.T)))
    noise = np.full((len(expected), 1), fitted.noise)
    x = fitted.weighted.x
    sizes = x.get("params", np.full(len(x["seed_tokens"]), asked))
    found = []
    for i, (params, seed, tokens) in enumerate(runs):
        kept = x["seed_tokens"][np.isclose(sizes, params, rtol=1e-6) & (x["seed_tokens"] <= seed * (1 + 1e-9))]
        done = float(kept.max()) if len(kept) else 0.0
        for repeats in REPEATS:
            outcome = Outcome(expected[:, i : i + 1], noise).times(repeats)
            found.append(_candidate(params, seed, tokens, done, schedule, repeats, outcome))
    return found


def _candidate(
    params: float, seed: float, tokens: float, done: float, schedule: Schedule, repeats: int, outcome: Outcome
) -> Candidate:
    """An expert of its own from a seed that is kept, or carried on from the longest shorter one of its size.

    A run without expert tokens measures a seed anew: nothing of it is there. Repeats share no seed that is new.
    """
    exact = tokens > 0 and abs(done - seed) <= 1e-9 * max(seed, 1.0)
    first = 0.0 if exact else marginal_flops(params, seed, done=done if done < seed else 0.0, schedule=schedule)
    flops = repeats * (first + marginal_flops(params, tokens))
    times = "" if repeats == 1 else f"{repeats} runs of "
    start = "" if seed == 0 else f"a seed of {short(seed)} tokens" + (" (kept)" if exact else "")
    if not exact and 0 < done < seed and schedule == "constant":
        start += f" (on from {short(done)})"
    then = "" if tokens == 0 else f"{short(tokens)} of one domain" + ("" if seed else " from scratch")
    spec: dict[str, Any] = {"params": float(params), "seed_tokens": float(seed), "tokens": float(tokens),
                            "kept_seed_tokens": done, "repeats": repeats}  # fmt: skip
    text = f"{times}{short(params)} params, {', then '.join(part for part in (start, then) if part)}"
    return Candidate(spec, text, flops, outcome)
