"""A study that continues a local checkpoint (grouped-query Qwen2, untied head), from its files to a sealed plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from speciate.corpus.tokens.shards import Corpus
from speciate.corpus.tokens.tokenizer import train_tokenizer
from speciate.runs.ledger import read_ledger
from speciate.runs.table import read_table
from speciate.study.layout import Layout
from speciate.study.stages import StudyResult, run_study

torch: Any = pytest.importorskip("torch", reason="training needs the [train] extra")
transformers: Any = pytest.importorskip("transformers", reason="training needs the [train] extra")

STUDY = """
name: continue what is there
corpus:
  sources: {prose: prose, code: code}
  general: [prose]
  domain: code
  held_out_share: 0.1
  tokenizer: base
models: [{name: base, init_from: base}]
training: {sequence_length: 32, batch_sequences: 8, precision: float32}
pilot: {ratios: [0.2, 0.5, 0.95], extra_seeds: {0.5: [1]}, tokens: 10240, learning_rate: 0.01, warmup_tokens: 256}
plan: {horizon_tokens: 15360, tolerance: 0.1, draws: 200}
evaluation: {tokens_per_set: 1024, points: 12}
compute: {processes: 1}
"""


def save_checkpoint(folder: Path, texts: list[str]) -> None:
    """A Qwen2 model that has learned a little of ``texts``, and its tokenizer, as transformers saves them."""
    tokenizer = train_tokenizer(texts, 300)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.save_pretrained(folder)
    config = transformers.Qwen2Config(
        vocab_size=320,  # more rows than the tokenizer has entries, as published checkpoints have
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.Qwen2ForCausalLM(config)
    ids = torch.tensor(fast(" ".join(texts))["input_ids"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(40):
        batch = ids[step * 256 : (step + 1) * 256].view(8, 32)
        model(batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def planned(study: Path) -> tuple[Layout, StudyResult]:
    """The study carried out up to its plan, in the folder of the tiny texts."""
    prose = [path.read_text(encoding="utf-8") for path in sorted((study.parent / "prose").iterdir())]
    save_checkpoint(study.parent / "base", prose)
    study.write_text(STUDY, encoding="utf-8")
    return Layout(study.parent), run_study(study, [], "plan", False, Console(stderr=True, quiet=True))


def plain_losses(layout: Layout) -> dict[str, float]:
    """The checkpoint's own loss on every held-out set: transformers alone, eager attention, all in one batch."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        layout.root / "base", local_files_only=True, attn_implementation="eager", dtype=torch.float32
    )
    corpus, losses = Corpus.open(layout.corpus), {}
    for domain in corpus.domains:
        held_out = corpus.held_out[domain]
        available = (len(held_out) - 1) // 32
        count = min(1024 // 32, available)
        starts = [index * available // count * 32 for index in range(count)]
        windows = torch.tensor([[int(token) for token in held_out[start : start + 33]] for start in starts])
        with torch.no_grad():
            logits = model(windows[:, :-1]).logits
        losses[domain] = float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()))
    return losses | {"general": losses["prose"]}


def test_every_run_starts_at_the_loss_of_the_checkpoint(planned: tuple[Layout, StudyResult]) -> None:
    layout, _ = planned
    ledger = read_ledger(layout.ledger)
    assert sorted(ledger["run"].unique()) == ["base-r0.200-s0", "base-r0.500-s0", "base-r0.500-s1", "base-r0.950-s0"]
    expected = plain_losses(layout)
    starts = ledger[ledger["tokens"] == 0]
    assert len(starts) == 4 * len(expected)
    for name, rows in starts.groupby("eval_on"):
        assert rows["loss"].tolist() == pytest.approx([expected[str(name)]] * 4, rel=1e-5)
    assert expected["general"] < 5 < expected["code"], "the checkpoint has learned prose, and no code"
    last = ledger[ledger["tokens"] == 10240].groupby(["eval_on", "domain_ratio"])["loss"].mean()
    assert last["code"].max() < expected["code"] - 1, "the runs have learned code"


def test_the_ledger_says_what_is_known_about_the_checkpoint(planned: tuple[Layout, StudyResult]) -> None:
    ledger = read_ledger(planned[0].ledger)
    seed_tokens = read_table(planned[0].ledger)["seed_tokens"]  # read_ledger leaves out what was never measured
    assert len(seed_tokens) and seed_tokens.isna().all(), "nobody told us how long it was trained"
    assert (ledger["train_on"] == "general+code").all(), "no trunk was trained"
    model = transformers.AutoModelForCausalLM.from_pretrained(planned[0].root / "base", local_files_only=True)
    embedding = 2 * 320 * 16  # untied: a table and a head
    assert set(ledger["params"]) == {sum(p.numel() for p in model.parameters()) - embedding}
    assert ledger["trunk"].nunique() == 1 and ledger["tokenizer"].nunique() == 1
    tree = json.loads(planned[0].nodes.read_text(encoding="utf-8"))
    assert {node["spec"]["model"]["kv_heads"] for node in tree["nodes"]} == {2}
    assert [node["start_tokens"] for node in tree["nodes"]] == [0] * 4


def test_a_plan_is_made_and_sealed(planned: tuple[Layout, StudyResult]) -> None:
    layout, result = planned
    assert result.exit_code in (0, 3), result.status
    plan = json.loads(layout.plan.read_text(encoding="utf-8"))
    (model,) = plan["decision"]["models"]
    assert model["params"] == plan["params"] == int(read_ledger(layout.ledger)["params"].iloc[0])
    assert {row["domain_ratio"] for row in model["ratios"]} == {0.2, 0.5, 0.95}, "no row was left out"
    assert len(plan["fitted_row_digests"]) == len(read_ledger(layout.ledger))
    assert (result.exit_code == 0) == (plan["planned_ratio"] is not None) == bool(plan["predictions"])


def test_a_trained_node_is_an_ordinary_checkpoint_again(planned: tuple[Layout, StudyResult], tmp_path: Path) -> None:
    from speciate.training.model import export_model

    layout, _ = planned
    node = json.loads(layout.nodes.read_text(encoding="utf-8"))["nodes"][0]["key"]
    out = export_model(layout.runs / node, tmp_path / "out", layout.root / "base")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(out, local_files_only=True)
    before = transformers.AutoModelForCausalLM.from_pretrained(layout.root / "base", local_files_only=True)
    assert loaded.config.num_key_value_heads == 2 and not loaded.config.tie_word_embeddings
    assert loaded.config.rope_parameters == before.config.rope_parameters
    assert loaded.config.max_position_embeddings == 64
    changed = [not torch.equal(p, q) for p, q in zip(loaded.parameters(), before.parameters(), strict=True)]
    assert all(changed), "every weight was trained, the biases and the untied head too"
    tokenizer = transformers.AutoTokenizer.from_pretrained(out, local_files_only=True)
    assert tokenizer.decode(tokenizer.encode("bako ritu")) == "bako ritu"


def test_rows_without_seed_tokens_are_planned_with(planned: tuple[Layout, StudyResult]) -> None:
    from speciate.planning.mixture.observations import observe

    table = read_table(planned[0].ledger)
    with_nulls, without = observe(table, domain="code"), observe(table.drop(columns="seed_tokens"), domain="code")
    runs = [[curve.run for curve in found.sizes[0].general] for found in (with_nulls, without)]
    assert runs[0] == runs[1]
    assert sorted(runs[0]) == sorted(table["run"].unique())
