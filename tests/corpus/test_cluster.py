"""Clustering as a step: what stands in its folder, the same from any engine, and going on after a stop."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import speciate.corpus.cluster.step as module
from speciate.corpus.cluster.step import ClusterOptions, cluster_corpus, open_router
from speciate.corpus.cluster.windows import count_tokens
from speciate.corpus.steps.engine import Engine
from speciate.corpus.steps.parts import Part, cut
from speciate.errors import UserError

TOPICS = ("law court judge appeal statute", "cell gene protein tissue enzyme", "loop array class method string",
          "river hill valley lake forest")  # fmt: skip
OPTIONS = ClusterOptions(clusters=4, dimensions=8, window=64, held_out=0.2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    shared = ["the", "of", "and", "to", "in", "is", "for", "on"]
    for file in range(4):
        rng, rows = random.Random(file), []
        for number in range(50):
            own = TOPICS[(file + number) % 4].split()
            words = [rng.choice(own if rng.random() < 0.4 else shared) for _ in range(rng.randint(20, 90))]
            rows.append(json.dumps({"text": " ".join(words), "topic": (file + number) % 4}))
        (folder / f"{file}.jsonl").write_text("\n".join(rows) + ("\n{oops" if file == 3 else ""), encoding="utf-8")
    return folder


def parts_of(source: Path) -> list[Part]:
    return cut(source, part_bytes=1e4)


def kept(out: Path) -> list[dict[str, Any]]:
    return [row for file in sorted((out / "kept").iterdir()) for row in pq.read_table(file).to_pylist()]


def run(source: Path, out: Path, options: ClusterOptions = OPTIONS, **more: Any) -> dict[str, Any]:
    return cluster_corpus(parts_of(source), out, options, **({"most_bad": 0.1} | more))


def test_every_window_has_its_cluster(source: Path, tmp_path: Path) -> None:
    report = run(source, tmp_path / "out")
    rows = kept(tmp_path / "out")
    assert len(parts_of(source)) > 1 and report["documents"] == len(rows) > 200 and report["bad"] == {"not JSON": 1}
    original = [json.loads(line)["text"] for file in sorted(source.iterdir())
                for line in file.read_text(encoding="utf-8").splitlines() if line != "{oops"]  # fmt: skip
    assert "".join(row["text"] for row in rows) == "".join(original), "nothing is lost"
    assert max(count_tokens(row["text"]) for row in rows) == 64 and len({row["id"] for row in rows}) == len(rows)
    topics = np.array([json.loads(row["meta"])["topic"] for row in rows])
    clusters, held = np.array([row["cluster"] for row in rows]), np.array([row["held_out"] for row in rows])
    agreed = sum(np.bincount(topics[clusters == cluster]).max() for cluster in range(4))
    assert agreed / len(rows) > 0.85
    sizes = np.bincount(clusters[~held], minlength=4)
    assert sizes.max() - sizes.min() <= 1, "the clustered text is in equal parts"
    assert 0.1 < held.mean() < 0.3
    told = report["clusters"]
    assert [card["windows"] for card in told["clusters"]] == sizes.tolist()
    assert told["balance"]["held_out"]["windows"] == held.sum() == told["quality"]["texts"]
    assert {row["tokens"]: row for row in told["quality"]["routing"]}[32]["r1"] > 0.8
    assert told["clusters"][clusters[0]]["terms"] and not (tmp_path / "out" / "work").exists()


def test_the_router_is_opened_from_the_folder(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "out")
    router = open_router(tmp_path / "out")
    rows = [row for row in kept(tmp_path / "out") if not row["held_out"]]
    assert (router.route([row["text"] for row in rows]) == [row["cluster"] for row in rows]).mean() > 0.9
    with pytest.raises(UserError, match="no clusters here"):
        open_router(tmp_path)


def files_of(out: Path) -> dict[str, bytes]:
    names = [*(out / "kept").iterdir(), *(out / name for name in module.OWN[1:])]
    return {str(path.relative_to(out)): path.read_bytes() for path in names}


def test_two_processes_and_a_second_run_give_the_same(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "one")
    run(source, tmp_path / "two", engine=Engine(processes=2))
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert run(source, tmp_path / "one")["done_before"]
    with pytest.raises(UserError, match="clusters was 4, is 3"):
        run(source, tmp_path / "one", ClusterOptions(clusters=3, dimensions=8, window=64, held_out=0.2))


@pytest.mark.filterwarnings("ignore")  # Ray warns of its own old settings, and leaves sockets to the collector
def test_ray_gives_the_same(source: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    run(source, tmp_path / "one")
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}})
    try:
        run(source, tmp_path / "ray", engine=Engine("ray", processes=2))
    finally:
        ray.shutdown()
    assert files_of(tmp_path / "one") == files_of(tmp_path / "ray")


@pytest.mark.parametrize("where", ["_router", "write_cards", "run_step"])
def test_a_stopped_run_goes_on(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    run(source, tmp_path / "one")

    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, where, stop)
        with pytest.raises(KeyboardInterrupt):
            run(source, tmp_path / "two")
    assert (tmp_path / "two" / "work").exists()
    run(source, tmp_path / "two")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "good")
    (tmp_path / "out" / "work").mkdir(parents=True)
    (tmp_path / "out" / "work" / "fitted.f4").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        run(source, tmp_path / "out")
    (tmp_path / "out" / "work" / "fitted.f4").unlink()
    run(source, tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "good")


def test_files_of_another_request_are_not_taken_over(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "one", ClusterOptions(clusters=3, dimensions=8, window=64, held_out=0.2))
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / "clusters.npz", tmp_path / "two")
    assert len(run(source, tmp_path / "two")["clusters"]["clusters"]) == 4


def test_what_cannot_be_clustered_is_told(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="windows for 1,000 clusters"):
        run(source, tmp_path / "out", ClusterOptions(clusters=1000, dimensions=8))
    with pytest.raises(UserError) as error:
        ClusterOptions(clusters=0, held_out=1.0)
    assert len(error.value.problems) == 2
    (tmp_path / "empty.jsonl").write_text('{"text": " "}\n', encoding="utf-8")
    with pytest.raises(UserError):
        cluster_corpus(cut(tmp_path / "empty.jsonl"), tmp_path / "none", OPTIONS)


def test_nothing_held_out_is_no_table(source: Path, tmp_path: Path) -> None:
    told = run(source, tmp_path / "out", ClusterOptions(clusters=2, dimensions=8, held_out=0.0))["clusters"]
    assert told["quality"]["texts"] == 0 and told["balance"]["held_out"]["largest_over_mean"] is None
    assert "Nothing was held out" in (tmp_path / "out" / "cards.html").read_text(encoding="utf-8")
