"""What people type wrong, and what breaks under them: exit 2, all problems named, nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speciate.cli.main import main

HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
STUDY = """
corpus: {sources: {prose: prose, code: code}, general: [prose], domain: code, held_out_share: 0.1, vocabulary: 300}
models: [{name: a, hidden_size: 16, layers: 1, heads: 2, intermediate_size: 32}]
training: {sequence_length: 32, batch_sequences: 8, warmup_tokens: 2560}
trunk: {tokens: 10240}
pilot: {tokens: 10240, warmup_tokens: 256}
plan: {horizon_tokens: 15360}
evaluation: {tokens_per_set: 1024}
"""
TABLE = "run,params,tokens,loss\n" + "".join(
    f"r{n},{n},{d},{1.8 + 480 / n**0.35 + 2100 / d**0.37}\n" for n in (1e8, 2e8, 1e9) for d in (2e9, 8e9, 3e10)
)
Refused = Callable[..., list[dict[str, str]]]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command line that must end with exit 2, in both modes; its problems."""

    def run(*words: object) -> list[dict[str, str]]:
        line = [str(word) for word in words]
        capsys.readouterr()
        assert main(line) == 2, line
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out
        assert main([*line, "--json"]) == 2
        problems: list[dict[str, str]] = json.loads(capsys.readouterr().out)["problems"]
        assert problems
        for problem in problems:
            assert all(problem[part] for part in ("what", "where", "fix"))
            assert problem["what"] in printed.err
        return problems

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study file with its texts; nothing is trained."""
    for domain in ("prose", "code"):
        (tmp_path / domain).mkdir()
        rng = random.Random(domain)
        for number in range(24):
            words = [f"{domain}{rng.randrange(400)}" for _ in range(200)]
            (tmp_path / domain / f"{number:02}.txt").write_text(" ".join(words), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "study.yaml"


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


TABLES: dict[str, tuple[bytes, list[str]]] = {
    "missing.csv": (b"run,params,tokens\na,1,2\n", ["no column 'loss'"]),
    "negative.csv": (b"run,params,tokens,loss\na,1e6,-5,3\nb,-1,5,3\n", ["params is -1 at row 2", "tokens is -5"]),
    "ratio.csv": (b"params,tokens,domain_ratio,loss\n1e6,5,1.5,3\n", ["domain_ratio is 1.5 at row 1"]),
    "empty.csv": (b"", ["is empty"]),
    "header.csv": (b"run,params,tokens,loss\n", ["has no rows"]),
    "latin.csv": ("run,params,tokens,loss\né,1,2,3\n".encode("latin-1"), ["is not UTF-8 (byte 23: 0xe9)"]),
    "utf16.csv": (TABLE.encode("utf-16"), ["is not UTF-8"]),
    "semicolons.csv": (TABLE.replace(",", ";").encode(), ["unknown column", "no column 'params'"]),
    "unknown.csv": (b"run,parms,tokens,loss\na,1,2,3\n", ["unknown column 'parms'", "no column 'params'"]),
    "absurd.csv": (TABLE.encode() + b"z,1e300,1e-300,1e300\n", ["params is 1e300 at row 10", "loss is 1e300"]),
    "truncated.parquet": (b"PAR1" + b"\0" * 99, ["is no readable Parquet file"]),
    "empty.parquet": (b"", ["is no readable Parquet file"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str, refused: Refused, tmp_path: Path) -> None:
    content, expected = TABLES[name]
    (tmp_path / name).write_bytes(content)
    for words in (["fit", "chinchilla"], ["plan", "mixture"]):
        said = [problem["what"] for problem in refused(*words, tmp_path / name)]
        assert all(any(what in one for one in said) for what in expected), said
    assert files(tmp_path) == {name}


def test_what_is_no_file(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for path in (tmp_path / "absent.csv", tmp_path / "folder.csv", tmp_path / f"{'x' * 300}.csv"):
        refused("validate", path)
        refused("fit", "chinchilla", path)
    refused("validate", tmp_path)
    refused("run", tmp_path)
    refused("predict", tmp_path, "params=1")


def test_a_flipped_bit_in_a_ledger_is_noticed(refused: Refused, tmp_path: Path) -> None:
    from speciate.runs.ledger import read_ledger, write_ledger

    path = tmp_path / "ledger.parquet"
    write_ledger([{"run": f"r{i}", "params": 100 + i, "tokens": i, "loss": 3 + i / 7} for i in range(50)], path)
    assert len(read_ledger(path)) == 50
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1  # within the first columns' pages
    path.write_bytes(data)
    assert "no readable Parquet" in refused("validate", path)[0]["what"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", ["not keys and values"]),
        ("", ["the file is empty"]),
        ("# only a remark\n", ["the file is empty"]),
        ("a: [1\n", ["not valid YAML"]),
        ("[" * 1000, ["nested too deeply"]),
        ("!!python/object/apply:os.getcwd []", ["not valid YAML"]),
        ("plna: {}\nname: [1]\nseed: yes\n", ["unknown key plna", "name", "seed"]),
        ("pilot: {ratios: [1.5, .nan, x]}\n", ["1.5", "nan", "'x'"]),
        ("trunk: {tokens: 99999999999999999999999999}\n", ["9999"]),
        ("corpus: {sources: {a: nowhere, b: builtin}}\n", ["nowhere does not exist", "no built-in text is called b"]),
    ],
)
def test_study_files(text: str, expected: list[str], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    for words in (["validate"], ["run"]):
        said = [f"{p['where']} {p['what']}" for p in refused(*words, tmp_path / "study.yaml")]
        assert all(any(what in one for one in said) for what in expected), said
    assert files(tmp_path) == {"study.yaml"}, "nothing half-written"


@pytest.mark.parametrize(
    "override",
    [
        "plan", "=3", "plan..x=1", "plan.tolerance=x", "plan.tolerence=1", "plann.x=1", "models.7.heads=3", "name=[",
        "plan=null", "seed=-1", "compute.processes=0", "trunk.tokens=7", "corpus.tokenizer=nowhere",
        "corpus.sources.prose=.", "corpus.sources.code=prose",
    ],
)  # fmt: skip
def test_overrides(override: str, refused: Refused, study: Path) -> None:
    before = files(study.parent)
    refused("run", study, override)
    assert files(study.parent) == before


def test_text_that_cannot_be_read_is_named_at_once(refused: Refused, study: Path) -> None:
    prose = study.parent / "prose"
    (prose / "a.txt").write_bytes(b"ok \xff")
    (prose / "b.jsonl").write_text('{"text": 3}\n{"txt": "a"}\nnope\n', encoding="utf-8")
    (prose / "c.parquet").write_bytes(b"PAR1")
    (prose / "d.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a b c"}\n' * 99)[:-20])
    (study.parent / "code" / "e.txt").write_bytes(b"\xfe")
    assert len(refused("run", study, "--until", "corpus")) == 7
    assert not (study.parent / "corpus").exists()
    assert not [path for path in study.parent.iterdir() if path.name.startswith(".") and path.name != ".lock"]


def test_ten_lines_are_too_few(refused: Refused, study: Path) -> None:
    for path in (study.parent / "prose").iterdir():
        path.unlink()
    (study.parent / "prose" / "a.txt").write_text("a line\n" * 10, encoding="utf-8")
    assert "too small" in refused("run", study, "--until", "corpus")[0]["what"]


def test_odd_names_in_a_folder_of_text_are_no_obstacle(study: Path) -> None:
    prose = study.parent / "prose"
    (prose / os.fsdecode(b"caf\xe9.txt")).write_text("bonjour tout le monde " * 99, encoding="utf-8")
    (prose / "two\nlines.txt").write_text("hello there " * 99, encoding="utf-8")
    (prose / ".hidden.txt").write_bytes(b"\xff")
    (prose / "folder.txt").mkdir()
    (prose / "round").symlink_to(prose)
    (prose / "self.txt").symlink_to("self.txt")
    (prose / "dangling.txt").symlink_to("nowhere")
    assert main(["run", str(study), "--until", "corpus"]) == 0


def test_a_corrupt_corpus_names_every_file(refused: Refused, study: Path) -> None:
    assert main(["run", str(study), "--until", "corpus"]) == 0
    corpus = study.parent / "corpus"
    for name, damage in (("code.train.bin", 1), ("prose.held_out.bin", 128)):
        data = bytearray((corpus / name).read_bytes())
        data[len(data) // 2] ^= damage
        (corpus / name).write_bytes(data)
    (corpus / "prose.train.bin").write_bytes((corpus / "prose.train.bin").read_bytes()[:-1])
    said = {Path(p["where"]).name: p["what"] for p in refused("run", study, "--until", "corpus")}
    assert set(said) == {"code.train.bin", "prose.held_out.bin", "prose.train.bin"}
    assert "truncated" in said["prose.train.bin"] and "corrupt" in said["code.train.bin"]


@pytest.mark.parametrize("content", ["{}", '{"model": {"type": "BPE"}}', "not JSON"])
def test_tokenizers_from_elsewhere(content: str, refused: Refused, study: Path) -> None:
    (study.parent / "tokenizer.json").write_text(content, encoding="utf-8")
    found = refused("run", study, "corpus.tokenizer=tokenizer.json", "--until", "corpus")
    assert "not a tokenizer" in found[0]["what"]


@pytest.mark.parametrize("name", ["plan.json", "cost.json", "tree.json", "comparison.json"])
@pytest.mark.parametrize("content", [b'{"a', b"[]", b"\xff\xfe"])
def test_damaged_results_are_named(name: str, content: bytes, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert name in refused("report", tmp_path)[0]["where"]
    assert files(tmp_path) == {name}
    if name == "plan.json":
        (tmp_path / "ledger.parquet").write_bytes(b"")
        assert name in refused("compare", tmp_path)[0]["where"]


def test_places_that_cannot_be_written(refused: Refused, study: Path, tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text(TABLE, encoding="utf-8")
    (tmp_path / "a folder").mkdir()
    fit = ["fit", "chinchilla", table, "--bootstrap", "20", "--out"]
    assert "a folder is where a file has to be" in refused(*fit, tmp_path / "a folder")[0]["fix"]
    assert "move it away" in refused(*fit, table / "fit.json")[0]["fix"]
    refused("init", table)
    refused("init", table / "x")
    (tmp_path / "report.html").mkdir()
    (tmp_path / "resolved.yaml").mkdir()
    assert str(tmp_path / "resolved.yaml") == refused("run", study, "--until", "corpus")[0]["where"]
    assert str(tmp_path / "report.html") == refused("report", tmp_path)[0]["where"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(TABLE, encoding="utf-8")
    words = ["fit", "chinchilla", "runs.csv", "--bootstrap", "100", "--out", "fit.json", "--json"]
    done = command(words, tmp_path, limit=2000)  # bytes a file may have: as good as no room
    assert done.returncode == 2, done.stderr
    problem = json.loads(done.stdout)["problems"][0]
    assert problem["where"] == "fit.json" and "too large" in problem["what"]
    assert files(tmp_path) == {"runs.csv"}


def command(words: list[str], folder: Path, limit: int | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    def confine() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    line = [sys.executable, "-B", "-m", "speciate", *words]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": HERE}
    return subprocess.run(line, cwd=folder, preexec_fn=confine, check=False, **(options | more))


@pytest.mark.parametrize("words", [["laws"], ["laws", "--json"], ["--help"]])
def test_a_reader_that_has_gone_is_no_fault(words: list[str], tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = command(words, tmp_path, stdout=gone)
    assert (done.returncode, done.stderr) == (0, "")


def test_training_outlives_the_reader_of_its_log(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    code = (
        "import sys; from speciate.cli.output import console; log = console(False);"
        "[log.print('a line') for _ in range(3)]; print('went on', file=sys.stderr)"
    )
    with os.fdopen(write, "w") as gone:
        line = [sys.executable, "-c", code]
        done = subprocess.run(line, stdout=gone, stderr=subprocess.PIPE, text=True, env=HERE, check=False)
    assert (done.returncode, done.stderr) == (0, "went on\n")


def test_a_terminal_without_the_letters(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(f"name: größe ∑\n{STUDY}", encoding="utf-8")
    for domain in ("prose", "code"):
        (tmp_path / domain).mkdir()
    plain = HERE | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "COLUMNS": "20", "NO_COLOR": "1"}
    done = command(["validate", "study.yaml", "--json"], tmp_path, env=plain)
    assert json.loads(done.stdout)["name"] == "größe ∑", done.stderr
    assert command(["validate", "study.yaml"], tmp_path, env=plain).returncode == 0


def test_a_bare_command_and_missing_words(refused: Refused, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["run"], ["fit", "chinchilla"], ["demo", "--minutes", "-1"], ["demo", "--seed", "x"], ["nonsense"]):
        refused(*words)
    assert main([]) == 2
    assert "Usage" in "".join(capsys.readouterr())
