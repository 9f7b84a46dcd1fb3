"""Load on `speciate serve`: clients in a closed loop on loopback, every greedy answer compared with its expert's.

    python benchmarks/serve_load.py [--clients 50] [--seconds 120] [--tokens 16] [--folder DIR] [--memory GB]

Without --folder, three tiny experts are made. The server is a process of its own (`speciate serve`), with room for one
expert unless --memory says otherwise, so that experts are loaded and dropped all the time. Each client asks, waits for
the whole answer, and asks again; every third request is a stream. Resident memory is the server's own (VmRSS).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Found:
    """What a load did: seconds of every request that was answered, and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    first_piece: list[float] = field(default_factory=list)  # seconds until a stream began
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    tokens: int = 0
    took: float = 0.0
    answers_by_expert: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)  # (seconds since the beginning, bytes)
    loads: int = 0  # of experts into memory
    lock: threading.Lock = field(default_factory=threading.Lock)


def load(
    url: str, expected: Mapping[str, str], *, clients: int, seconds: float, tokens: int, key: str | None = None
) -> Found:
    """Ask for ``seconds``; ``expected``: the greedy answer to each prompt."""
    found, started = Found(), time.monotonic()
    end = started + seconds
    threads = [
        threading.Thread(target=_client, args=(url, dict(expected), tokens, end, number, found))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        time.sleep(min(0.5, seconds / 20))
        sample = samples(url)
        if "process_resident_memory_bytes" in sample:
            found.memory.append((time.monotonic() - started, sample["process_resident_memory_bytes"]))
    for thread in threads:
        thread.join()
    found.took = time.monotonic() - started
    found.loads = round(sum(v for k, v in samples(url).items() if k.startswith("speciate_expert_loads_total")))
    return found


def _client(url: str, expected: dict[str, str], tokens: int, end: float, number: int, found: Found) -> None:
    rng, prompts, asked = random.Random(number), list(expected), 0
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        while time.monotonic() < end:
            prompt, stream = rng.choice(prompts), asked % 3 == 2
            asked += 1
            body = {"model": "auto", "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": stream}
            began = time.monotonic()
            try:
                expert, text, written, first = _ask(connection, body)
            except Exception as error:
                connection.close()
                with found.lock:
                    found.failures.append(f"{type(error).__name__}: {error}")
                continue
            with found.lock:
                found.seconds.append(time.monotonic() - began)
                if first is not None:
                    found.first_piece.append(first - began)
                found.tokens += written
                found.answers_by_expert[expert] += 1
                if text != expected[prompt]:
                    found.wrong.append(f"{prompt!r}: {text!r} instead of {expected[prompt]!r}")
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, body: dict[str, Any]) -> tuple[str, str, int, float | None]:
    """Expert, text, tokens, and when the first piece of a stream was there."""
    if body["stream"]:
        body = body | {"stream_options": {"include_usage": True}}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    if reply.status != 200:
        raise RuntimeError(f"status {reply.status}: {reply.read()[:300]!r}")
    if not body["stream"]:
        told = json.loads(reply.read())
        return told["model"], told["choices"][0]["text"], told["usage"]["completion_tokens"], None
    first, text, expert, written, done = None, "", "", 0, False
    for line in reply:
        if not line.startswith(b"data: "):
            continue
        first = first or time.monotonic()
        if line.strip() == b"data: [DONE]":
            done = True
            continue
        chunk = json.loads(line[6:])
        if "error" in chunk:
            raise RuntimeError(str(chunk["error"]))
        expert = chunk["model"]
        text += "".join(choice["text"] for choice in chunk["choices"])
        written = (chunk.get("usage") or {}).get("completion_tokens", written)
    if not done:
        raise RuntimeError("a stream without its end")
    return expert, text, written, first


def samples(url: str) -> dict[str, float]:
    """What /metrics says now."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
    finally:
        connection.close()
    return {m[1]: float(m[2]) for m in re.finditer(r"^([^#\s]\S*) (\S+)$", page, re.MULTILINE)}


@contextmanager
def served(folder: Path, memory_gb: float | None) -> Iterator[str]:
    """`speciate serve` as a process; its address."""
    program = (
        "import sys, typer\nfrom speciate.cli.serve import serve\napp = typer.Typer()\napp.command()(serve)\n"
        "sys.exit(typer.main.get_command(app).main(sys.argv[1:], standalone_mode=False))"
    )
    command = [sys.executable, "-c", program, str(folder), "--port", "0", "--json"]
    command += [] if memory_gb is None else ["--memory", repr(memory_gb)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
            process.send_signal(signal.SIGTERM)
            print(f"exit code after SIGTERM: {process.wait(60)}")
        finally:
            process.kill()


def questions(folder: Path, count: int, tokens: int) -> tuple[dict[str, str], float]:
    """Prompts with the greedy answers of `Specialists.generate`; bytes of the largest expert."""
    import torch

    torch.set_num_threads(1)
    from speciate.specialists.experts import Specialists

    sys.path.insert(0, str(ROOT / "tests"))
    from specialists.tiny import DOMAINS, domain_texts

    specialists = Specialists.load(folder)
    texts = [text for domain in DOMAINS for text in domain_texts(domain, count, seed=9)]
    prompts = [" ".join(text.split()[: 4 + at % 20]) for at, text in enumerate(texts)]
    answers = {prompt: specialists.generate(prompt, max_new_tokens=tokens).text for prompt in dict.fromkeys(prompts)}
    return answers, max(entry.bytes for entry in specialists.manifest.experts)


def tell(found: Found) -> None:
    """The figures."""
    p50, p95, p99 = np.percentile(found.seconds, (50, 95, 99))
    first = np.percentile(found.first_piece, 95) if found.first_piece else float("nan")
    print(f"requests {len(found.seconds):,}, failures {len(found.failures)}, wrong answers {len(found.wrong)}")
    print(f"latency p50 {p50:.3f} s, p95 {p95:.3f} s, p99 {p99:.3f} s; first piece of a stream p95 {first:.3f} s")
    rates = len(found.seconds) / found.took, found.tokens / found.took
    print(f"{rates[0]:.1f} requests/s, {rates[1]:.0f} tokens/s in {found.took:.0f} s")
    print(f"experts loaded {found.loads:,} times; answers by expert {dict(sorted(found.answers_by_expert.items()))}")
    if found.memory:
        early = next(size for at, size in found.memory if at >= 0.1 * found.took or at == found.memory[-1][0])
        most = max(size for _, size in found.memory)
        print(f"resident memory at 10 % {early / 1e6:.1f} MB, at the end {found.memory[-1][1] / 1e6:.1f} MB, "
              f"at most {most / 1e6:.1f} MB")  # fmt: skip
    for line in [*found.failures[:5], *found.wrong[:5]]:
        print("  ", line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--memory", type=float, help="GB for weights (default: one expert and a half)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder
        if folder is None:
            sys.path.insert(0, str(ROOT / "tests"))
            from specialists.tiny import tiny_folder

            (Path(scratch) / "parts").mkdir()
            folder = tiny_folder(Path(scratch) / "specialists", Path(scratch) / "parts")
        expected, largest = questions(folder, 20, asked.tokens)
        memory = asked.memory if asked.memory is not None else 1.5 * largest / 1e9
        print(f"{asked.clients} clients, {len(expected)} prompts, {asked.tokens} tokens each, "
              f"{memory * 1e3:.3g} MB for weights (the largest expert has {largest / 1e6:.3g} MB), "
              f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")  # fmt: skip
        with served(folder, memory) as url:
            found = load(url, expected, clients=asked.clients, seconds=asked.seconds, tokens=asked.tokens)
            tell(found)
            left = samples(url)
            print(f"left running {left['speciate_running']:.0f}, waiting {left['speciate_waiting']:.0f}")


if __name__ == "__main__":
    main()
