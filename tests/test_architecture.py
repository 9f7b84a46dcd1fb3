"""The shape of the package: who may import whom, how long files are, and what may appear nowhere."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "speciate"
FILES = sorted(SOURCE.rglob("*.py"))

FLOOR = {"errors", "storage"}  # any room may stand on these; they stand on nothing of ours
ROOMS: dict[str, set[str]] = {
    "laws": set(),
    "fitting": {"laws"},
    "runs": set(),
    "planning": {"laws", "fitting", "runs"},
    "corpus": set(),
    "training": {"runs", "corpus"},
    "evaluation": {"runs", "corpus", "training"},
    "specialists": {"runs", "corpus", "training", "evaluation"},
    "report": {"laws", "fitting", "runs", "planning"},
    "study": {"laws", "fitting", "runs", "planning", "corpus", "training", "evaluation", "specialists", "report"},
    "cli": {
        "laws",
        "fitting",
        "runs",
        "planning",
        "corpus",
        "training",
        "evaluation",
        "specialists",
        "report",
        "study",
    },
}
FACES = {"__init__", "__main__", "plan"}  # what a Python user imports; may look into every room

TORCH = {"torch", "transformers", "accelerate", "ray"}
LAWS_MAY_IMPORT = {"numpy"}
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "misc", "common", "core", "base", "manager", "registry"}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative import"
        module = node.module or ""
        return {f"{module}.{alias.name}" for alias in node.names} if module == "speciate" else {module}
    return set()


def type_checking_only(module: ast.Module) -> set[int]:
    """Ids of the nodes below ``if TYPE_CHECKING``: read by mypy, never run."""
    guards = [n for n in ast.walk(module) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return {id(inner) for guard in guards for inner in ast.walk(guard)}


def at_import_time(module: ast.Module) -> set[str]:
    """Modules imported when the file is: outside functions, outside ``if TYPE_CHECKING``."""
    skipped = type_checking_only(module)
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped |= {id(inner) for inner in ast.walk(node)}
    return set().union(*(imported(node) for node in ast.walk(module) if id(node) not in skipped))


def test_every_folder_is_a_known_room() -> None:
    assert {room(path) for path in FILES} <= set(ROOMS) | FLOOR | FACES


@pytest.mark.parametrize("path", FILES, ids=name)
def test_rooms_look_only_where_they_may(path: Path) -> None:
    here = room(path)
    if here in FACES:
        return
    allowed = set() if here in FLOOR else FLOOR | ROOMS[here] | {here}
    if here == "cli":
        allowed = allowed | {"__version__"}
    modules = set().union(*(imported(node) for node in ast.walk(tree(path))))
    ours = {module.split(".")[1] for module in modules if module.startswith("speciate.")}
    assert "speciate" not in modules
    assert ours <= allowed, f"{name(path)} looks into {sorted(ours - allowed)}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_torch_is_loaded_only_where_models_are(path: Path) -> None:
    module = tree(path)
    if room(path) not in {"training", "evaluation", "specialists"}:
        assert not {root(m) for m in at_import_time(module)} & TORCH
    if room(path) not in {"training", "evaluation", "specialists", "corpus", "study", "cli"}:
        everywhere = set().union(*(imported(node) for node in ast.walk(module)))
        assert not {root(m) for m in everywhere} & TORCH


@pytest.mark.parametrize("path", [f for f in FILES if room(f) == "cli"], ids=name)
def test_the_command_line_imports_nothing_heavy_at_its_top(path: Path) -> None:
    third_party = {root(m) for m in at_import_time(tree(path))} & {
        "numpy", "pandas", "scipy", "pyarrow", "pydantic", "yaml", "rich", "plotly", "tokenizers", "zstandard"
    }  # fmt: skip
    assert not third_party


@pytest.mark.parametrize("path", [f for f in FILES if room(f) == "laws"], ids=name)
def test_laws_need_numpy_only(path: Path) -> None:
    outside = {root(m) for m in at_import_time(tree(path))} - LAWS_MAY_IMPORT - {"speciate"}
    assert outside <= {"__future__", "collections", "dataclasses", "itertools", "math", "typing", "functools"}


def root(module: str) -> str:
    return module.partition(".")[0]


def test_files_are_short() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {file: lines for file, lines in lengths.items() if lines > 500} == {}
    assert statistics.median(lengths.values()) <= 200


@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_names_say_what_is_inside(path: Path) -> None:
    assert not set(path.relative_to(SOURCE).with_suffix("").parts) & SAYS_NOTHING


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_loads_code_from_data(path: Path) -> None:
    module = tree(path)
    modules = set().union(*(imported(node) for node in ast.walk(module)))
    assert not {root(m) for m in modules} & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in {"eval", "exec", "torch.load", "torch.save", "yaml.load", "os.system", "os.popen"}, called
        for keyword in node.keywords:
            value = ast.unparse(keyword.value)
            assert (keyword.arg, value) not in {("shell", "True"), ("allow_pickle", "True")}, called
            assert keyword.arg != "trust_remote_code" or value == "False", called


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_module_says_what_it_is_and_is_annotated(path: Path) -> None:
    module = tree(path)
    assert ast.get_docstring(module), "a module starts with what it is for"
    assert any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in module.body) or all(
        isinstance(n, ast.Expr) for n in module.body
    )


def test_the_analysis_verbs_do_not_wait_for_scipy_stats() -> None:
    """Importing it takes longer than a fit; quantiles come from scipy.special."""
    for path in FILES:
        if room(path) in ("laws", "fitting", "runs"):
            assert "scipy.stats" not in path.read_text(encoding="utf-8"), path
