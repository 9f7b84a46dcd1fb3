"""Hugging Face's Trainer: a state, a checkpoint, an output folder, several of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from speciate.errors import UserError
from speciate.runs.importers import import_runs
from speciate.runs.importers.assemble import import_table


def history(steps: int, loss: float = 3.0, tokens: int | None = None) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for step in range(100, steps + 1, 100):
        count = {} if tokens is None else {"num_input_tokens_seen": tokens * step}
        entries.append({"epoch": 0.1, "step": step, "loss": loss + 1, "grad_norm": 1.0, **count})
        entries.append({"epoch": 0.1, "step": step, "eval_c4_loss": loss + 100 / step, "eval_c4_runtime": 2.5, **count})
        entries.append({"epoch": 0.1, "step": step, "eval_law_loss": loss + 200 / step, **count})
    return [*entries, {"epoch": 0.1, "step": steps, "train_runtime": 9.0, "total_flos": 1e15, "train_loss": 4.0}]


def save(folder: Path, steps: int, **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    state = {"global_step": steps, "max_steps": 1000, "num_input_tokens_seen": 0, "log_history": history(steps, **more)}
    (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


def test_a_state_with_counted_tokens(tmp_path: Path) -> None:
    state = save(tmp_path / "out", 200, tokens=512) / "trainer_state.json"
    table = import_runs(state, constants={"params": 1e6})
    assert table["run"].tolist() == ["out"] * 4 and table["eval_on"].tolist() == ["c4", "c4", "law", "law"]
    assert table["tokens"].tolist() == [51200, 102400] * 2 and table["loss"].tolist() == [4, 3.5, 5, 4]
    assert table["flops"].isna().tolist() == [True, False] * 2 and table["flops"][1] == 1e15
    assert "seed" not in table


def test_the_newest_state_of_an_output_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for steps in (900, 1000):
        save(out / f"checkpoint-{steps}", steps)
    given = {"tokens_per_step": "512"}
    assert len(import_runs(out, constants=given)) == 20
    assert len(import_runs(out / "checkpoint-900", constants=given)) == 18
    assert len(import_runs([out / "checkpoint-900", out / "checkpoint-1000"], constants=given)) == 20
    save(out, 1100)  # when training ended
    assert len(import_runs(out, constants=given)) == 22
    save(out, 500)  # of an earlier, shorter training into the same folder
    table = import_runs(out, constants=given)
    assert len(table) == 20 and set(table["run"]) == {"out"} and table["tokens"].max() == 512_000


def test_tokens_that_were_not_counted_are_not_zero(tmp_path: Path) -> None:
    out = save(tmp_path / "out", 200, tokens=0)
    with pytest.raises(
        UserError, match="run out was measured at several steps, and nothing says after how many tokens"
    ):
        import_runs(out)
    assert import_runs(out, constants={"tokens_per_step": 512})["tokens"].tolist() == [51200, 102400] * 2


def test_many_folders_and_what_else_is_known_of_them(tmp_path: Path) -> None:
    save(tmp_path / "runs" / "small" / "out" / "checkpoint-100", 100)
    save(tmp_path / "runs" / "large" / "out", 100)
    facts = tmp_path / "facts.csv"
    facts.write_text("run,params,seed,batch,note\nsmall/out,1e6,1,512,x\nlarge/out,4e6,2,1024,\n", encoding="utf-8")
    found = import_table([tmp_path / "runs", facts], {"tokens_per_step": "batch", "loss@*": "eval_*_loss"})
    table = found.table
    assert table["run"].tolist() == ["large/out"] * 2 + ["small/out"] * 2
    assert table["params"].tolist() == [4e6, 4e6, 1e6, 1e6] and table["seed"].tolist() == [2, 2, 1, 1]
    assert table["tokens"].tolist() == [102_400] * 2 + [51_200] * 2
    assert found.origins["tokens"] == "the step x batch" and "note" in found.unused
    facts.write_text("run,params\nsmal/out,1e6\n", encoding="utf-8")
    with pytest.raises(UserError, match="no other source has the run 'smal/out'; did you mean 'small/out'"):
        import_runs([tmp_path / "runs", facts])
    facts.write_text("run,params\na,1\na,2\n", encoding="utf-8")
    with pytest.raises(UserError, match="run 'a' has several rows"):
        import_runs([tmp_path / "runs", facts])


def test_a_state_under_another_name(tmp_path: Path) -> None:
    state = save(tmp_path / "out", 100, tokens=1) / "trainer_state.json"
    assert set(import_runs(state.rename(tmp_path / "big.json"))["run"]) == {"big"}


def test_events_beside_states_are_named(tmp_path: Path) -> None:
    out = save(tmp_path / "out", 100, tokens=1)
    (out / "runs").mkdir()
    (out / "runs" / "events.out.tfevents.1").write_bytes(b"")
    assert "--kind tensorboard" in import_table([out]).notes[0]


def test_nothing_says_which_loss(tmp_path: Path) -> None:
    state = {"log_history": [{"step": 1, "loss": 3.0, "learning_rate": 0.1}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(UserError, match=r"found loss, learning_rate; say .* 'loss@NAME=loss' \(eval/loss"):
        import_runs(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "{}", '{"log_history": 3}', '{"log_history": [3]}', "[" * 100_000, "9" * 5000]
)
def test_what_is_no_state(content: str, tmp_path: Path) -> None:
    (tmp_path / "trainer_state.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        import_runs(tmp_path)
    assert str(tmp_path / "trainer_state.json") in str(caught.value)


@pytest.mark.parametrize("entry", [{}, {"step": None}, {"step": "x", "eval_loss": 1}, {"step": 1, "eval_loss": True}])
def test_odd_entries_are_no_measurements(entry: dict[str, Any], tmp_path: Path) -> None:
    sound = {"step": 1, "eval_loss": 3.0, "num_input_tokens_seen": 5, "note": "x", "huge": 10**400}
    state = json.dumps({"log_history": [entry, sound]})
    (tmp_path / "trainer_state.json").write_text(state, encoding="utf-8")
    assert import_runs(tmp_path)["loss"].tolist() == [3.0]
