from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from specialists.tiny import DOMAINS
from speciate.errors import UserError
from speciate.specialists.build import build_specialists
from speciate.specialists.experts import Specialists
from speciate.specialists.folder import MANIFEST, read_folder
from speciate.storage import file_digest


def sources(made_from: Path) -> dict[str, Path]:
    return {name: made_from / name for name in DOMAINS}


def changed(folder: Path, change: Any) -> None:
    held = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(held)
    (folder / MANIFEST).write_text(json.dumps(held), encoding="utf-8")


def test_it_says_what_it_holds(tiny: Path) -> None:
    manifest = read_folder(tiny)
    assert manifest.names == DOMAINS
    assert (manifest.prefix_tokens, manifest.sequence_length, manifest.about) == (32, 128, {"study": "tiny"})
    for entry in manifest.entries:
        folder = tiny / entry.folder
        assert {name: file_digest(folder / name) for name in os.listdir(folder)} == entry.files
        assert entry.bytes == (folder / "model.safetensors").stat().st_size
    law = manifest.experts[2]
    assert (law.name, law.domain, law.tokens) == ("law", "law", 60 * 4 * 128)
    assert manifest.base is not None and manifest.base.domain is None
    assert sorted(os.listdir(tiny.parent)) == ["made_from", "out"], "nothing unfinished is left beside it"


def test_an_expert_is_an_ordinary_checkpoint(tiny: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny / "experts" / "law", local_files_only=True)
    outside = model.get_input_embeddings().weight.numel()  # tied to the head
    params = next(entry.params for entry in read_folder(tiny).experts if entry.name == "law")
    assert params == sum(p.numel() for p in model.parameters()) - outside
    assert AutoTokenizer.from_pretrained(tiny / "experts" / "law")("the law").input_ids


def test_the_card_names_every_model(tiny: Path) -> None:
    card = Specialists.load(tiny).card
    assert all(f"| {name} |" in card for name in (*DOMAINS, "base"))
    assert "- study: tiny" in card and "first 32 tokens" in card


def test_code_and_pickles_stay_behind(made_from: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(made_from, tmp_path / "from"))
    for name in ("pytorch_model.bin", "modeling_own.py", "optimizer.pt"):
        (own / "law" / name).write_bytes(b"x")
    out = build_specialists(tmp_path / "out", sources(own), own / "router")
    assert not {"pytorch_model.bin", "modeling_own.py", "optimizer.pt"} & set(os.listdir(out / "experts" / "law"))
    assert sorted(os.listdir(tmp_path)) == ["from", "out"]


def test_every_problem_of_what_is_given_is_named_and_nothing_is_left(made_from: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(made_from, tmp_path / "from"))
    (own / "code" / "model.safetensors").unlink()
    (own / "biology" / "tokenizer.json").unlink()
    given = sources(own)
    given["auto"] = given.pop("law")
    with pytest.raises(UserError) as raised:
        build_specialists(tmp_path / "out", given, own / "router")
    said = str(raised.value)
    for one in ("named 'auto'", "knows no 'auto'", "no expert 'law'", "code: no weights", "biology: no tokenizer.json"):
        assert one in said
    assert sorted(os.listdir(tmp_path)) == ["from"]


def test_experts_of_another_tokenizer_are_refused(made_from: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(made_from, tmp_path / "from"))
    file = own / "law" / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(UserError, match="another tokenizer or vocabulary than biology's"):
        build_specialists(tmp_path / "out", sources(own), own / "router")


def test_weights_cut_short_and_models_with_code_are_refused(made_from: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(made_from, tmp_path / "from"))
    weights = own / "law" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    config = json.loads((own / "code" / "config.json").read_text(encoding="utf-8"))
    (own / "code" / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "own.Config"}}))
    with pytest.raises(UserError) as raised:
        build_specialists(tmp_path / "out", sources(own), own / "router")
    assert "expert law: cannot be read" in str(raised.value)
    assert "expert code: a model with its own code" in str(raised.value)


def test_a_folder_in_the_place_is_kept(made_from: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="something is there already"):
        build_specialists(tmp_path / "out", sources(made_from), made_from / "router")
    (tmp_path / "out" / "mine.txt").unlink()
    build_specialists(tmp_path / "out", sources(made_from), made_from / "router")
    assert read_folder(tmp_path / "out").base is None


def test_a_folder_of_something_else_is_refused(tmp_path: Path, own: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        Specialists.load(tmp_path / "none")
    with pytest.raises(UserError, match="no folder of specialists"):
        Specialists.load(tmp_path)
    changed(own, lambda held: held.update(format="speciate-specialists-9"))
    with pytest.raises(UserError, match="format 'speciate-specialists-9'; this version reads 'speciate-specialists-1'"):
        Specialists.load(own)


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held["experts"][0].update(folder="../../etc"),
        lambda held: held["experts"][0].update(name="../law"),
        lambda held: held["experts"][0]["files"].update({"../secret": "0" * 64}),
        lambda held: held["router"].update(folder="/tmp"),
        lambda held: held["experts"].clear(),
        lambda held: held.pop("experts"),
        lambda held: held.update(experts=3),
        lambda held: held["experts"].append(held["experts"][0]),
        lambda held: held["experts"][1].update(bytes="many"),
        lambda held: held.pop("format"),
        lambda held: held.update(sequence_length=0),
        lambda held: held.update(sequence_length=float("inf")),
        lambda held: held["router"].update(prefix_tokens=-1),
    ],
)
def test_a_damaged_manifest_is_refused_and_nothing_outside_is_read(own: Path, change: Any) -> None:
    changed(own, change)
    with pytest.raises(UserError, match="not a manifest of specialists"):
        read_folder(own)


def test_a_manifest_that_is_no_json_is_refused(own: Path) -> None:
    for text in ("", "[]", '{"format": '):
        (own / MANIFEST).write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="not a manifest of specialists"):
            read_folder(own)


@pytest.mark.parametrize("name", ["router.npz", "embedding.npz", "clusters.json"])
def test_a_damaged_router_is_named(own: Path, name: str) -> None:
    file = own / "router" / name
    file.write_bytes(file.read_bytes()[:-3] + b"xyz")
    with pytest.raises(UserError, match=f"{name}: the router: the file is damaged"):
        Specialists.load(own)


def test_one_whole_copy_of_the_tokenizer_is_enough(own: Path) -> None:
    files = [own / entry.folder / "tokenizer.json" for entry in read_folder(own).entries]
    for file in files[:-1]:
        file.write_text("{}", encoding="utf-8")
    assert Specialists.load(own).count_tokens("the law") > 0
    files[-1].write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="no copy of the tokenizer is whole"):
        Specialists.load(own)


def test_a_manifest_of_other_names_than_the_routers_is_refused(own: Path) -> None:
    changed(own, lambda held: held["experts"][0].update(name="other", folder="experts/other"))
    with pytest.raises(UserError, match="it knows no other"):
        Specialists.load(own)


def test_a_manifest_nested_without_end_is_refused(own: Path) -> None:
    (own / "specialists.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(UserError, match="not a manifest of specialists"):
        read_folder(own)
