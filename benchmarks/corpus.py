"""What the steps on a corpus cost at 1, 10 and 100 times its size, with peers beside them in the same run.

    python benchmarks/corpus.py [--quick] [--steps read,clean,embed,kmeans,cluster,tokenize] [--times 1,10,100]
                                [--documents 1500] [--input FOLDER] [--ray] [--peers PYTHON] [--peer-seconds 60]

The corpus: so many documents of ../shared/data/corpora (cut at 2,000 characters), as many of each domain, or the text
of --input, or where there is neither, made words. It is replicated with changed text: in every copy a third of the
words are others of the same domain, drawn as often as they occur there, one word in 200 is new, one document in 20 is
nearly a copy and one in 100 a copy; so vocabulary grows and duplicates are found as in text that is really longer.

Every step runs in a process of its own. CPU seconds and wall seconds are without imports; "peak" is the largest sum of
the resident memory of that process and its children, sampled every 50 ms, "own" the same without pages of files, which
the kernel takes back when it likes. Per document the time should not change with the size, and memory not grow.

--peers is the Python of an environment with datatrove, faiss-cpu, k-means-constrained, tokenizers, tiktoken and
scikit-learn (``corpus_peers.py``); what it lacks is left out with a line, as is a peer that would, by its time at the
size before, take more than --peer-seconds of CPU. --ray does the steps at the smallest size in
two processes and on a local Ray cluster too, and checks that the same bytes come out. --quick is for tests.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "RAYON")), "1"))

import argparse
import functools
import importlib
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

from speciate.corpus.clean.quality_presets import PRESETS
from speciate.corpus.clean.step import Cleaning
from speciate.corpus.clean.step import clean as clean_corpus
from speciate.corpus.cluster.balanced_kmeans import fit_balanced_kmeans
from speciate.corpus.cluster.embed import TFIDF, fit_tfidf
from speciate.corpus.cluster.parts import HeldOut, embed_part, read_vectors
from speciate.corpus.cluster.step import ClusterOptions, cluster_corpus
from speciate.corpus.reading.inspect import inspect_corpus
from speciate.corpus.steps.engine import Engine, run_parts
from speciate.corpus.steps.parts import Part, cut, read_part
from speciate.corpus.steps.text_folder import PartWriter, run_step
from speciate.corpus.tokens.encoder import GPT2, byte_letters
from speciate.corpus.tokens.step import Tokenizing, tokenize_corpus
from speciate.storage import digest, file_digest

Kind = Literal["local", "ray"]
Step = Callable[[Path, Path, Engine], int]
MODULE = "benchmark_corpus"
SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "corpora"
PART_BYTES = 5e5  # small, so that parts are of the same size at every size of the corpus
CLUSTERS, SAMPLE, WINDOW, VOCABULARY = 16, 1_500, 2_048, 4_096
LONGEST = 2_000  # characters of a document


def parts_of(source: Path) -> list[Part]:
    return cut(source, PART_BYTES)


def read(source: Path, out: Path, engine: Engine) -> int:
    return sum(1 for part in parts_of(source) for _ in read_part(part))


def inspect(source: Path, out: Path, engine: Engine) -> int:
    return int(inspect_corpus(parts_of(source), out, engine=engine)["documents"])


def copy_part(part: Part, folder: Path) -> dict[str, Any]:
    with PartWriter(folder, part) as writer:
        for document in read_part(part, writer.bad):
            writer.keep(document)
    return writer.counts()


def write(source: Path, out: Path, engine: Engine) -> int:
    """Every document into the folder of a step."""
    importable = importlib.import_module(MODULE).copy_part  # by a name that other processes can import
    return int(run_step("copy", importable, parts_of(source), out, {}, engine)["documents"])


def clean(source: Path, out: Path, engine: Engine) -> int:
    """Quality rules, exact and near duplicates; writes both what is kept and what is not."""
    return int(clean_corpus(parts_of(source), out, Cleaning(PRESETS["any"]), engine)["documents"])


def embed(source: Path, out: Path, engine: Engine) -> int:
    """TF-IDF with SVD, fitted on the first documents, of every document; as the step cluster does it."""
    parts = parts_of(source)
    texts = [document.text for part in parts[:8] for document in read_part(part)][:SAMPLE]
    fit_tfidf(texts, 128).save(out / "embedding.npz")
    work = partial(embed_part, embedding=TFIDF, file=out / "embedding.npz", window=WINDOW, held_out=HeldOut(0.1))
    return sum(told["windows"] for told in run_parts(work, parts, out / "vectors", {"step": "embed"}, engine))


def cluster(source: Path, out: Path, engine: Engine) -> int:
    """The whole verb: sample, embedding, balanced clusters, router, its tables, cards, the text by cluster."""
    options = ClusterOptions(CLUSTERS, sample=SAMPLE, window=WINDOW)
    return int(cluster_corpus(parts_of(source), out, options, engine)["documents"])


def tokenize(source: Path, out: Path, engine: Engine) -> int:
    """The whole verb: a tokenizer is trained on 2 MB, all text encoded and written as shards."""
    how = Tokenizing(vocabulary=VOCABULARY, sample_bytes=2e6, part_bytes=PART_BYTES)
    return int(tokenize_corpus({str(source): "text"}, out, how, engine)["documents"])


def kmeans(source: Path, out: Path, engine: Engine) -> int:
    """Balanced clusters of a .npy of points."""
    x = np.load(source, mmap_mode="r")
    model = fit_balanced_kmeans(x, CLUSTERS, seed=0, threads=1)
    told = {"inertia": model.inertia / len(x), "largest_over_mean": float(model.sizes.max() / len(x) * CLUSTERS)}
    (out / "told.json").write_text(json.dumps(told), encoding="utf-8")
    return len(x)


STEPS: dict[str, Step] = {
    "read": read, "inspect": inspect, "write": write, "clean": clean, "embed": embed, "cluster": cluster,
    "kmeans": kmeans, "tokenize": tokenize,
}  # fmt: skip
IMPORTS = {"tokenize": ("tokenizers", "tiktoken", "rustbpe")} | dict.fromkeys(
    ("embed", "cluster"), ("sklearn.feature_extraction.text", "sklearn.utils.extmath")
)
LOCAL_ONLY = ("read", "kmeans")  # no parts: one process whatever the engine
PEERS = {"read": ("read",), "clean": ("clean",), "embed": ("embed",), "kmeans": ("faiss", "constrained"),
         "tokenize": ("tokenizers", "tiktoken")}  # fmt: skip
NAMES = {"read": "json.loads", "clean": "datatrove", "embed": "scikit-learn", "constrained": "k-means-constrained"}


@dataclass(frozen=True)
class Figure:
    step: str
    who: str  # "1 process", or the peer
    times: int
    documents: int
    megabytes: float
    wall_s: float
    cpu_s: float
    documents_per_s: float
    documents_per_cpu_s: float
    peak_mb: float
    own_mb: float
    told: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, step: str, who: str, times: int, size: float, got: dict[str, Any]) -> Figure:
        count = int(got.pop("documents"))
        wall, cpu, peak, own = (float(got.pop(name)) for name in ("wall_s", "cpu_s", "peak_mb", "own_mb"))
        return cls(step, who, times, count, round(size, 2), round(wall, 2), round(cpu, 2),
                   round(count / wall), round(count / cpu), round(peak), round(own), got)  # fmt: skip


# the corpus


def base_texts(source: Path | None, documents: int) -> list[tuple[str, str]]:
    """(domain, text), the domains in turns."""
    folder = source or (SHARED if SHARED.is_dir() else None)
    if folder is None:
        return made_texts(documents)
    files = sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else [folder]
    each = -(-documents // len(files))
    found = []
    for file in files:
        texts = [document.text for part in cut(file) for document in read_part(part)]
        random.Random(0).shuffle(texts)
        found.append([(file.name.partition(".")[0], shortened(text)) for text in texts[:each]])
    turns = [texts[at] for at in range(each) for texts in found if at < len(texts)]
    return turns[:documents]


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0]


def made_texts(documents: int) -> list[tuple[str, str]]:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(5_000)]
    return [("made", " ".join(rng.choices(words, k=int(rng.lognormvariate(5, 0.8)) + 8))) for _ in range(documents)]


def changed(texts: Sequence[tuple[str, str]], copy: int) -> Iterator[str]:
    """The texts of a further copy; see the top of this file."""
    rng = random.Random(copy)
    pools: dict[str, list[str]] = {}
    for domain, text in texts:
        pools.setdefault(domain, []).extend(re.findall(r"[^\W\d_]+", text))
    for domain, text in texts:
        drawn = rng.random()
        share = 0.0 if drawn < 0.01 else 0.01 if drawn < 0.06 else 1 / 3
        pieces = re.split(r"([^\W\d_]+)", text)  # words stand at odd places
        for at in range(1, len(pieces), 2):
            if share and rng.random() < share:
                words = rng.choices(pools[domain], k=2)
                half = len(words[1]) // 2
                pieces[at] = words[0] + words[1][half:] if rng.random() < 0.015 else words[0]
        yield "".join(pieces)


def replicate(texts: Sequence[tuple[str, str]], times: int, folder: Path) -> float:
    """Four files for each copy; megabytes of text."""
    folder.mkdir(parents=True)
    size, each = 0, -(-len(texts) // 4)
    for copy in range(times):
        held = [text for _, text in texts] if not copy else list(changed(texts, copy))
        for piece in range(4):
            with (folder / f"{copy:05}-{piece}.jsonl").open("w", encoding="utf-8") as file:
                for text in held[piece * each : (piece + 1) * each]:
                    file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                    size += len(text.encode())
    return size / 1e6


# processes


class Watch(threading.Thread):
    """Samples the memory of a process and its children, and of each the CPU seconds it was last seen with."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._process, self._done = process, threading.Event()
        self.peak = self.own = 0.0
        self.cpu: dict[int, float] = {}

    def run(self) -> None:
        while not self._done.wait(0.05):
            resident = own = 0.0
            try:
                root = psutil.Process(self._process)
                processes = [root, *root.children(recursive=True)]
            except psutil.Error:
                return
            for each in processes:
                try:
                    held, times = each.memory_info(), each.cpu_times()
                except psutil.Error:
                    continue
                resident += held.rss
                own += held.rss - getattr(held, "shared", 0)
                self.cpu[each.pid] = times.user + times.system
            self.peak, self.own = max(self.peak, resident / 1e6), max(self.own, own / 1e6)

    def stop(self) -> None:
        self._done.set()
        self.join()


def watched(command: list[str], **environment: str) -> dict[str, Any]:
    """What a program tells on its last line, with the memory that it and its children held."""
    with tempfile.TemporaryFile() as errors:
        held = {**os.environ, **environment}
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=held)
        watch = Watch(running.pid)
        watch.start()
        out, _ = running.communicate()
        watch.stop()
        errors.seek(0)
        if running.returncode:
            raise RuntimeError(errors.read()[-2000:].decode(errors="replace"))
    told = dict(json.loads(out.splitlines()[-1]))
    return told | {"peak_mb": watch.peak, "own_mb": watch.own, "all_cpu_s": sum(watch.cpu.values())}


def ours(step: str, source: Path, out: Path, processes: int, kind: Kind) -> dict[str, Any]:
    given = json.dumps([step, str(source), str(out), processes, kind])
    got = watched([sys.executable, __file__, "--one", given])
    watched_cpu = got.pop("all_cpu_s")
    return got | ({"cpu_s": watched_cpu} if kind == "ray" else {})  # the kernel does not add up what Ray starts


def one(given: str) -> None:
    step, source, out, processes, kind = json.loads(given)
    Path(out).mkdir(parents=True)
    here = Path(out).parent / "modules"
    here.mkdir(exist_ok=True)
    (here / f"{MODULE}.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    sys.path.insert(0, str(here))
    for name in ("pyarrow.parquet", *IMPORTS.get(step, ())):
        importlib.import_module(name)  # not what is measured
    wall, cpu = time.perf_counter(), cpu_seconds()
    documents = STEPS[step](Path(source), Path(out), Engine(kind, processes))
    told = {"documents": documents, "wall_s": time.perf_counter() - wall, "cpu_s": cpu_seconds() - cpu}
    print(json.dumps(told))


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def outcome(folder: Path) -> str:
    """A digest of all that a step leaves, but for times."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ("report.json", "told.json"))
    return digest([[p.relative_to(folder).as_posix(), file_digest(p)] for p in files])


# the table


def figures(options: argparse.Namespace, scratch: Path) -> Iterator[Figure | str]:
    texts = base_texts(options.input, options.documents)
    peers = Peers(options.peers, options.peer_seconds)
    for times in options.times:
        source = scratch / f"corpus{times}"
        size = replicate(texts, times, source)
        for step in options.steps:
            given = source
            if step == "kmeans":
                given = points(scratch, times)
            folder = scratch / f"{step}-{times}"
            got = ours(step, given, folder, 1, "local")
            told = folder / "told.json"
            got |= json.loads(told.read_text(encoding="utf-8")) if told.exists() else counted(folder)
            yield Figure.of(step, "1 process", times, size, got)
            if options.ray and times == min(options.times) and step not in LOCAL_ONLY:
                yield from elsewhere(step, given, folder, times, size)
            if options.peers:
                yield from peers.beside(step, given, folder, times, size)


def counted(folder: Path) -> dict[str, Any]:
    report = folder / "report.json"
    told = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    return {name: told[name] for name in ("kept", "rejected") if name in told}


def points(scratch: Path, times: int) -> Path:
    """The vectors that the step embed left, as one file."""
    folder, file = scratch / f"embed-{times}", scratch / f"points{times}.npy"
    parts = parts_of(scratch / f"corpus{times}")
    np.save(file, np.concatenate([read_vectors(folder, part)[0] for part in parts]))
    return file


def elsewhere(step: str, source: Path, folder: Path, times: int, size: float) -> Iterator[Figure | str]:
    expected = outcome(folder)
    for name, processes, kind in (("2 processes", 2, "local"), ("Ray", 2, "ray")):
        out = folder.with_name(f"{folder.name}-{kind}")
        yield Figure.of(step, name, times, size, ours(step, source, out, processes, kind))  # type: ignore[arg-type]
        same = outcome(out) == expected
        yield f"{step}: {name} leaves {'the same bytes' if same else 'OTHER BYTES'} as one process"


@dataclass
class Peers:
    """Runs the peers of a step, as long as they are there and do not take too long."""

    python: str
    most_seconds: float
    took: dict[str, float] = field(default_factory=dict)  # CPU seconds of 1x, by name

    def beside(self, step: str, source: Path, folder: Path, times: int, size: float) -> Iterator[Figure | str]:
        for peer in PEERS.get(step, ()):
            name = NAMES.get(peer, peer)
            expected = self.took.get(name, 0.0) * times
            if expected > self.most_seconds:
                yield f"{step}: {name} left out at {times}x, where it would take about {expected:,.0f} s of CPU"
                continue
            script = str(Path(__file__).with_name("corpus_peers.py"))
            out = folder.with_name(f"{folder.name}-peer-{peer}")
            if step == "tokenize":
                prepare_tokenizer(folder, out)
            try:
                got = watched([self.python, script, peer, str(source), str(out)], CORPUS_CLUSTERS=str(CLUSTERS))
            except RuntimeError as error:
                yield f"{step}: {name} failed: {str(error).strip().splitlines()[-1]}"
                continue
            got.pop("all_cpu_s")
            if "missing" in got:
                yield f"{step}: {name} left out, no {got['missing']} in {self.python}"
                continue
            self.took[name] = got["cpu_s"] / times
            yield Figure.of(step, name, times, size, got)


def prepare_tokenizer(folder: Path, out: Path) -> None:
    """Our tokenizer.json, and the same as tiktoken takes it."""
    out.mkdir(parents=True)
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (out / "tokenizer.json").write_text(text, encoding="utf-8")
    value = {letter: byte for byte, letter in enumerate(byte_letters())}
    model = json.loads(text)["model"]
    names = [*byte_letters(), *("".join(m) if isinstance(m, list) else m.replace(" ", "") for m in model["merges"])]
    ranks = {bytes(value[letter] for letter in name).hex(): rank for rank, name in enumerate(names)}
    (out / "ranks.json").write_text(json.dumps({"pattern": GPT2, "ranks": ranks}), encoding="utf-8")


def row(figure: Figure) -> str:
    told = "; ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {shown(value)}"
                     for name, value in figure.told.items())  # fmt: skip
    return (
        f"| {figure.step} | {figure.who} | {figure.times}x | {figure.documents:,} | {figure.megabytes:.1f} | "
        f"{figure.wall_s:.1f} | {figure.cpu_s:.1f} | {figure.documents_per_s:,} | {figure.documents_per_cpu_s:,} | "
        f"{figure.peak_mb:,.0f} | {figure.own_mb:,.0f} | {told} |"
    )


def shown(value: Any) -> str:
    return f"{sum(value.values()):,}" if isinstance(value, dict) else f"{value:,}"


HEADER = """| step | by | size | documents | MB | wall s | CPU s | documents/s | documents/CPU s | peak MB | own MB | |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    chosen = ["read", "clean", "embed", "kmeans", "cluster", "tokenize"]
    parser.add_argument("--steps", type=functools.partial(str.split, sep=","), default=chosen)
    parser.add_argument("--times", type=numbers, default=[1, 10, 100])
    parser.add_argument("--documents", type=int, default=1_500)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--peers", help="Python with the peers' packages")
    parser.add_argument("--peer-seconds", type=float, default=60.0)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one)
        return
    if options.quick:
        options.times, options.documents = [1, 3], 200
    if "kmeans" in options.steps and "embed" not in options.steps:
        raise SystemExit("kmeans takes the vectors of embed: name both in --steps")
    if set(options.steps) - STEPS.keys():
        raise SystemExit(f"--steps are of {', '.join(STEPS)}")
    options.steps = [step for step in STEPS if step in options.steps]
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        told: list[Any] = []
        print("" if options.json else HEADER)
        for figure in figures(options, Path(folder)):
            told.append(asdict(figure) if isinstance(figure, Figure) else figure)
            line = row(figure) if isinstance(figure, Figure) else figure
            print(line, file=sys.stderr if options.json else sys.stdout, flush=True)
        if options.json:
            print(json.dumps(told))


if __name__ == "__main__":
    main()
