"""Every law through the command line: a small table is fitted, saved, loaded, predicted from, and told in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from speciate.cli.main import main
from speciate.laws import LAWS, Law
from speciate.laws.kaplan import PUBLISHED as KAPLANS
from speciate.laws.repetition import PUBLISHED as MUENNIGHOFFS
from speciate.laws.split import PRESET
from speciate.laws.transfer import PUBLISHED as HERNANDEZS

Rows = dict[str, np.ndarray]
DOMAINS = ("code", "law", "web")  # as a table is read: by name


def grid(**axes: list[float] | np.ndarray) -> Rows:
    columns = np.meshgrid(*axes.values(), indexing="ij")
    return {name: column.ravel() for name, column in zip(axes, columns, strict=True)}


def only(rows: Rows, chosen: np.ndarray) -> Rows:
    return {name: column[chosen] for name, column in rows.items()}


def sizes() -> Rows:
    return grid(params=np.geomspace(1e8, 4e9, 5), tokens=np.geomspace(2e9, 2e11, 5))


def repeated() -> Rows:
    rows = grid(params=np.geomspace(1e8, 9e9, 4), tokens=[1e9, 1e10, 1e11], unique_tokens=[1e8, 1e9, 1e10, 1e11])
    return only(rows, rows["unique_tokens"] <= rows["tokens"])


def shares(rows: int) -> Rows:
    drawn = np.random.default_rng(0).dirichlet(np.full(len(DOMAINS), 0.8), rows).T
    return {f"share_{name}": values for name, values in zip(DOMAINS, drawn, strict=True)}


def mixtures() -> Rows:
    rng = np.random.default_rng(1)
    return {"params": rng.choice([2e8, 8e8, 3e9], 60), "tokens": rng.choice([4e9, 16e9, 64e9], 60), **shares(60)}


def stages(least: float) -> Rows:
    seeds, tokens = [least, 10e9, 20e9, 80e9], [least, 5e9, 10e9, 30e9]
    rows = grid(params=[1e8, 3.5e8, 1.3e9, 2.7e9], seed_tokens=seeds, tokens=tokens)
    return only(rows, rows["seed_tokens"] + rows["tokens"] > 0)


def finetuned() -> Rows:
    rows = grid(params=[4e7, 2e8, 1e9], tokens=[3e6, 3e7, 3e8], domain_ratio=[0.5, 0.9, 1.0])
    return {**rows, "start_loss": 4.0 - 0.3 * np.log10(rows["params"] / 1e7)}


def compute(count: int = 12, chance: float | None = 0.25) -> Rows:
    rows = {"flops": np.geomspace(1e19, 1e22, count)}
    return rows if chance is None else {**rows, "chance": np.full(count, chance)}


def along(name: str, low: float, high: float) -> Callable[[], Rows]:
    return lambda: {name: np.geomspace(low, high, 12)}


CASES: dict[str, tuple[Callable[[], Rows], list[float]]] = {
    "chinchilla": (sizes, [1.8, 480, 2100, 0.35, 0.37]),
    "kaplan": (sizes, list(KAPLANS)),
    "repetition": (repeated, list(MUENNIGHOFFS)),
    "mixture-ratio": (along("domain_ratio", 0.05, 0.95), [3.0, 0.3, 0.5]),
    "mixture-domain": (along("tokens", 1e8, 2e10), [3.0, -0.05, -0.1]),
    "mixture-general": (along("tokens", 1e8, 2e10), [3.0, 0.05, -0.02, 0.3]),
    "cmr": (along("tokens", 2e10, 4e11), [0.05, 0.05, 0.05]),
    "d-cpt": (
        lambda: grid(params=[5e8, 2e9, 7e9], tokens=[1e9, 5e9, 26e9], domain_ratio=[0.0, 0.1, 0.33, 0.66, 1.0]),
        [1.2, 0.6, 0.4, 0.15, 0.35, 0.3, 0.5, 0.8, 0.05],
    ),
    "mixing": (lambda: shares(20), [3.2, 0.6, 1.9, -0.7]),
    "optimal-mixture": (mixtures, [1.2, 0.4, 0.9, 0.5, 0.4, 0.5, 0.1, 0.3, 0.5, 0.4, 2.0]),
    "split": (lambda: stages(0.0), list(PRESET)),
    "liew-kato": (lambda: stages(2e9), [1.5, 1.2, 0.8, 0.12, 0.1, 0.015, 0.35]),
    "forgetting": (finetuned, [0.05, 30.0, 0.8, 0.7]),
    "transfer": (lambda: grid(tokens=np.geomspace(3e5, 3e9, 4), params=np.geomspace(1e7, 1e9, 3)), list(HERNANDEZS)),
    "accuracy-compute": (compute, [0.4, 0.25]),
    "accuracy-params-tokens": (lambda: {**sizes(), "chance": np.full(25, 0.25)}, [0.3, 0.6, 0.4, 0.3]),
    "accuracy-ceiling": (compute, [0.2, 0.4, 0.35]),
    "accuracy-samples": (lambda: grid(flops=[1e19, 1e20, 1e21, 1e22], samples=[1, 4, 16]), [-0.5, -0.2, -0.3, -0.02]),
    "accuracy-broken": (lambda: compute(24, chance=None), [0.9, -0.5, 0.1, 0.3, 0.3, 0.4]),
    "loss-compute": (lambda: compute(chance=None), [2000.0, 0.13]),
    "accuracy-loss-linear": (along("loss", 2.3, 4.0), [1.3, -0.25]),
    "accuracy-loss-logistic": (along("loss", 0.6, 1.6), [0.7, 0.25, -6.0, 0.9]),
    "perplexity-size": (along("params", 1e9, 1.4e10), [4.0, 0.12]),
    "sger": (along("params", 1e9, 1.4e10), [1.34, 0.44]),
}


def law_of(name: str) -> Law:
    law = LAWS[name]
    return law if law.family is None else law.family(DOMAINS)


def test_every_law_has_a_case() -> None:
    assert set(CASES) == set(LAWS)


def no_number(text: str) -> float:
    raise AssertionError(f"{text} is no JSON")


@pytest.mark.parametrize("name", CASES)
def test_fit_save_load_predict(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    law, (design, theta) = law_of(name), CASES[name]
    x = design()
    exact = law.predict(theta, x)
    noise = np.random.default_rng(0).normal(0, 1e-3, len(exact))
    rows = pd.DataFrame({**x, law.output: exact * np.exp(noise), "run": [f"r{i}" for i in range(len(exact))]})
    rows.to_csv(tmp_path / "runs.csv", index=False)
    words = ["fit", name, str(tmp_path / "runs.csv"), "--bootstrap", "20", "--out", str(tmp_path / "fit.json")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=no_number)
    wanted = {"law", "status", "parameters", "objective", "rows", "trunks", "runs", "mae", "mre", "r2", "holdout"}
    assert wanted | {"seconds", "sensitivity", "rivals"} <= set(found) and found["rivals"] is None
    assert set(found["parameters"]) == set(law.names) and found["rows"] == len(rows)
    assert all(one["low"] <= one["high"] for one in found["parameters"].values())
    assert len(found["sensitivity"]["points"]) > 0
    for mean in ([], ["--mean"]):
        assert main(["predict", str(tmp_path / "fit.json"), str(tmp_path / "runs.csv"), "--json", *mean]) == 0
        predicted = json.loads(capsys.readouterr().out, parse_constant=no_number)["rows"]
        assert set(predicted[0]) == {*(given.name for given in law.inputs), "value", "low", "high"}
        np.testing.assert_allclose([row["value"] for row in predicted], exact, rtol=0.02)
        assert all(row["low"] <= row["high"] for row in predicted)
    point = [f"{given.name}={float(x[given.name][3])!r}" for given in law.inputs]
    assert main(["predict", str(tmp_path / "fit.json"), *point]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == [*(given.name for given in law.inputs), "value", "low", "high"]
    assert float(printed[1].split()[len(law.inputs)]) == pytest.approx(exact[3], rel=0.02)


@pytest.mark.parametrize("name", CASES)
def test_a_law_is_described(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["laws", name]) == 0
    text = capsys.readouterr().out
    law = LAWS[name]
    for part in (law.formula, law.source, law.status, *(p.meaning for p in law.parameters), *law.constant):
        assert part in text
    assert main(["laws", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=no_number)
    assert [one["name"] for one in found["parameters"]] == list(law.names)
    assert (law.published is not None) == bool(found["published"]) and found["needs"]
