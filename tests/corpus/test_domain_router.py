"""A router between given domains: trained on prefixes, opened as the one between clusters is."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from speciate.corpus.cluster.domain_router import fit_domain_router
from speciate.corpus.cluster.step import open_router
from speciate.errors import UserError

OWN = {"law": "court judge appeal statute plaintiff", "cells": "gene protein tissue enzyme membrane"}
SHARED = ["the", "of", "and", "to", "in", "is", "for", "on"]


def document(domain: str, seed: int, words: int = 300) -> str:
    rng = random.Random(f"{domain}{seed}")
    own = OWN[domain].split()
    return " ".join(rng.choice(own if rng.random() < 0.3 else SHARED) for _ in range(words))


TEXTS = {domain: [document(domain, seed) for seed in range(60)] for domain in OWN}


def test_held_out_prefixes_go_to_their_domain(tmp_path: Path) -> None:
    fit_domain_router(TEXTS, tmp_path, prefix_tokens=16)
    router = open_router(tmp_path)
    names = json.loads((tmp_path / "clusters.json").read_text(encoding="utf-8"))["names"]
    assert names == ["cells", "law"], "sorted, whatever the order they were given in"
    assert router.tokens == 16
    for domain in OWN:
        found = router.route([document(domain, seed) for seed in range(100, 150)])
        assert np.mean([names[column] == domain for column in found]) > 0.95


def test_the_same_texts_give_the_same_files(tmp_path: Path) -> None:
    for folder, texts in (("one", TEXTS), ("two", dict(reversed(TEXTS.items())))):
        fit_domain_router(texts, tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["clusters.json", "embedding.npz", "router.npz"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_long_texts_teach_more_than_their_beginnings(tmp_path: Path) -> None:
    turning = {"law": ["and " * 64 + text for text in TEXTS["law"]], "cells": ["to " * 64 + t for t in TEXTS["cells"]]}
    whole = fit_domain_router(turning, tmp_path / "whole", window_tokens=1000)
    windows = fit_domain_router(turning, tmp_path / "windows", window_tokens=64)
    held = [document("law", seed) for seed in range(100, 150)]
    assert (windows.route(held) == 1).mean() > 0.95
    told = {name: json.loads((tmp_path / name / "clusters.json").read_text()) for name in ("whole", "windows")}
    assert told["windows"]["trained_on"]["law"] > told["whole"]["trained_on"]["law"] == len(turning["law"])
    assert whole.tokens == windows.tokens


def test_what_cannot_be_routed_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        fit_domain_router({"law": [" "]}, tmp_path)
    assert len(error.value.problems) == 2
    assert "domain law: no text to train the router on" in str(error.value) and "at least two" in str(error.value)
    assert not list(tmp_path.iterdir())
