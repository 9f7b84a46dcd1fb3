"""What the steps on a corpus cost at 1, 10 and 100 times its size: documents per CPU second, peak memory, engines.

    python benchmarks/corpus.py [--quick] [--steps read,inspect] [--times 1,10,100] [--base-mb 4] [--ray] [--json]

The corpus is made here, or taken from --input (a file or folder), and replicated with changed text: no two documents
are alike. Every step runs in a process of its own; CPU seconds are those of the step and of its child
processes, so that a busy machine disturbs little, and memory is the largest resident size of any of them (of Ray the
driver alone is measured). Time per document should not
change with the size, and memory not grow. A peer that reads the same files line by line with ``json.loads`` and
nothing else is the measure: no reader in Python can be much faster. --quick is for tests: one small corpus, once.

A step is a function (input, out, processes, kind of engine) -> documents, below; other steps are added to STEPS.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL")), "1"))

import argparse
import functools
import importlib
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from speciate.corpus.reading.inspect import inspect_corpus
from speciate.corpus.steps.engine import Engine
from speciate.corpus.steps.parts import Part, cut, read_part
from speciate.corpus.steps.text_folder import PartWriter, run_step

Kind = Literal["local", "ray"]
MODULE = "benchmark_corpus"
Step = Callable[[Path, Path, int, Kind], int]


def peer_read(source: Path, out: Path, processes: int, kind: Kind) -> int:
    """Every line through ``json.loads``: what a script of ten lines does, without checks."""
    count = 0
    for path in sorted(source.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                count += bool(json.loads(line)["text"])
    return count


def read(source: Path, out: Path, processes: int, kind: Kind) -> int:
    return sum(1 for part in cut(source) for _ in read_part(part))


def inspect(source: Path, out: Path, processes: int, kind: Kind) -> int:
    return int(inspect_corpus(cut(source), out, engine=Engine(kind, processes))["documents"])


def copy_part(part: Part, folder: Path) -> dict[str, Any]:
    with PartWriter(folder, part) as writer:
        for document in read_part(part, writer.bad):
            writer.keep(document)
    return writer.counts()


def write(source: Path, out: Path, processes: int, kind: Kind) -> int:
    """Every document into the folder of a step."""
    importable = importlib.import_module(MODULE).copy_part  # by a name that other processes can import
    return int(run_step("copy", importable, cut(source), out, {}, Engine(kind, processes))["documents"])


STEPS: dict[str, Step] = {"peer_read": peer_read, "read": read, "inspect": inspect, "write": write}


@dataclass(frozen=True)
class Figure:
    step: str
    engine: str
    times: int
    documents: int
    megabytes: float
    cpu_s: float
    documents_per_cpu_s: float
    mb_per_cpu_s: float
    peak_mb: float


def base_texts(source: Path | None, megabytes: float) -> list[str]:
    if source is not None:
        return [document.text for part in cut(source) for document in read_part(part)]
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(5_000)]
    texts, size = [], 0
    while size < megabytes * 1e6:
        texts.append(" ".join(rng.choices(words, k=int(rng.lognormvariate(5, 0.8)))))
        size += len(texts[-1])
    return texts


def changed(texts: list[str], copy: int) -> Iterator[str]:
    """The same texts with every tenth word replaced, differently in each copy."""
    rng = random.Random(copy)
    for text in texts:
        words = text.split(" ")
        for at in range(rng.randrange(10), len(words), 10):
            words[at] = f"w{rng.randrange(100_000)}"
        yield " ".join(words)


def replicate(texts: list[str], times: int, folder: Path) -> int:
    folder.mkdir(parents=True)
    for copy in range(times):
        with (folder / f"{copy:05}.jsonl").open("w", encoding="utf-8") as file:
            for number, text in enumerate(texts if not copy else changed(texts, copy)):
                file.write(json.dumps({"text": text, "number": number}, ensure_ascii=False) + "\n")
    return sum(path.stat().st_size for path in folder.iterdir())


def measure(step: str, source: Path, out: Path, processes: int, kind: Kind) -> dict[str, float]:
    """Run a step in a process of its own and read its cost from the kernel."""
    given = json.dumps([step, str(source), str(out), processes, kind])
    done = subprocess.run([sys.executable, __file__, "--one", given], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def one(given: str) -> None:
    step, source, out, processes, kind = json.loads(given)
    Path(out).mkdir(parents=True)
    here = Path(out).parent / "modules"
    here.mkdir(exist_ok=True)
    (here / f"{MODULE}.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    sys.path.insert(0, str(here))
    start = cpu_seconds()
    documents = STEPS[step](Path(source), Path(out), processes, kind)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(json.dumps({"documents": documents, "cpu_s": cpu_seconds() - start, "peak_mb": peak}))


def cpu_seconds() -> float:
    """Of this process and of its children that have ended; workers of Ray are not among them."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def figures(options: argparse.Namespace, scratch: Path) -> Iterator[Figure]:
    texts = base_texts(options.input, options.base_mb)
    engines: list[tuple[str, int, Kind]] = [("1 process", 1, "local"), ("2 processes", 2, "local")]
    engines += [("ray", 2, "ray")] if options.ray else []
    for times in options.times:
        source = scratch / f"corpus{times}"
        size = replicate(texts, times, source) / 1e6
        for step in options.steps:
            for name, processes, kind in engines[:1] if step in ("peer_read", "read") else engines:
                got = measure(step, source, scratch / f"{step}-{times}-{name}", processes, kind)
                cpu = got["cpu_s"]
                yield Figure(step, name, times, int(got["documents"]), round(size, 1), round(cpu, 2),
                             round(got["documents"] / cpu), round(size / cpu, 1), round(got["peak_mb"]))  # fmt: skip


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--steps", type=functools.partial(str.split, sep=","), default=list(STEPS))
    parser.add_argument("--times", type=numbers, default=[1, 10, 100])
    parser.add_argument("--base-mb", type=float, default=4.0)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one)
        return
    if options.quick:
        options.times, options.base_mb = [1, 3], 0.3
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        told = []
        for figure in figures(options, Path(folder)):
            told.append(asdict(figure))
            line = (f"{figure.step:10} {figure.engine:11} x{figure.times:<4} {figure.documents:>9,} documents "
                    f"{figure.megabytes:>7} MB {figure.cpu_s:>7} s of CPU {figure.documents_per_cpu_s:>8,} documents/s "
                    f"{figure.mb_per_cpu_s:>6} MB/s, peak {figure.peak_mb} MB")  # fmt: skip
            print(line, file=sys.stderr if options.json else sys.stdout, flush=True)
        if options.json:
            print(json.dumps(told))


if __name__ == "__main__":
    main()
