"""A real folder of tiny experts behind the server: the answers are those of the experts themselves."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

import torch

from pages import BLOCK, Page, whole
from specialists.server.standin import ask, chat, complete, serving, soon
from specialists.tiny import DOMAINS, domain_texts, tiny_folder
from speciate.cli.serve import serve
from speciate.errors import UserError
from speciate.specialists.experts import Specialists
from speciate.specialists.server.prompts import chat_text
from speciate.specialists.server.protocol import Message

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny") / "specialists", tmp_path_factory.mktemp("scratch"))


def prompts(count: int) -> list[str]:
    return [" ".join(domain_texts(domain, count, seed=9)[at].split()[:8]) for at in range(count) for domain in DOMAINS]


def test_answers_are_those_of_the_experts(folder: Path) -> None:
    specialists = Specialists.load(folder)
    with serving(specialists, others=("base",)) as server:
        for prompt in prompts(1):
            route, alone = specialists.route([prompt])[0], specialists.generate(prompt, max_new_tokens=10)
            told = complete(server, prompt=prompt, max_tokens=10, temperature=0).json
            assert told["model"] == alone.expert == route.expert
            assert told["speciate"]["scores"] == pytest.approx(route.scores)
            assert told["choices"][0]["text"] == alone.text
            assert told["usage"]["prompt_tokens"] == alone.prompt_tokens
            assert told["usage"]["completion_tokens"] == alone.tokens
            streamed = complete(server, prompt=prompt, max_tokens=10, temperature=0, stream=True).events[:-1]
            assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == alone.text
        drawn = specialists.generate("the cell", expert="law", max_new_tokens=10, temperature=0.7, top_p=0.8, seed=4)
        how: dict[str, Any] = {"prompt": "the cell", "max_tokens": 10, "temperature": 0.7, "top_p": 0.8}
        two = complete(server, model="law", seed=3, n=2, **how).json["choices"]
        assert two[1]["text"] == drawn.text  # the second choice has the next seed
        assert two[0]["text"] != drawn.text
        unsplit = specialists.generate("the cell", expert="base", max_new_tokens=5).text
        assert (
            complete(server, model="base", prompt="the cell", max_tokens=5, temperature=0).json["choices"][0]["text"]
            == unsplit
        )


def test_edges_of_the_context_and_of_text(folder: Path) -> None:
    specialists = Specialists.load(folder)
    with serving(specialists) as server:
        empty = complete(server, prompt="", max_tokens=4, temperature=0)
        assert (empty.status, empty.json["usage"]["prompt_tokens"]) == (200, 1)
        assert empty.json["choices"][0]["text"] == specialists.generate("", max_new_tokens=4).text
        for prompt in ("漢字 😀 é", "\x00\x01", "\n" * 20, "<|endoftext|>"):
            assert complete(server, prompt=prompt, max_tokens=3).status == 200
        longest = specialists.sequence_length - 1
        words = "the " * specialists.sequence_length
        while specialists.count_tokens(words) > longest:
            words = words.removesuffix("the ")
        assert specialists.count_tokens(words) == longest
        assert complete(server, prompt=words, max_tokens=1).json["usage"]["completion_tokens"] == 1
        assert complete(server, prompt=words, max_tokens=2).error["code"] == "context_length_exceeded"
        assert complete(server, prompt=words + "the the", max_tokens=1).error["code"] == "context_length_exceeded"
        told = chat(server, max_tokens=None, temperature=0).json
        assert told["usage"]["total_tokens"] <= specialists.sequence_length
        assert "\nUser:" not in told["choices"][0]["message"]["content"]


def test_a_damaged_file_is_named_and_the_others_serve(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(folder, copy)
    weights = copy / "experts" / "law" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with serving(Specialists.load(copy)) as server:
        for stream in (False, True):
            reply = complete(server, model="law", stream=stream)
            assert (reply.status, reply.error["code"]) == (500, "expert_damaged")
            assert "'law'" in reply.error["message"]
        for name in ("biology", "code"):
            assert complete(server, model=name).status == 200
        health = ask(server, "/health").json
        assert health["status"] == "degraded"
        assert {name: one["status"] for name, one in health["experts"].items()} == {
            "biology": "loaded", "code": "loaded", "law": "damaged",
        }  # fmt: skip


def test_the_page_says_what_happens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    page = Page("docs/serving.md", whole)
    shown = iter(block for kind, block in BLOCK.findall(page.text) if kind == "text" and not block.startswith("Answer"))
    with serving(Specialists.load(folder), others=("base",)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "any-word")
        names: dict[str, Any] = {}
        for at in range(len(page.blocks("python"))):
            assert page.python(at, names=names) == next(shown)
        names["client"].close()
    assert next(shown, None) is None
    turns = [("system", "Answer in one sentence."), ("user", "What is a statute?"), ("assistant", "A written law."),
             ("user", "And a clause?")]  # fmt: skip
    laid_out = chat_text([Message.model_validate({"role": role, "content": text}) for role, text in turns])
    assert f"```text\n{laid_out}\n```" in page.text


def load_benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("serve_load", ROOT / "benchmarks" / "serve_load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve_load"] = module
    spec.loader.exec_module(module)
    return module


def test_under_load_experts_come_and_go_without_a_wrong_answer(folder: Path) -> None:
    load = load_benchmark()
    specialists = Specialists.load(folder)
    memory = 1.5 * specialists.manifest.experts[0].bytes  # room for one
    expected = {prompt: specialists.generate(prompt, max_new_tokens=8).text for prompt in prompts(4)}
    with serving(Specialists.load(folder, memory_bytes=memory)) as server:
        found = load.load(server.url, expected, clients=50, seconds=2, tokens=8)
        assert found.failures == []
        assert found.wrong == []
        assert len(found.seconds) >= 50
        assert found.loads > 3
        assert found.answers_by_expert.keys() == set(DOMAINS)


def test_the_verb_serves_and_stops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECIATE_API_KEY", "secret")
    said, err, told, statuses = io.StringIO(), io.StringIO(), {}, []

    def use() -> None:
        soon(lambda: said.getvalue().endswith("}\n"), 20)
        told.update(json.loads(said.getvalue()))
        for key in ("secret", "wrong"):
            request = urllib.request.Request(f"{told['url']}/v1/models", headers={"Authorization": f"Bearer {key}"})
            try:
                with urllib.request.urlopen(request, timeout=20) as reply:
                    statuses.append(reply.status)
            except urllib.error.HTTPError as error:
                with error:
                    statuses.append(error.code)

    def use_and_stop() -> None:
        try:
            use()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    user = threading.Thread(target=use_and_stop)
    app = typer.Typer()
    app.command()(serve)
    arguments = [str(folder), "--port", "0", "--json", "--memory", "1", "--experts", "law,code"]
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: None)  # one that comes too late ends no test
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(err):
            user.start()
            code = typer.main.get_command(app).main(arguments, "serve", standalone_mode=False)
        user.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (code, statuses) == (0, [200, 401])
    assert told["models"] == ["auto", "code", "law", "base"]
    assert (told["host"], told["private"], told["key_needed"]) == ("127.0.0.1", True, True)
    assert err.getvalue() == "Stopped after 2 requests.\n"


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        (["--api-key"], "", "no key is set"),
        ([], "two\nlines", "no header can carry"),
        (["--memory", "0"], "", "a limit of 0.0 GB"),
        (["--experts", "law,cdoe"], "", "did you mean 'code'"),
        (["--host", "nowhere.invalid"], "", "no address of this machine"),
    ],
)
def test_what_the_verb_refuses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], key: str, said: str
) -> None:
    monkeypatch.setenv("SPECIATE_API_KEY", key)
    app = typer.Typer()
    app.command()(serve)
    with pytest.raises(UserError, match=said):
        typer.main.get_command(app).main([str(folder), *arguments], "serve", standalone_mode=False)
