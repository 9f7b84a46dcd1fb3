from __future__ import annotations

import logging
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from specialists.tiny import DOMAINS, domain_texts
from speciate.errors import UserError
from speciate.specialists.experts import Specialists
from speciate.specialists.folder import read_folder

PROMPTS = {domain: domain_texts(domain, 1, seed=6)[0][:60] for domain in DOMAINS}


def spoil(file: Path) -> None:
    """One bit of the weights is another."""
    held = bytearray(file.read_bytes())
    held[-5] ^= 1
    file.write_bytes(held)


def test_only_the_expert_that_is_needed_is_loaded(tiny: Path) -> None:
    specialists = Specialists.load(tiny)
    assert specialists.loaded == () and specialists.loaded_bytes == 0
    specialists.route(list(PROMPTS.values()))
    assert specialists.loaded == ()
    specialists.generate(PROMPTS["law"], max_new_tokens=2)
    assert specialists.loaded == ("law",)
    assert specialists.loaded_bytes == next(e.bytes for e in read_folder(tiny).experts if e.name == "law")


@pytest.mark.parametrize("how", ["a bit", "cut short", "missing", "swapped", "config", "empty folder"])
def test_a_damaged_expert_is_named_and_the_others_still_serve(own: Path, tiny: Path, how: str) -> None:
    folder = own / "experts" / "law"
    file = folder / ("config.json" if how in ("config", "empty folder") else "model.safetensors")
    if how == "a bit":
        spoil(file)
    elif how == "cut short":
        os.truncate(file, 1000)
    elif how == "missing":
        file.unlink()
    elif how == "swapped":
        shutil.copyfile(own / "experts" / "code" / "model.safetensors", file)
    elif how == "config":
        file.write_text(file.read_text(encoding="utf-8").replace('"silu"', '"relu"'), encoding="utf-8")
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    specialists, whole = Specialists.load(own), Specialists.load(tiny)
    for ask in (specialists.generate, specialists.stream):
        with pytest.raises(UserError) as raised:
            ask(PROMPTS["law"])
        assert all(problem.where.startswith(str(folder)) for problem in raised.value.problems)
        assert str(file) in str(raised.value) and "expert law: the file is" in str(raised.value)
        assert "copy this file again" in str(raised.value)
    for name in ("biology", "code"):
        assert specialists.generate(PROMPTS[name]) == whole.generate(PROMPTS[name])
    assert specialists.loaded == ("biology", "code")
    with pytest.raises(UserError, match="expert law"):
        specialists.loss([domain_texts("law", 1)[0]])
    assert specialists.loss([domain_texts("code", 1)[0]]).nats > 0


def test_a_mended_expert_serves_again(own: Path, tiny: Path) -> None:
    file = own / "experts" / "law" / "model.safetensors"
    spoil(file)
    specialists = Specialists.load(own)
    with pytest.raises(UserError, match="damaged"):
        specialists.generate(PROMPTS["law"])
    shutil.copyfile(tiny / "experts" / "law" / "model.safetensors", file)
    assert specialists.generate(PROMPTS["law"]).expert == "law"


def test_memory_is_kept_within_the_limit_and_evicted_experts_answer_alike(tiny: Path) -> None:
    size = read_folder(tiny).experts[0].bytes
    specialists = Specialists.load(tiny, memory_bytes=1.5 * size, device="cpu")
    first = {name: specialists.generate(prompt) for name, prompt in PROMPTS.items()}
    assert specialists.loaded == ("law",)
    assert {name: specialists.generate(prompt) for name, prompt in PROMPTS.items()} == first
    assert specialists.loaded_bytes <= 1.5 * size


def test_an_expert_beyond_the_limit_is_loaded_alone_with_a_note(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    specialists = Specialists.load(tiny, memory_bytes=10)
    with caplog.at_level(logging.WARNING):
        assert specialists.generate(PROMPTS["law"]).expert == "law"
        assert specialists.generate(PROMPTS["code"]).expert == "code"
    assert specialists.loaded == ("code",)
    assert "law takes" in caplog.text and "it is loaded alone" in caplog.text


def test_half_precision_takes_half_the_memory(tiny: Path) -> None:
    specialists = Specialists.load(tiny, dtype=torch.bfloat16, device="cpu")
    assert specialists.generate(PROMPTS["law"], max_new_tokens=3).tokens == 3
    assert specialists.loaded_bytes == next(e.bytes for e in read_folder(tiny).experts if e.name == "law") // 2


def test_a_generation_that_is_under_way_finishes_when_its_room_is_wanted(tiny: Path) -> None:
    size = read_folder(tiny).experts[0].bytes
    alone = Specialists.load(tiny, device="cpu")
    wanted = alone.generate(PROMPTS["law"], max_new_tokens=90).text
    specialists = Specialists.load(tiny, memory_bytes=size, device="cpu")  # room for one
    with specialists.stream(PROMPTS["law"], max_new_tokens=90) as stream:
        pieces = [next(stream)]
        others = [
            threading.Thread(target=specialists.generate, args=(PROMPTS[name],), kwargs={"max_new_tokens": 4})
            for name in ("code", "biology", "code")
        ]
        for thread in others:
            thread.start()
        for thread in others:  # while the stream is not read: a slow reader holds nobody up
            thread.join(20)
        assert not any(thread.is_alive() for thread in others)
        pieces += stream
    assert "".join(pieces) == wanted
    assert specialists.loaded != ("law",)


def test_an_error_while_generating_reaches_the_reader(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specialists = Specialists.load(tiny, device="cpu")
    specialists.generate(PROMPTS["law"], max_new_tokens=1)
    model = specialists._memory._held["law"].model
    monkeypatch.setattr(model, "generate", lambda *_, **__: 1 / 0)
    stream = specialists.stream(PROMPTS["law"])
    with pytest.raises(ZeroDivisionError):
        next(stream)
    assert list(stream) == [] and stream.result is None
    monkeypatch.undo()
    assert specialists.generate(PROMPTS["law"], max_new_tokens=3).tokens == 3


def test_a_limit_of_nothing_is_refused(tiny: Path) -> None:
    for limit in (0, -1, float("nan")):
        with pytest.raises(UserError, match="a limit of"):
            Specialists.load(tiny, memory_bytes=limit)


def test_experts_that_are_loaded_at_once_are_whole(tiny: Path) -> None:
    """transformers cannot load two models at the same time: some would miss their heads, others come out random."""
    wanted = {name: Specialists.load(tiny, device="cpu").generate(prompt) for name, prompt in PROMPTS.items()}
    found, wrong = [], []

    def work(specialists: Specialists, name: str) -> None:
        try:
            found.append(specialists.generate(PROMPTS[name]) == wanted[name])
        except UserError as error:
            wrong.append(error)

    for _ in range(2):
        specialists = Specialists.load(tiny, device="cpu")
        threads = [threading.Thread(target=work, args=(specialists, name)) for name in (*DOMAINS, *DOMAINS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert not wrong and found == [True] * 12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "nowhere"}, "no device 'nowhere'"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
        ({"dtype": "float16"}, "a dtype 'float16'"),
        ({"dtype": torch.int8}, "a dtype torch.int8"),
    ],
)
def test_a_device_or_dtype_that_there_is_not(tiny: Path, options: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Specialists.load(tiny, **options)


def test_one_expert_may_be_named_without_a_list(tiny: Path) -> None:
    assert Specialists.load(tiny, experts="law").names == ("law",)


def test_what_is_no_text_is_named(specialists: Specialists) -> None:
    with pytest.raises(UserError) as raised:
        specialists.route(["law", "\udcff", 3, b"x"])  # type: ignore[list-item]
    assert [problem.where for problem in raised.value.problems] == ["text 2", "text 3", "text 4"]
    for expert in (None, "law"):
        with pytest.raises(UserError, match="it is not Unicode"):
            specialists.generate("\udcff", expert=expert)
    assert len(specialists.route(each for each in PROMPTS)) == len(PROMPTS)  # type: ignore[arg-type]
