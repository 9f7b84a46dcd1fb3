"""The shipped studies load, and the scripts beside them say what they say."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from speciate.errors import UserError
from speciate.study.load import load_study

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDIES = sorted(EXAMPLES.glob("*/study.yaml"))


def script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, EXAMPLES / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_studies() -> None:
    names = {path.parent.name for path in STUDIES}
    assert {"own_text", "domains", "distance", "prefix", "moe", "table4"} <= names


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_a_shipped_study_loads(path: Path) -> None:
    try:
        config = load_study(path)
    except UserError as error:
        missing = [problem for problem in error.problems if "does not exist" in problem.what]
        if len(missing) == len(error.problems):
            pytest.skip(f"it needs text of one's own: {missing[0].where}")
        raise
    assert config.name


@pytest.mark.parametrize("clusters", [2, 4, 8])
def test_every_number_of_clusters_loads(clusters: int) -> None:
    load_study(EXAMPLES / "domains" / "study.yaml", [f"corpus.clusters={clusters}"])


@pytest.mark.parametrize("folder", sorted({path.parent for path in STUDIES}), ids=lambda folder: folder.name)
def test_a_readme_names_scripts_that_are_there(folder: Path) -> None:
    readme = folder / "README.md"
    if not readme.is_file():
        pytest.skip("no README.md")
    text = readme.read_text(encoding="utf-8")
    for word in text.replace("`", " ").split():
        if word.endswith(".py"):
            assert (folder / word).is_file() or (EXAMPLES.parent / word).is_file(), word
    assert all(path.name in text for path in folder.glob("*.py"))


def test_pairs_are_near_middle_and_far() -> None:
    found = script("distance/pairs.py").choose([[0.0, 3.0, 1.0, 2.0, 4.0, 5.0]], 0)
    assert found == {"near": (2, 1.0), "middle": (1, 3.0), "far": (5, 5.0)}


def test_table_of_sources() -> None:
    sources = [{"source": "law", "expert": "a", "share": 0.9, "base": math.log(5.76), "expert_loss": math.log(4.85)}]
    (row,) = script("table4/table4.py").table({"sources": sources})
    assert (row["base"], row["split"]) == (pytest.approx(5.76), pytest.approx(4.85))
    assert row["gain"] == pytest.approx(0.158, abs=1e-3), "FreeLaw of the paper's table 4"


def write_study(folder: Path, domains: int, tokenizer: str = "t") -> Path:
    """A ledger of a split study with ``domains`` clusters: a seed, its experts' mean, and one expert of its own."""
    common = {"params": 100, "tokenizer": tokenizer, "eval_hash": f"h{domains}", "trunk": "small-t0"}
    rows = [
        {"run": "small-t0", "seed_tokens": 10, "tokens": 0, "train_on": "all", "eval_on": "mean", "loss": 9.0},
        {"run": "small-t0", "seed_tokens": 400, "tokens": 0, "train_on": "all", "eval_on": "mean", "loss": 3.0},
        {"run": "small-t0", "seed_tokens": 800, "tokens": 0, "train_on": "all", "eval_on": "mean", "loss": 2.6},
        {"run": "small-d400-s0", "seed_tokens": 400, "tokens": 400 // domains, "train_on": f"all/{domains}",
         "eval_on": "mean", "loss": 2.5 - domains / 10},
        {"run": "small-d400-s0", "seed_tokens": 400, "tokens": 4, "train_on": f"all/{domains}", "eval_on": "mean",
         "loss": 9.0},
        {"run": "small-d400-a-s0", "seed_tokens": 400, "tokens": 200, "train_on": "a", "eval_on": "a", "loss": 1.0},
    ]  # fmt: skip
    folder.mkdir()
    pd.DataFrame([common | row for row in rows]).to_parquet(folder / "ledger.parquet")
    warmups = "training: {warmup_tokens: 50}\nsplit: {warmup_tokens: 10}\n"
    (folder / "resolved.yaml").write_text(warmups, encoding="utf-8")
    return folder


def test_ledgers_of_several_numbers_of_domains_are_one_table(tmp_path: Path) -> None:
    combine = script("domains/combine.py")
    table = combine.combine([write_study(tmp_path / name, k) for name, k in (("two", 2), ("four", 4))])
    assert table["run"].tolist() == [f"K{k}-small-{run}" for k in (2, 4) for run in ("t0", "t0", "d400-s0")]
    assert set(table["trunk"]) == {"K2-small-t0", "K4-small-t0"} and "eval_hash" not in table.columns
    told = combine.measured(table)
    assert told.loc[(100, 800, 0.5)].tolist() == pytest.approx([2.3, 2.1])
    assert told.loc[(100, 800, 1.0)].tolist() == [2.6, 2.6] and len(told) == 2
    with pytest.raises(UserError, match="their tokenizers differ"):
        combine.combine([tmp_path / "two", write_study(tmp_path / "other", 8, "u")])


def test_routed_loss_by_the_length_of_the_prefix(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="models need the [train] extra")
    from specialists.tiny import DOMAINS, domain_texts, tiny_folder

    folder = tiny_folder(tmp_path / "out", tmp_path / "scratch")
    domains = [domain for domain in DOMAINS for _ in range(5)]
    texts = [text for domain in DOMAINS for text in domain_texts(domain, 5, seed=1)]
    found: dict[str, Any] = script("prefix/prefix.py").sensitivity(folder, texts, domains)
    from speciate.specialists.experts import Specialists

    specialists = Specialists.load(folder)
    rows = {row["tokens"]: row for row in found["rows"]}
    assert list(rows) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert rows[32]["nats"] == pytest.approx(specialists.loss(texts).nats)
    assert found["oracle"] == pytest.approx(specialists.loss(texts, "oracle", domains).nats)
    assert found["best"] <= found["oracle"] + 1e-9 and rows[64]["right"] > rows[1]["right"]
    json.dumps(found, allow_nan=False)
