"""Choose pairs of clusters by the distance of their centroids, and write a study of each.

    python pairs.py STUDY_FOLDER [CLUSTER]

STUDY_FOLDER has run to its corpus. CLUSTER (0) is paired with the cluster nearest to it, the one at the median
distance, and the farthest; ``near/``, ``middle/`` and ``far/`` beside its study.yaml get a study.yaml of their own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from speciate.corpus.steps.engine import Engine
from speciate.corpus.steps.parts import cut, read_part
from speciate.corpus.tokens.step import Tokenizing, tokenize_corpus


def choose(distances: list[list[float]], cluster: int) -> dict[str, tuple[int, float]]:
    """The nearest cluster, the one at the median distance, and the farthest, each with its distance.

    >>> choose([[0, 3, 1, 2]], 0)
    {'near': (2, 1), 'middle': (3, 2), 'far': (1, 3)}
    """
    row = distances[cluster]
    others = sorted((other for other in range(len(row)) if other != cluster), key=lambda other: row[other])
    found = {"near": others[0], "middle": others[len(others) // 2], "far": others[-1]}
    return {name: (other, row[other]) for name, other in found.items()}


def clustered(folder: Path) -> Iterator[dict[str, Any]]:
    """Every window: its text, its cluster, and whether it is held out."""
    for part in cut(folder):
        for document in read_part(part):
            told = document.meta or {}
            yield {"text": document.text, "cluster": told["cluster"], "held_out": told["held_out"]}


def write_pair(study: Path, name: str, pair: tuple[int, int], windows: Iterable[dict[str, Any]]) -> Path:
    """The corpus of two clusters, split as it was and tokenised as before, and the study on it."""
    out = study / name
    out.mkdir(exist_ok=True)
    text = out / "text.jsonl"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(window) + "\n" for window in windows if window["cluster"] in pair)
    tokenizer = str(study / "corpus" / "tokenizer.json")
    how = Tokenizing(tokenizer=tokenizer, domain_field="cluster", held_out_field="held_out")
    tokenize_corpus({str(text): "text"}, out / "tokens", how, Engine())
    told = yaml.safe_load((study / "study.yaml").read_text(encoding="utf-8"))
    told["corpus"] = {"prepared": "tokens"}
    told["name"] = f"Two domains: {name}"
    (out / "study.yaml").write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return out / "study.yaml"


def main(arguments: list[str]) -> None:
    """Write the three studies."""
    if len(arguments) not in (1, 2):
        raise SystemExit(__doc__)
    study, cluster = Path(arguments[0]), int(arguments[1]) if len(arguments) == 2 else 0
    told = json.loads((study / "clusters" / "clusters.json").read_text(encoding="utf-8"))
    windows = list(clustered(study / "clusters"))
    for name, (other, distance) in choose(told["distances"], cluster).items():
        words = " | ".join(" ".join(told["clusters"][number]["terms"][:5]) for number in (cluster, other))
        print(f"{name:6}  clusters {cluster} and {other}, distance {distance:.3f}: {words}")
        print(f"        speciate run {write_pair(study, name, (cluster, other), windows)}")


if __name__ == "__main__":
    main(sys.argv[1:])
