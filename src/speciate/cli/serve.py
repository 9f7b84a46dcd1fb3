"""The verb serve: specialists behind HTTP, as OpenAI's API speaks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciate.cli.output import DONE, Json, emit
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from speciate.specialists.server.run import Server

KEY = "SPECIATE_API_KEY"

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder of specialists.")]
Host = Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1: only this machine can reach it.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0: the system chooses one.", min=0, max=65535)]
Memory = Annotated[
    float | None, typer.Option(metavar="GB", help="Most memory for weights; experts are loaded and dropped as needed.")
]
Experts = Annotated[str | None, typer.Option(metavar="NAME,NAME", help="Serve these alone (default: all).")]
ApiKey = Annotated[bool, typer.Option("--api-key", help=f"Ask for the key in {KEY}; it has to be set.")]
Prompt = Annotated[int | None, typer.Option(help="Longest prompt, in tokens (default: what the experts take).", min=1)]
New = Annotated[int | None, typer.Option(help="Longest answer, in tokens (default: what the experts take).", min=1)]
Body = Annotated[int, typer.Option(help="Largest request, in bytes.", min=1_000)]
Workers = Annotated[int, typer.Option(help="Answers generated at once; 0: one for each core.", min=0, max=1024)]
Waiting = Annotated[int, typer.Option(help="Requests that may wait; more get 503.", min=0)]
Grace = Annotated[float, typer.Option(help="Seconds for running answers to end when stopped.", min=0)]


def serve(
    folder: Folder,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    memory: Memory = None,
    experts: Experts = None,
    api_key: ApiKey = False,
    max_prompt_tokens: Prompt = None,
    max_new_tokens: New = None,
    max_body_bytes: Body = 4 * 2**20,
    workers: Workers = 0,
    max_waiting: Waiting = 256,
    grace_seconds: Grace = 30.0,
    as_json: Json = False,
) -> int:
    """Answer completions and chats over HTTP, each prompt by the expert that it is routed to."""
    key = _key(api_key)
    if memory is not None and not memory > 0:
        raise UserError(Problem(f"a limit of {memory} GB", "--memory", "give more than 0"))
    import fastapi  # noqa: F401  the first of the extra, so that its absence is told before torch is loaded
    import torch
    import uvicorn  # noqa: F401

    from speciate.specialists.experts import BASE, Specialists
    from speciate.specialists.server.limits import Limits, cores
    from speciate.specialists.server.run import Server

    chosen = None if experts is None else [name.strip() for name in experts.split(",") if name.strip()]
    limits = Limits(
        body_bytes=max_body_bytes, prompt_tokens=max_prompt_tokens, new_tokens=max_new_tokens, workers=workers,
        waiting=max_waiting, grace_seconds=grace_seconds,
    )  # fmt: skip
    torch.set_num_threads(max(1, cores() // limits.generations))
    specialists = Specialists.load(folder, memory_bytes=None if memory is None else memory * 1e9, experts=chosen)
    others = (BASE,) if specialists.manifest.base is not None else ()
    server = Server(specialists, host, port, limits, key, others)
    ended = server.run(lambda: _told(server, folder, memory, as_json))
    requests = server.service.metrics.total("speciate_requests_total")
    print(f"Stopped after {requests:,.0f} requests.", file=sys.stderr)
    if not ended:  # a thread is within a long step, which the interpreter would wait for or crash on
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(DONE)
    return DONE


def _key(asked: bool) -> str | None:
    """The key that clients have to give: whatever the variable holds, with or without --api-key."""
    key = os.environ.get(KEY, "")
    if asked and not key:
        fix = f"export {KEY}=... (a long random word), so that it stands in no list of processes"
        raise UserError(Problem("no key is set", KEY, fix))
    if key and (not key.isascii() or not key.isprintable() or key != key.strip()):
        raise UserError(Problem("the key has letters that no header can carry", KEY, "use plain letters and digits"))
    return key or None


def _told(server: Server, folder: Path, memory: float | None, as_json: bool) -> None:
    limits, service = server.limits, server.service
    if as_json:
        facts: dict[str, Any] = {
            "status": "serving",
            "url": server.url,
            "host": server.host,
            "port": server.port,
            "pid": os.getpid(),
            "models": list(service.models),
            "private": server.private,
            "key_needed": server.key is not None,
            "generations": limits.generations,
            "waiting": limits.waiting,
        }
        emit(facts)
    else:
        reach = "only this machine can reach it" if server.private else "OTHER MACHINES can reach it"
        asks = "asks for the key" if server.key else "asks for no key"
        room = "all experts stay in memory" if memory is None else f"weights take at most {memory:g} GB"
        print(f"Serving {folder} at {server.url}/v1: {reach}; it {asks}.")
        print(f"Models: {', '.join(service.models)} (auto: each prompt goes to the expert it is routed to)")
        print(f"{limits.generations} answers at once, {limits.waiting} more requests may wait; {room}.")
        print(f"Stop with Ctrl-C: running answers have {limits.grace_seconds:g} s to end.")
    if not server.private and server.key is None:
        print(f"Warning: whoever reaches {server.url} can use it; set {KEY}.", file=sys.stderr)
    sys.stdout.flush()
