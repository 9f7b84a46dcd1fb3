"""The verbs route and generate: which expert of a folder of specialists a text goes to, and what that one writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciate.cli.output import DONE, Json, emit, screen, table
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speciate.specialists.routing import Route

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder of specialists.")]
Texts = Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; without any, lines of stdin.")]
File = Annotated[
    Path | None,
    typer.Option(
        "--file", help="Texts, one a line; of a .jsonl, .jsonl.gz, .jsonl.zst or .parquet, the field text of each."
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        help="The records of --file are of this exam, and go by the field of it that poses the question: ctx of "
        "hellaswag, goal of piqa, sentence of winogrande, question of others.",
        metavar="NAME",
    ),
]
TaskField = Annotated[str | None, typer.Option(help="The field of the records of --file to go by.", metavar="NAME")]
Top = Annotated[int, typer.Option(help="Experts to show of each text, the likeliest first.", min=1)]
Experts = Annotated[str | None, typer.Option(help="Choose among these only, as in law,code.")]
Prompt = Annotated[str, typer.Argument(help="What to go on with; - reads it from stdin.")]
Expert = Annotated[str | None, typer.Option(help="Ask this one instead of the one the prompt is routed to.")]
MostTokens = Annotated[int, typer.Option("--max-new-tokens", help="Tokens to generate at most.", min=1)]
Temperature = Annotated[float, typer.Option(help="0: always the likeliest token; 1: as the model has it.", min=0.0)]
TopP = Annotated[float, typer.Option(help="Draw among the likeliest tokens that make up this share.", max=1.0)]
DrawSeed = Annotated[int | None, typer.Option("--seed", help="Seed of the draws; without one they differ.", min=0)]
Stop = Annotated[list[str] | None, typer.Option(help="End before this string; may be given several times.")]


def route(
    folder: Folder,
    texts: Texts = None,
    file: File = None,
    task: Task = None,
    field: TaskField = None,
    top: Top = 1,
    experts: Experts = None,
    as_json: Json = False,
) -> int:
    """Which expert each text goes to, by its first tokens."""
    from speciate.specialists.folder import read_folder
    from speciate.specialists.routing import chosen_names, load_expert_router

    manifest = read_folder(folder)
    names = chosen_names(manifest, _names(experts))
    asked = _texts(texts, file, task, field)
    routes = load_expert_router(manifest, names).route(asked)
    if as_json:
        emit({"directory": str(folder), "prefix_tokens": manifest.prefix_tokens, "routes": [
            {"expert": each.expert, "scores": _ranked(each, top)} for each in routes
        ]})  # fmt: skip
        return DONE
    rows = [
        [name, f"{chance:.3f}", _beginning(text) if not place else ""]
        for each, text in zip(routes, asked, strict=True)
        for place, (name, chance) in enumerate(_ranked(each, top).items())
    ]
    print(table(["expert", "probability", "text"], rows, screen()))
    return DONE


def generate(
    folder: Folder,
    prompt: Prompt,
    expert: Expert = None,
    max_new_tokens: MostTokens = 64,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    seed: DrawSeed = None,
    stop: Stop = None,
    experts: Experts = None,
    as_json: Json = False,
) -> int:
    """Go on with a prompt, by the expert it is routed to; text appears as it comes."""
    import time

    from speciate.specialists.experts import Specialists

    asked = _stdin() if prompt == "-" else prompt
    specialists = Specialists.load(folder, experts=_names(experts))
    started = time.perf_counter()
    with specialists.stream(
        asked, expert=expert, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed,
        stop=stop or (),
    ) as stream:  # fmt: skip
        for piece in stream:
            if not as_json:
                _show(piece)
    made = stream.result
    assert made is not None, "a stream that has ended without an error has a result"
    if as_json:
        scores = None if expert else _ranked(specialists.route([asked])[0], len(specialists.names))
        emit({"text": made.text, "expert": made.expert, "scores": scores, "prompt_tokens": made.prompt_tokens,
              "tokens": made.tokens, "finish": made.finish, "seconds": time.perf_counter() - started})  # fmt: skip
        return DONE
    print(flush=True)
    why = "the end" if made.finish == "stop" else "the most tokens"
    print(f"{made.expert}: {made.tokens:,} tokens after {made.prompt_tokens:,}, to {why}", file=sys.stderr)
    return DONE


def _texts(texts: list[str] | None, file: Path | None, task: str | None, field: str | None) -> list[str]:
    """Of the arguments, the file or stdin."""
    from speciate.corpus.reading.files import LINES, TABLES

    problems = []
    if texts and file is not None:
        problems.append(Problem("texts and a file of texts", "--file", "give one of them"))
    if task is not None and field is not None:
        problems.append(Problem("a task, whose field is known, and a field", "--field", "leave one out"))
    of_records = file is not None and file.name.lower().endswith((*LINES, *TABLES))
    for name, given in (("--task", task), ("--field", field)):
        if given is not None and not given.strip():
            problems.append(Problem("no name", name, "give one, or leave it out"))
        if given is not None and not of_records:
            what = "no file of records" if file is None else f"{file} is no file of records"
            problems.append(Problem(what, name, f"give one by --file: {', '.join((*LINES, *TABLES))}"))
    if problems:
        raise UserError(problems)
    if texts:
        return texts
    if file is not None and of_records:
        from speciate.corpus.cluster.task_texts import task_texts

        return task_texts(file, task, field if task or field else "text")
    found = _lines(_stdin() if file is None else _read(file))
    if not found:
        raise UserError(Problem("no text", str(file or "stdin"), "give at least one line"))
    return found


def _stdin() -> str:
    if sys.stdin is None:  # the shell closed it
        raise UserError(Problem("it is closed", "stdin", "give text as an argument or through a pipe"))
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UserError(Problem(f"cannot be read ({error})", "stdin", "give UTF-8 text")) from error


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark of its encoding
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(Problem(f"cannot be read ({error})", str(file), "give a file of UTF-8 text")) from error


def _lines(held: str) -> list[str]:
    return [line for line in held.split("\n") if line.strip()]


def _names(experts: str | None) -> list[str] | None:
    return None if experts is None else [name.strip() for name in experts.split(",") if name.strip()]


def _ranked(route: Route, top: int) -> dict[str, float]:
    ordered: Sequence[tuple[str, Any]] = sorted(route.scores.items(), key=lambda item: -item[1])
    return dict(ordered[:top])


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."


def _show(piece: str) -> None:
    """At once, and with ? for letters that the terminal does not have."""
    coding = getattr(sys.stdout, "encoding", None) or "utf-8"  # stdout is None where the shell closed it
    print(piece.encode(coding, "replace").decode(coding), end="", flush=True)
