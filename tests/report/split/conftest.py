"""A synthetic split study, its files made by the functions that make a real one's: 2 sizes, 2 budgets, 4 domains.

Also a script: ``python tests/report/split/conftest.py DIR`` writes variants and their reports, to be looked at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.fitting.fit import fit
from speciate.fitting.rivals import Comparison
from speciate.fitting.scores import Score, Split
from speciate.laws.split import AT_ONE_SIZE, PRESET, SPLIT
from speciate.planning.seal import FORMAT, seal
from speciate.planning.split.at import losses_at
from speciate.planning.split.decision import SplitDecision
from speciate.planning.split.plan import plan_split
from speciate.report.page import write_report
from speciate.runs.ledger import read_ledger, write_ledger
from speciate.study.split.outcome import compare_split

B = 1e9
SIZES = {"small": 0.35 * B, "large": 1.3 * B}
DOMAINS = {"code": -0.9, "law": 0.05, "maths": 0.2, "medicine": 0.65}  # less the mean: its loss
BUDGETS = (120 * B, 240 * B)
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
TOTAL = 360 * B
NOISE = 0.002
Row = dict[str, Any]


def truth(params: float, seed: float, tokens: float) -> float:
    x = {"params": np.array([params]), "seed_tokens": np.array([seed]), "tokens": np.array([tokens])}
    return float(SPLIT.predict(np.array(PRESET), x)[0])


def allocation_rows(
    model: str, total: float, share: float, names: Sequence[str], noise: np.random.Generator, grid: Sequence[float] = ()
) -> list[Row]:
    """What a seed of ``share`` of a total leaves in the ledger: the trunk's rows or K experts', and their means."""
    params, seed = SIZES[model], share * total
    end = (total - seed) / len(names)
    rows = []
    for tokens in sorted({*(t for t in grid if 0 < t < end), end}):
        run = f"{model}-t0" if tokens == 0 else f"{model}-d{seed:.0f}-s0"
        at = {"trunk": f"{model}-t0", "params": params, "seed_tokens": seed, "tokens": tokens, "seed": 0}
        bare = truth(params, seed, tokens)
        losses = [bare + offset + float(noise.normal(0, NOISE)) for offset in DOMAINS.values()]
        for name, loss in zip(names, losses, strict=True):
            own = at | ({"run": run, "train_on": "all"} if tokens == 0 else
                        {"run": f"{model}-d{seed:.0f}-{name}-s0", "train_on": name})  # fmt: skip
            rows.append(own | {"eval_on": name, "loss": loss})
        trained = "all" if tokens == 0 else f"all/{len(names)}"
        rows.append(at | {"run": run, "train_on": trained, "eval_on": "mean", "loss": float(np.mean(losses))})
    return rows


def ledger_rows(names: Sequence[str], finals: Sequence[float] = ()) -> list[Row]:
    """All pilots, and the planned size at the planned total with the seed's shares of ``finals``."""
    noise = np.random.default_rng(5)
    rows: list[Row] = []
    for model in SIZES:
        for budget in BUDGETS:
            for share in SHARES:
                rows += allocation_rows(model, budget, share, names, noise, [budget * f for f in (0.02, 0.06, 0.12)])
        for share in (0.03, 0.08, 0.35):  # the trunk is measured on the way
            rows += allocation_rows(model, BUDGETS[1] * share, 1.0, names, noise)
    for share in finals:
        rows += allocation_rows("large", TOTAL, share, names, noise)
    return rows


@cache
def decided(total: float = TOTAL) -> tuple[SplitDecision, pd.DataFrame]:
    """The decision for the large size on the pilots' mean rows, and those rows."""
    table = pd.DataFrame(ledger_rows(list(DOMAINS)))
    means = table[table["eval_on"] == "mean"].reset_index(drop=True)
    own = means[means["params"] == SIZES["large"]]
    return plan_split(own, total_tokens=total, domains=len(DOMAINS), eval_on="mean", draws=300), means


@cache
def fitted(folder: Path) -> Path:
    """fits/: the law with its draws, and its rivals."""
    _, means = decided()
    folder.mkdir(parents=True, exist_ok=True)
    for size, rows in means.groupby("params"):
        fit(AT_ONE_SIZE, rows, bootstrap=20).save(folder / f"split-{size:.0f}.json")
    refused = {"law": "split", "status": "not decidable: 2 sizes", "parameters": None}
    (folder / "split.json").write_text(json.dumps(refused), encoding="utf-8")
    scores = (Score("split", 0.0055, 0.0024, 0.997, None), Score("liew-kato", None, None, None, "1 size, 2 are needed"))
    held = Split("tokens >= 4.5e+10", 4, 4, 56, scores, None, None, None, False, "not decidable: one law was fitted")
    told = Comparison(("split", "liew-kato"), "loss", 60, {"split": 60, "liew-kato": 60}, {}, (held,), 0.9).to_json()
    (folder / "rivals.json").write_text(json.dumps({"status": "compared", **told}), encoding="utf-8")
    return folder


def plan_json(names: Sequence[str], choice: str = "split") -> dict[str, Any]:
    """plan.json; "never split" and "undecided" are the answers to other totals."""
    total = {"split": TOTAL, "never split": 6 * B, "undecided": 15 * B}[choice]
    decision, means = decided(total)
    wanted = [decision.seed_tokens / total, *(share for share in SHARES if share != 0.1)] if decision.choice else []
    options = [
        {"share": share, "seed_tokens": share * total, "expert_tokens": (1 - share) * total / len(names),
         "chosen": place == 0} for place, share in enumerate(wanted)
    ]  # fmt: skip
    runs = [(option["seed_tokens"], option["expert_tokens"]) for option in options]
    own = means[means["params"] == decision.params]
    losses = losses_at(own, runs, params=decision.params, domains=len(names), draws=300) if runs else []
    predictions = [
        {"option": f"share {option['share']:.2f}", "chosen": option["chosen"], "params": decision.params,
         "seed_tokens": seed, "tokens": tokens, "eval_on": "mean", "output": "loss", **loss}
        for option, (seed, tokens), loss in zip(options, runs, losses, strict=True)
    ]  # fmt: skip
    plan = {
        "format": FORMAT, "kind": "split", "study": "four kinds of text", "domains": list(names),
        "request": {"seed": 0}, "decision": decision.to_json(), "explanation": decision.explain().splitlines(),
        "params": decision.params, "total_tokens": total, "options": options, "predictions": predictions,
    }  # fmt: skip
    return seal(json.loads(json.dumps(plan)), means)


def routing_json(names: Sequence[str]) -> dict[str, Any]:
    domains, sources = [], []
    for place, (name, offset) in enumerate(zip(names, DOMAINS.values(), strict=True)):
        base = 2.31 + offset
        loss = base - 0.06 - 0.02 * place
        domains.append({"domain": name, "texts": 100, "oracle": loss, "routed": loss + 0.004, "base": base,
                        "ensemble": base + 0.02, "share_of_texts": 0.25})  # fmt: skip
        expert = names[(place + 1) % len(names)] if place == 2 else name
        sources.append({"source": f"{name}.jsonl", "expert": expert, "share": 0.97 - 0.1 * place, "base": base,
                        "expert_loss": base + 0.03 if place == 2 else loss})  # fmt: skip
    mean = {key: float(np.mean([row[key] for row in domains])) for key in ("oracle", "routed", "ensemble", "base")}
    return {"option": {"share": 0.55}, "prefix_tokens": 32, "held_out_texts": 400, **mean,
            "routed_over_oracle": mean["routed"] / mean["oracle"], "routed_right": 0.934, "domains": domains,
            "sources": sources}  # fmt: skip


def tree_json(ledger: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """The nodes of the planned size at the largest budget."""
    nodes: list[Row] = []
    start, parent = 0.0, None
    budget, key, seeds = BUDGETS[1], "", []
    for share in SHARES[1:]:
        key = f"trunk-{share}"
        node = {"key": key, "parent": parent, "label": "large-t0", "model": "large", "params": SIZES["large"],
                "phase": 0, "start_tokens": start, "end_tokens": share * budget, "train_on": "all",
                "runs": [f"{key}-{name}" for name in names], "seconds": 60.0, "tokens_per_second": 1e9}  # fmt: skip
        nodes.append(node)
        seeds.append((share, key))
        start, parent = share * budget, key
    for share, key in [(0.0, None), *seeds[:-1]]:
        for name in names:
            nodes.append({"key": f"{key}-{name}", "parent": key, "label": f"large-d{share * budget:.0f}-{name}-s0",
                          "model": "large", "params": SIZES["large"], "phase": 0 if key is None else 1,
                          "start_tokens": 0, "end_tokens": (1 - share) * budget / len(names), "train_on": name,
                          "seed_tokens": share * budget, "runs": [f"large-d{share * budget:.0f}-{name}"],
                          "seconds": 30.0, "tokens_per_second": 1e9})  # fmt: skip
    savings = {"tree_tokens": 5e11, "scratch_tokens": 1.2e12, "saved_vs_scratch": 0.58, "anew_tokens": 9e11,
               "saved_vs_anew": 0.44}  # fmt: skip
    return {"nodes": nodes, "savings": savings}


def clusters_json(names: Sequence[str]) -> dict[str, Any]:
    words = (["def", "return", "self"], ["court", "appeal"], ["lemma", "proof"], ["patients", "dose"])
    return {"names": list(names), "clusters": [{"cluster": i, "terms": w} for i, w in enumerate(words)]}


def write_split_study(
    folder: Path, *, choice: str = "split", without: Sequence[str] = (), names: Sequence[str] = tuple(DOMAINS)
) -> Path:
    """Write the study's files into ``folder``, leaving out ``without``; ``names`` of the four domains."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_json(names, choice)
    finals = [option["share"] for option in plan["options"]] if choice == "split" else []
    write_ledger(ledger_rows(names, finals), folder / "ledger.parquet")
    ledger = read_ledger(folder / "ledger.parquet")
    cost = {"train_seconds": 3600.0, "wall_seconds": 4000.0, "flops": 7e21, "tokens": 5e11}
    values = {"plan.json": plan, "tree.json": tree_json(ledger, names), "clusters/clusters.json": clusters_json(names),
              "cost.json": cost}  # fmt: skip
    if choice == "split":
        values |= {"comparison.json": compare_split(plan, ledger), "routing.json": routing_json(names)}
    for name, value in values.items():
        if name not in without:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(value), encoding="utf-8")
    if "resolved.yaml" not in without:
        text = f"decide: split\nname: four kinds of text\nsplit: {{budgets: [{BUDGETS[0]:.0f}, {BUDGETS[1]:.0f}]}}\n"
        (folder / "resolved.yaml").write_text(text, encoding="utf-8")
    if "ledger.parquet" in without:
        (folder / "ledger.parquet").unlink()
    return folder


@pytest.fixture(scope="session")
def make_split_study() -> Callable[..., Path]:
    """``write_split_study``, for tests that want a study of their own."""
    return write_split_study


@pytest.fixture(scope="session")
def split_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study; do not write into it."""
    folder = write_split_study(tmp_path_factory.mktemp("finished") / "split")
    fitted(folder / "fits")
    return folder


if __name__ == "__main__":
    out = Path(sys.argv[1])
    fitted(out / "split" / "fits")
    print(write_report(write_split_study(out / "split")))
    print(write_report(write_split_study(out / "never", choice="never split")))
    print(write_report(write_split_study(out / "undecided", choice="undecided")))
    print(write_report(write_split_study(out / "unplanned", without=("comparison.json", "plan.json", "routing.json"))))
