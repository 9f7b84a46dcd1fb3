"""TensorBoard: event files of every writer, nested folders, files that were cut off."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from speciate.errors import UserError
from speciate.runs.importers import import_runs


def write_events(folder: Path, points: list[tuple[str, int, float]], style: str = "old", number: int = 1) -> Path:
    """An event file with scalars as TensorFlow 1 and PyTorch ("old") or TensorFlow 2 ("new") write them."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.scalar.metadata import create_summary_metadata
    from tensorboard.summary.writer.record_writer import RecordWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.{number}.host"
    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(event_pb2.Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
        first = True
        for tag, step, number_ in points:
            value: Any = summary_pb2.Summary.Value(tag=tag)
            if style == "old":
                value.simple_value = number_
            else:
                value.tensor.CopyFrom(make_tensor_proto(number_, dtype="float32"))
                if first or style == "new":  # some writers say what a tag is only once
                    value.metadata.CopyFrom(create_summary_metadata("", ""))
                first = False
            event = event_pb2.Event(wall_time=2.0, step=step, summary=summary_pb2.Summary(value=[value]))
            writer.write(event.SerializeToString())
        writer.flush()
    return path


POINTS = [("eval/loss", 100, 3.5), ("eval/loss", 200, 3.25), ("eval/loss", 300, float("nan"))]


@pytest.mark.parametrize("style", ["old", "new", "new, said once"])
def test_scalars(style: str, tmp_path: Path) -> None:
    write_events(tmp_path / "run-1", POINTS, style)
    table = import_runs(tmp_path, constants={"tokens_per_step": 512, "params": 1e6})
    assert table["run"].tolist() == ["run-1"] * 2 and table["loss"].tolist() == [3.5, 3.25]
    assert table["tokens"].tolist() == [51_200, 102_400] and table["eval_on"].tolist() == ["eval"] * 2


def test_nested_folders_are_runs_and_a_resumed_run_is_one(tmp_path: Path) -> None:
    write_events(tmp_path / "a" / "seed0", [*POINTS[:1], ("eval/loss", 200, 9.0)])
    write_events(tmp_path / "a" / "seed0", [*POINTS[1:2], ("eval/loss", 300, 3.0)], number=2)
    write_events(tmp_path / "a" / "seed1", [("Loss/val", 5, 4.0), ("tokens", 5, 500.0)])
    table = import_runs(tmp_path, {"loss@web": "eval/loss", "loss@val": "Loss/val"}, {"tokens_per_step": 10})
    assert table[["run", "eval_on", "tokens", "loss"]].values.tolist() == [
        ["seed0", "web", 1000, 3.5],
        ["seed0", "web", 2000, 3.25],
        ["seed0", "web", 3000, 3.0],
        ["seed1", "val", 50, 4.0],
    ]


def test_what_is_no_scalar_is_passed_over(tmp_path: Path) -> None:
    path = write_events(tmp_path, POINTS)
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    with path.open("ab") as file:
        image = summary_pb2.Summary.Image(height=1, width=1, encoded_image_string=b"png")
        value = summary_pb2.Summary.Value(tag="pictures", image=image)
        histogram = summary_pb2.Summary.Value(tag="weights", histo=summary_pb2.HistogramProto(min=0, max=1, num=0))
        event = event_pb2.Event(step=1, summary=summary_pb2.Summary(value=[value, histogram]))
        RecordWriter(file).write(event.SerializeToString())
    assert len(import_runs(path, constants={"tokens_per_step": 1})) == 2


def test_a_file_that_was_cut_off_counts_up_to_there(tmp_path: Path) -> None:
    path = write_events(tmp_path, POINTS[:2])
    path.write_bytes(path.read_bytes()[:-5])
    assert import_runs(tmp_path, constants={"tokens_per_step": 1})["loss"].tolist() == [3.5]


def test_files_of_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    writers = pytest.importorskip("torch.utils.tensorboard", reason="torch is not installed")
    with writers.SummaryWriter(str(tmp_path / "r")) as writer:
        writer.add_scalar("eval/c4_loss", 3.5, 10)
        writer.add_scalar("eval/c4_loss", 3.0, 20, new_style=True, double_precision=True)
        writer.add_text("note", "x")
    table = import_runs(tmp_path, constants={"tokens_per_step": 1})
    assert table[["run", "eval_on", "tokens", "loss"]].values.tolist() == [["r", "c4", 10, 3.5], ["r", "c4", 20, 3.0]]


def test_damaged_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    for name, content in (("empty", b""), ("junk", b"junk" * 99)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.out.tfevents.1").write_bytes(content)
        with pytest.raises(UserError):
            import_runs(tmp_path / name)


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    for name in ("tensorboard", "tensorboard.backend.event_processing.event_file_loader"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        import_runs(tmp_path)
