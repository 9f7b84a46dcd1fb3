from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from specialists.tiny import DOMAINS, domain_texts
from speciate.errors import UserError
from speciate.specialists.experts import Specialists
from speciate.specialists.generate import Sampling, Stream, _Draw, _end_streams

PROMPT = domain_texts("law", 1, seed=5)[0][:60]


def plain(folder: Path, prompt: str, tokens: int) -> str:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    batch = tokenizer(prompt, return_tensors="pt")
    out = model.generate(**batch, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    return str(tokenizer.decode(out[0, batch["input_ids"].shape[1] :], skip_special_tokens=True))


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_is_the_text_of_plain_transformers_and_the_routed_expert(
    specialists: Specialists, tiny: Path, domain: str
) -> None:
    prompt = domain_texts(domain, 1, seed=5)[0][:60]
    made = specialists.generate(prompt, max_new_tokens=40)
    assert (made.expert, made.tokens, made.finish) == (domain, 40, "length")
    assert made.prompt_tokens == specialists.count_tokens(prompt)
    assert made.text == plain(tiny / "experts" / domain, prompt, 40)


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 1.0, "seed": 1}, {"temperature": 2.0, "seed": 2, "stop": ["e"]}]
)
def test_the_pieces_of_a_stream_are_the_text(specialists: Specialists, options: dict[str, Any]) -> None:
    stream = specialists.stream(PROMPT, **options)
    assert stream.expert == "law"
    pieces = list(stream)
    assert all(pieces)
    assert stream.result == specialists.generate(PROMPT, **options)
    assert stream.result is not None and "".join(pieces) == stream.result.text
    assert list(stream) == []


def test_a_seed_repeats_and_no_seed_does_not(specialists: Specialists) -> None:
    drawn = [specialists.generate(PROMPT, temperature=1.5, seed=seed).text for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    state = torch.random.get_rng_state()
    free = {specialists.generate(PROMPT, temperature=1.5).text for _ in range(3)}
    assert len(free) == 3
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random state is left alone"


def test_draws_have_the_probabilities_of_temperature_and_top_p() -> None:
    chances = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    draw = _Draw(Sampling(temperature=2.0, seed=0), torch.device("cpu"))
    count = Counter(int(draw(chances, chances.log()).argmax()) for _ in range(4000))
    wanted = chances[0].sqrt() / chances[0].sqrt().sum()
    assert [count[i] / 4000 for i in range(4)] == pytest.approx(wanted.tolist(), abs=0.035)
    draw = _Draw(Sampling(temperature=1.0, top_p=0.7, seed=0), torch.device("cpu"))
    count = Counter(int(draw(chances, chances.log()).argmax()) for _ in range(4000))
    assert set(count) == {0, 1} and count[0] / 4000 == pytest.approx(0.625, abs=0.035)
    draw = _Draw(Sampling(temperature=1.0, top_p=1e-9), torch.device("cpu"))
    assert {int(draw(chances, chances.log()).argmax()) for _ in range(20)} == {0}


def test_a_text_ends_before_a_stop_string(specialists: Specialists) -> None:
    whole = specialists.generate(PROMPT).text
    stop = whole[20:24]
    made = specialists.generate(PROMPT, stop=[stop])
    assert made.text == whole[: whole.index(stop)] and made.finish == "stop" and made.tokens < 64
    assert specialists.generate(PROMPT, stop=stop) == made
    assert specialists.generate(PROMPT, stop=["never this"]).text == whole


def test_a_token_that_ends_the_text_ends_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specialists = Specialists.load(tiny, device="cpu")
    whole = specialists.generate(PROMPT, max_new_tokens=8, temperature=1.0, seed=4).text
    last = specialists.tokenizer.encode(whole).ids[-1]
    monkeypatch.setattr(specialists, "_end", last)
    options: dict[str, Any] = {"temperature": 1.0, "seed": 4}
    made = specialists.generate(PROMPT, max_new_tokens=60, **options)
    assert made.finish == "stop" and made.tokens <= 8
    ending = specialists.tokenizer.decode([last])
    assert made.text.endswith(ending) and whole.startswith(made.text)  # no special token here, so it is decoded
    with specialists.stream(PROMPT, max_new_tokens=60, **options) as stream:
        assert "".join(stream) + ending == made.text


def test_prompt_and_answer_share_the_sequence(specialists: Specialists) -> None:
    text = domain_texts("law", 1, words=400)[0]
    ids = specialists.tokenizer.encode(text).ids
    for size, room in ((127, 1), (100, 28)):
        prompt = specialists.tokenizer.decode(ids[:size])
        count = specialists.count_tokens(prompt)
        made = specialists.generate(prompt, max_new_tokens=64)
        assert made.tokens == 128 - count and abs(128 - count - room) <= 2
        assert made.finish == "length"
    with pytest.raises(UserError, match=r"a prompt of [\d,]+ tokens, of 128 .* at most 127 tokens"):
        specialists.generate(text)


def test_an_empty_prompt_begins_a_text(specialists: Specialists) -> None:
    made = specialists.generate("", max_new_tokens=4)
    assert made.prompt_tokens == 1 and made.tokens >= 1


def test_the_base_and_a_named_expert_can_be_asked(specialists: Specialists, tiny: Path) -> None:
    assert specialists.generate(PROMPT, expert="base", max_new_tokens=9).text == plain(tiny / "base", PROMPT, 9)
    assert specialists.generate(PROMPT, expert="code", max_new_tokens=9).expert == "code"
    with pytest.raises(UserError, match="no expert 'laww'; did you mean 'law'"):
        specialists.stream(PROMPT, expert="laww")


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.1}, {"max_new_tokens": 0},
     {"seed": -1}, {"stop": [""]}],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(specialists: Specialists, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        specialists.generate(PROMPT, **wrong)


def test_a_reader_that_stops_ends_the_generation(tiny: Path) -> None:
    for stop in (lambda stream: stream.close(), lambda stream: None):
        specialists = Specialists.load(tiny, device="cpu")
        stream = specialists.stream("a", expert="law", max_new_tokens=120)
        stop(stream)
        del stream
        held = specialists._memory._held["law"]
        for _ in range(200):
            if not held.users:
                break
            time.sleep(0.02)
        assert not held.users


def test_threads_get_what_each_gets_alone(tiny: Path) -> None:
    alone = Specialists.load(tiny, device="cpu")
    asked = [(domain_texts(d, 1, seed=n)[0][:50], n) for n in range(4) for d in DOMAINS]
    options: dict[str, Any] = {"max_new_tokens": 12, "temperature": 1.0}
    wanted = [alone.generate(prompt, seed=seed, **options) for prompt, seed in asked]
    size = max(entry.bytes for entry in alone.manifest.experts)
    shared = Specialists.load(tiny, memory_bytes=2.2 * size, device="cpu")  # room for two of three
    found: dict[int, Any] = {}

    def work(at: int) -> None:
        prompt, seed = asked[at]
        if at % 2:
            found[at] = shared.generate(prompt, seed=seed, **options)
        else:
            with shared.stream(prompt, seed=seed, **options) as stream:
                text = "".join(stream)
            found[at] = stream.result if stream.result and stream.result.text == text else text

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [found.get(at) for at in range(len(asked))] == wanted
    assert len(shared.loaded) <= 2 and shared.loaded_bytes <= 2.2 * size


@pytest.mark.parametrize("temperature", [1e-320, 1e-45, 1e-5])
def test_next_to_no_temperature_is_none(specialists: Specialists, temperature: float) -> None:
    cold = specialists.generate(PROMPT, max_new_tokens=8, temperature=temperature, seed=1)
    assert cold == specialists.generate(PROMPT, max_new_tokens=8)


def test_a_program_may_end_while_a_stream_goes_on(tiny: Path) -> None:
    code = "import sys; from speciate import Specialists; s = Specialists.load(sys.argv[1])\n"
    code += "with s.stream('the court', max_new_tokens=120, temperature=1.0) as t: next(t); raise SystemExit(7)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    ended = subprocess.run([sys.executable, "-c", code, str(tiny)], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (7, "")


def test_when_the_interpreter_ends_streams_do_first() -> None:
    ended = threading.Event()

    def run(tell: Any, cancelled: Any) -> Any:
        while not cancelled():
            time.sleep(0.001)
        ended.set()

    stream = Stream("law", run)
    _end_streams()
    assert ended.is_set() and stream.result is None
