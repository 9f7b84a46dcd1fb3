"""A synthetic study that looks like a real one: 2 sizes x 4 ratios, two seeds at one, a horizon of twice the pilots.

Also a script: ``python tests/report/conftest.py DIR`` writes variants and their reports below DIR, to be looked at.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.planning.seal import seal
from speciate.report.page import write_report

SIZES = (36_224, 141_760)
RATIOS = (0.1, 0.25, 0.4, 0.6)
PILOT, HORIZON, TRUNK = 1_200_000, 2_400_000, 2_000_000
TOLERANCE = 0.05
BASE = {36_224: (3.791, 4.412), 141_760: (3.494, 4.187)}
CRITICAL = {36_224: (0.402, 0.355, 0.452), 141_760: (0.464, 0.421, 0.518)}


def turning_tokens(params: int, ratio: float) -> float | None:
    """Where general loss turns down; the largest share never does, in view of the pilots."""
    if ratio > 0.55:
        return None
    return HORIZON * math.exp((ratio - CRITICAL[params][0]) / 0.115)


def general_change(params: int, ratio: float, tokens: np.ndarray) -> np.ndarray:
    """b + t^s (p + q ln t), the shape of laws.md section 2, turning where ``turning_tokens`` says."""
    s, q = 0.4, -0.012 - 0.03 * ratio
    turn = (turning_tokens(params, ratio) or 6 * HORIZON) / HORIZON
    t = tokens / HORIZON
    value = -0.02 + 0.05 * ratio + t**s * (-q * (1 / s + math.log(turn)) + q * np.log(t))
    return value * (1.0 if params == SIZES[0] else 0.8)


def domain_change(params: int, ratio: float, tokens: np.ndarray) -> np.ndarray:
    """c + k (t^s - 1)/s."""
    t = tokens / HORIZON
    return -0.25 - 0.62 * ratio**0.6 - (0.12 + 0.14 * ratio) * (t**0.15 - 1) / 0.15


CHANGE = {"general": general_change, "code_python": domain_change}


def ledger_rows(horizon_ratios: tuple[float, ...] = (0.25, 0.4, 0.6)) -> list[dict[str, Any]]:
    noise = np.random.default_rng(0)
    grid = [0, *(int(t) for t in np.geomspace(20_000, PILOT, 9)), 1_700_000, HORIZON]
    rows = []
    for params in SIZES:
        for ratio in RATIOS:
            for seed in (0, 1) if ratio == 0.25 else (0,):
                end = HORIZON if ratio in horizon_ratios and seed == 0 else PILOT
                tokens = np.array([t for t in grid if t <= end], dtype=float)
                for eval_on, change in CHANGE.items():
                    base = BASE[params][eval_on != "general"]
                    loss = base + np.where(tokens > 0, change(params, ratio, np.maximum(tokens, 1)), 0.0)
                    loss = loss + np.where(tokens > 0, noise.normal(0, 0.002, len(tokens)), 0.0)
                    rows += [
                        {"run": f"{params}-{ratio}-s{seed}", "trunk": f"trunk-{params}-s{seed}", "params": params,
                         "seed_tokens": TRUNK, "tokens": int(t), "domain_ratio": ratio, "train_on": "mixture",
                         "eval_on": eval_on, "loss": float(v), "bits_per_byte": float(v) / 2.2, "seed": seed,
                         "flops": 6.0 * params * t}
                        for t, v in zip(tokens, loss, strict=True)
                    ]  # fmt: skip
        rows += [
            {"run": f"trunk-{params}", "trunk": f"trunk-{params}-s0", "params": params, "seed_tokens": 0,
             "tokens": TRUNK, "domain_ratio": None, "train_on": "general", "eval_on": "general",
             "loss": BASE[params][0], "bits_per_byte": 1.7, "seed": 0, "flops": 6.0 * params * TRUNK}
        ]  # fmt: skip
    return rows


def _model(params: int) -> dict[str, Any]:
    value, low, high = CRITICAL[params]
    tokens = np.geomspace(20_000, HORIZON, 60)
    end = np.array([float(HORIZON)])
    ratios, curves = [], []
    for ratio in RATIOS:
        turn = turning_tokens(params, ratio)
        general = float(general_change(params, ratio, end)[0])
        feasible = turn is not None and turn <= HORIZON and general <= TOLERANCE
        ratios.append({"domain_ratio": ratio, "turning_tokens": turn, "general_change": general,
                       "domain_change": float(domain_change(params, ratio, end)[0]), "feasible": feasible,
                       "probability": (0.995 if ratio < 0.3 else 0.71) if feasible else 0.08})  # fmt: skip
        for eval_on, change in (("general", general_change), ("domain", domain_change)):
            middle = BASE[params][eval_on != "general"] + change(params, ratio, tokens)
            half = 0.004 + 0.006 * np.maximum(0.0, np.log(tokens / PILOT))
            curves.append({"domain_ratio": ratio, "eval_on": eval_on, "tokens": tokens.tolist(),
                           "value": middle.tolist(), "low": (middle - half).tolist(),
                           "high": (middle + half).tolist()})  # fmt: skip
    horizons = np.geomspace(100_000, 2 * HORIZON, 50)
    critical = value + 0.115 * np.log(horizons / HORIZON)
    width = 0.03 + 0.02 * np.abs(np.log(horizons / PILOT))
    clip = [np.clip(v, 0, 1).tolist() for v in (critical, critical - width, critical + width)]
    return {
        "params": params, "critical_ratio": value, "low": low, "high": high, "horizon_tokens": HORIZON,
        "tolerance": TOLERANCE, "binding": "turning point", "extrapolated": True, "ratios": ratios,
        "law": {"a": 0.115, "s": 0.0, "b": value}, "decided": True,
        "status": f"critical ratio {value:.1%}, turning point binds, 90% interval {low:.1%} to {high:.1%}; "
                  "extrapolated 2x beyond the longest pilot",
        "start_loss": {"general": BASE[params][0], "domain": BASE[params][1]},
        "curves": curves, "critical_curve": dict(zip(("tokens", "value", "low", "high"),
                                                     (horizons.tolist(), *clip), strict=True)), "remedy": None,
    }  # fmt: skip


def plan_json(*, decided: bool = True) -> dict[str, Any]:
    models = [_model(params) for params in SIZES]
    predictions = [
        {"params": params, "domain_ratio": ratio, "tokens": tokens, "eval_on": eval_on, "value": value,
         "low": value - 0.006, "high": value + 0.006}
        for params in SIZES for ratio in (0.25, 0.4, 0.6) for tokens in (1_700_000, HORIZON)
        for eval_on, change in CHANGE.items()
        for value in [BASE[params][eval_on != "general"] + float(change(params, ratio, np.array([float(tokens)]))[0])]
    ]  # fmt: skip
    if not decided:
        for model in models:
            spec = {"params": model["params"], "domain_ratio": 0.15, "tokens": PILOT, "seed": 1, "flops": 1.02e12}
            remedy = {"text": f"a third ratio: {model['params']} params", "spec": spec}
            model |= {"critical_ratio": None, "low": None, "high": None, "binding": None, "law": None, "remedy": remedy,
                      "critical_curve": None,
                      "decided": False,
                      "status": "not decidable: 2 ratios were tried (0.1, 0.25), 3 are needed"}  # fmt: skip
    return {
        "decision": {"models": models, "level": 0.9}, "predictions": predictions, "general": "general",
        "domain": "code_python",
    }  # fmt: skip


def comparison_json(plan: dict[str, Any]) -> dict[str, Any]:
    noise = np.random.default_rng(3)
    rows = []
    for row in plan["predictions"]:
        measured = row["value"] + float(noise.normal(0, 0.0036))
        rows.append({k: row[k] for k in ("params", "domain_ratio", "tokens", "eval_on", "low", "high")}
                    | {"predicted": row["value"], "measured": measured, "error": measured - row["value"],
                       "inside": bool(row["low"] <= measured <= row["high"])})  # fmt: skip
    inside = sum(row["inside"] for row in rows)
    coverage = {"inside": inside, "rows": len(rows), "expected": 0.9 * len(rows), "low": 19, "high": 24,
                "verdict": "the intervals held as often as they promised"}  # fmt: skip
    kept = {"chosen_feasible": True, "general_change": 0.04, "tolerance": 0.05}
    regret = [
        {
            "params": plan["decision"]["models"][-1]["params"],
            "chosen_ratio": 0.4,
            "best_ratio": 0.4,
            "loss_difference": 0.0,
        }
        | kept
    ]
    return {"rows": rows, "coverage": coverage, "mae": 0.003, "regret": regret}


def tree_json() -> dict[str, Any]:
    nodes: list[dict[str, Any]] = []

    def add(key: str, parent: str | None, params: int, phase: int, start: int, end: int, runs: list[str]) -> None:
        ratio = float(runs[0].split("-")[1]) if phase else 0.0
        speed = 17_000.0 if params == SIZES[0] else 9_500.0
        label = runs[0] if phase else key
        nodes.append({"key": key, "parent": parent, "label": label, "params": params, "phase": phase,
                      "start_tokens": start, "end_tokens": end, "runs": [f"spec {run}" for run in runs],
                      "domain_ratio": ratio, "seconds": (end - start) / speed,
                      "tokens_per_second": speed})  # fmt: skip

    for params in SIZES:
        for seed in (0, 1):
            ratios = RATIOS if seed == 0 else (0.25,)
            runs = [f"{params}-{ratio}-s{seed}" for ratio in ratios]
            add(f"trunk {params} seed {seed}", None, params, 0, 0, TRUNK, runs)
            for ratio, run in zip(ratios, runs, strict=True):
                add(f"{run} pilot", f"trunk {params} seed {seed}", params, 1, 0, PILOT, [run])
                if seed == 0 and ratio > 0.1:
                    add(f"{run} horizon", f"{run} pilot", params, 1, PILOT, HORIZON, [run])
    tree = sum(node["end_tokens"] - node["start_tokens"] for node in nodes)
    scratch, anew = 2 * (4 * TRUNK + 5 * (TRUNK + PILOT) + 3 * HORIZON), 2 * (2 * TRUNK + 5 * PILOT + 3 * HORIZON)
    savings = {"tree_tokens": tree, "scratch_tokens": scratch, "anew_tokens": anew,
               "saved_vs_scratch": 1 - tree / scratch, "saved_vs_anew": 1 - tree / anew}  # fmt: skip
    return {"nodes": nodes, "savings": savings}


def write_study(
    folder: Path, *, decided: bool = True, without: tuple[str, ...] = (), domain: str | None = None
) -> Path:
    """Write the study's files into ``folder``, leaving out ``without``; ``domain`` renames the domain's text."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_json(decided=decided)
    frame = pd.DataFrame(ledger_rows())
    frame = frame.assign(eval_on=frame["eval_on"].str.replace("code_python", domain)) if domain else frame
    if domain:
        plan = json.loads(json.dumps(plan).replace("code_python", domain))
    plan = seal(plan, frame[(frame["tokens"] <= PILOT) | frame["domain_ratio"].isna()])
    cost = {"train_seconds": 443.0, "wall_seconds": 561.0, "flops": 2.31e13, "tokens": 26_800_000}
    values = {"plan.json": plan, "comparison.json": comparison_json(plan), "tree.json": tree_json(), "cost.json": cost}
    for name, value in values.items():
        if name not in without:
            text = json.dumps(value)
            (folder / name).write_text(text.replace("code_python", domain) if domain else text, encoding="utf-8")
    if "ledger.parquet" not in without:
        frame.to_parquet(folder / "ledger.parquet")
    return folder


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Path]:
    """``write_study``, for tests that want a study of their own."""
    return write_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study; do not write into it."""
    return write_study(tmp_path_factory.mktemp("finished") / "demo")


if __name__ == "__main__":
    out = Path(sys.argv[1])
    print(write_report(write_study(out / "decided")))
    print(write_report(write_study(out / "undecided", decided=False, without=("comparison.json",))))
    print(write_report(write_study(out / "unplanned", without=("comparison.json", "plan.json"))))
