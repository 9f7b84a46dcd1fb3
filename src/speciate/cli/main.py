"""The command ``speciate``: its verbs, and what becomes of an error.

Nothing heavy is imported here: a verb imports what it needs when it is called, so that
``speciate --help`` is immediate and the analysis verbs run without torch.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from speciate import __version__
from speciate.cli import (
    analysis,
    corpus_classify,
    corpus_clean,
    corpus_cluster,
    corpus_inspect,
    corpus_tokenize,
    cost,
    experts,
    imports,
    plan_accuracy,
    plan_decide,
    plan_next,
    plan_specialize,
    plan_split,
    plans,
    serve,
    studies,
)
from speciate.cli.output import DONE, NOT_DECIDABLE, OURS, STOPPED, USER_ERROR, Stopped, emit, show_problems
from speciate.errors import NotDecidable, Problem, UserError, machine_problem

_EXTRAS = {
    "torch": "train",
    "transformers": "train",
    "tokenizers": "train",
    "safetensors": "train",
    "zstandard": "train",
    "sklearn": "corpus",
    "datasketch": "corpus",
    "openai": "corpus",
    "py3langid": "corpus",
    "rustbpe": "corpus",
    "tiktoken": "corpus",
    "datasets": "hub",
    "ray": "ray",
    "fastapi": "serve",
    "uvicorn": "serve",
    "plotly": "report",
}
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # click's, which newer Typers carry within themselves


def build() -> typer.Typer:
    """The application with all its verbs."""
    app = typer.Typer(
        name="speciate",
        help="How much domain text can continued pretraining take? Pilot runs, scaling laws, a sealed answer, a check.",
        epilog="Exit codes: 0 done, 2 your input (every problem listed), 3 not decidable from these rows, 1 our fault.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # rendering help with rich would cost more than everything else in --help
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    app.command("demo")(studies.demo)
    app.command("init")(studies.init)
    app.command("run")(studies.run)
    app.command("validate")(studies.validate)
    app.command("report")(studies.report)
    app.command("compare")(studies.compare)
    app.command("laws")(analysis.laws)
    app.command("fit", cls=analysis.FitCommand)(analysis.fit)
    app.command("predict")(analysis.predict)
    app.command("import")(imports.import_logs)
    app.command("cost")(cost.cost)
    app.command("route")(experts.route)
    app.command("generate")(experts.generate)
    app.command("serve")(serve.serve)
    plan = typer.Typer(help="Decide from a table of measurements.", no_args_is_help=True, rich_markup_mode=None)
    plan.command("mixture")(plans.mixture)
    plan.command("accuracy")(plan_accuracy.accuracy)
    plan.command("specialize")(plan_specialize.specialize)
    plan.command("split")(plan_split.split)
    plan.command("decide")(plan_decide.decide)
    plan.command("next")(plan_next.next_run)
    app.add_typer(plan, name="plan")
    corpus = typer.Typer(help="From raw text to domains.", no_args_is_help=True, rich_markup_mode=None)
    corpus.command("inspect")(corpus_inspect.inspect)
    corpus.command("clean")(corpus_clean.clean)
    corpus.command("classify")(corpus_classify.classify)
    corpus.command("cluster")(corpus_cluster.cluster)
    corpus.command("tokenize")(corpus_tokenize.tokenize)
    app.add_typer(corpus, name="corpus")
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code. Users' errors never show a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name or a sign that the terminal has no letters for
    try:
        code = typer.main.get_command(build()).main(args=arguments, prog_name="speciate", standalone_mode=False)
        if sys.stdout is not None:  # the shell may have closed it
            sys.stdout.flush()
        if code == STOPPED:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else DONE
    except UserError as error:
        show_problems(error.problems, as_json)
        return USER_ERROR
    except NotDecidable as error:
        print(f"Not decidable: {error.reason}\n  what would settle it: {error.remedy}", file=sys.stderr)
        if as_json:
            emit({"status": f"not decidable: {error.reason}", "reason": error.reason, "remedy": error.remedy})
        return NOT_DECIDABLE
    except Stopped:
        return STOPPED
    except (KeyboardInterrupt, typer.Abort):
        verb = next((word for word in arguments if not word.startswith("-")), "")
        keeps = verb in ("run", "demo") or (verb == "corpus" and "inspect" not in arguments)
        onward = "goes on from here" if keeps else "begins anew"
        print(f"Stopped. The same command {onward}.", file=sys.stderr)
        if as_json:
            emit({"status": "stopped"})
        return STOPPED
    except (BrokenPipeError, SystemExit):  # the reader has gone, as in: speciate laws | head -1 (click exits then)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        return DONE
    except Exception as error:
        return _other(error, as_json, debug="--debug" in arguments)


def _other(error: Exception, as_json: bool, debug: bool) -> int:
    if isinstance(error, _UsageError):
        error.show()  # type: ignore[attr-defined]
        if as_json:
            message = error.format_message()  # type: ignore[attr-defined]
            fix = "see speciate --help"
            emit({"status": "usage error", "problems": [{"what": message, "where": "command line", "fix": fix}]})
        return USER_ERROR
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _EXTRAS:
        module = (error.name or "").partition(".")[0]
        fix = f"pip install 'speciate[{_EXTRAS[module]}]'"
        show_problems((Problem(f"{module} is not installed", "this Python environment", fix),), as_json)
        return USER_ERROR
    if debug:
        traceback.print_exception(error)
    if (refused := machine_problem(error)) is not None:
        with contextlib.suppress(OSError):  # it may be stdout that the machine refuses to write
            show_problems((refused,), as_json)
        return USER_ERROR
    hint = "" if debug else "; speciate --debug ... prints where"
    print(f"This is a fault of Speciate's: {type(error).__name__}: {error}{hint}", file=sys.stderr)
    if as_json:
        emit({"status": f"internal error: {type(error).__name__}: {error}"})
    return OURS


def _version(wanted: bool) -> None:
    if wanted:
        print(f"speciate {__version__}")
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of a fault of ours.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the verb; ``main`` looks for --debug itself, as it must know when parsing fails."""


if __name__ == "__main__":
    sys.exit(main())
