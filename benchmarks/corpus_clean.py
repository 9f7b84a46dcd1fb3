"""What cleaning costs and keeps: rules, presets, near duplicates, contamination, and the whole step as text grows.

    python benchmarks/corpus_clean.py [--only rules,presets,near,questions,scale] [--quick] [--times 1,10,100] [--ray]

Text is ../shared/data/corpora, and for code the standard library; --latex FILE.jsonl adds LaTeX. Speeds are MB of text
per CPU second of one thread. Peers in the same run, where they are installed: datasketch for sketches, datatrove for
the rules. ``near`` compares what is dropped with the true share of runs in common, of all pairs. Run
``scale`` by itself: the kernel counts what this process held in the peak of those it starts.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL")), "1"))

import argparse
import functools
import json
import random
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from speciate.corpus.clean.near_duplicates import Near, sketch
from speciate.corpus.clean.ngrams import ngram_hashes, normalised, word_hashes
from speciate.corpus.clean.quality import judge_all
from speciate.corpus.clean.quality_presets import PRESETS
from speciate.corpus.clean.step import Cleaning, clean
from speciate.corpus.steps.engine import Engine
from speciate.corpus.steps.parts import cut, read_part

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
CORPORA = SHARED / "corpora"
EXAMS = {"law_pt": "oab_2010_2018", "medicine": "medqa_usmle_test", "law_us": "mmlu_law", "encyclopedia_en": "sciq_val"}


def texts_of(file: Path) -> list[str]:
    return [document.text for part in cut(file) for document in read_part(part)]


def corpora(options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    most = 200 if options.quick else None
    for file in sorted(CORPORA.glob("*.zst")):
        yield file.name.partition(".")[0], texts_of(file)[:most]
    library = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    code = [f.read_bytes() for f in library if not {"site-packages", "test", "idlelib"} & set(f.parts)]
    yield "code (standard library)", [t for t in (data.decode("utf-8", "replace") for data in code) if t.strip()][:most]
    if options.latex:
        yield "LaTeX", texts_of(options.latex)[:most]


def batches(texts: Sequence[str], characters: int = 300_000) -> Iterator[list[str]]:
    """As the step does."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def rules(options: argparse.Namespace) -> None:
    total = seconds = 0.0
    for name, texts in corpora(options):
        start = time.process_time()
        for batch in batches(texts):
            judge_all(batch, PRESETS["english"])
        took, size = time.process_time() - start, megabytes(texts)
        total, seconds = total + size, seconds + took
        peer = datatrove_speed(texts)
        print(f"rules      {name:25} {size:5.1f} MB  {size / took:5.1f} MB/s{peer}", flush=True)
    print(f"rules      all                       {total:5.1f} MB  {total / seconds:5.1f} MB/s")


def datatrove_speed(texts: Sequence[str], most: float = 0.3) -> str:
    try:
        from datatrove.data import Document  # type: ignore[import-not-found]
        from datatrove.pipeline.filters import (  # type: ignore[import-not-found]
            GopherQualityFilter,
            GopherRepetitionFilter,
        )
    except ImportError:
        return ""
    taken = [text for text, end in zip(texts, np.cumsum([len(t) for t in texts]), strict=True) if end < most * 1e6]
    filters = [GopherQualityFilter(), GopherRepetitionFilter()]
    [each.filter(Document(text=texts[0], id="0")) for each in filters]  # loads its tokenizer
    start = time.process_time()
    for text in taken:
        all(each.filter(Document(text=text, id="0")) is True for each in filters)
    return f"   datatrove {megabytes(taken) / (time.process_time() - start):.2f} MB/s"


def presets(options: argparse.Namespace) -> None:
    print("share of documents kept, by preset:  " + "  ".join(f"{name:>10}" for name in PRESETS))
    for name, texts in corpora(options):
        kept = [sum(v is True for b in batches(texts) for v in judge_all(b, r)) / len(texts) for r in PRESETS.values()]
        print(f"presets    {name:25} " + "  ".join(f"{share:10.3f}" for share in kept), flush=True)


def near(options: argparse.Namespace) -> None:
    texts = texts_of(CORPORA / "medicine.jsonl.zst")[: 300 if options.quick else None]
    start = time.process_time()
    words = [word_hashes(normalised(text)) for text in texts]
    between = time.process_time()
    for each in words:
        sketch(each, Near())
    done = time.process_time()
    size = megabytes(texts)
    print(f"near       words {size / (between - start):.1f} MB/s, sketches {size / (done - between):.1f} MB/s, both "
          f"{size / (done - start):.1f} MB/s{datasketch_speed(texts[:100])}")  # fmt: skip
    levels = (0.5, 0.6, 0.7, 0.8, 0.9)
    pairs = true_pairs([np.unique(ngram_hashes(each, 5)) for each in words], 0.3)
    truth = {level: greedy(pairs, level) for level in levels}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "in.jsonl"
        source.write_text("\n".join(json.dumps({"text": text, "n": n}) for n, text in enumerate(texts)))
        for level in levels:
            out = Path(scratch) / str(level)
            clean(cut(source), out, Cleaning(None, exact=False, near=Near(level)))
            dropped = set(rejected(out))
            best = [max((s for (_, later), s in pairs.items() if later == n), default=0.0) for n in sorted(dropped)]
            clear = greedy(pairs, min(1.0, level + 0.1))
            share = len(dropped) / len(texts)
            print(f"near       similarity {level}: dropped {len(dropped)} of {len(texts)} ({share:.1%}), "
                  f"truly so similar {len(truth[level])}; of those at {level + 0.1:.1f} or more found "
                  f"{len(clear & dropped)} of {len(clear)}; least true similarity of a dropped one "
                  f"{min(best, default=0):.2f}", flush=True)  # fmt: skip


def rejected(out: Path) -> Iterator[int]:
    """The numbers of the documents that were left out."""
    import pyarrow.parquet as pq

    for file in sorted((out / "rejected").glob("*.parquet")):
        for row in pq.read_table(file, columns=["meta"]).to_pylist():
            yield json.loads(row["meta"])["n"]


def true_pairs(runs: Sequence[np.ndarray], least: float) -> dict[tuple[int, int], float]:
    """(earlier, later) -> share of runs in common, by an index of all runs."""
    index: dict[int, list[int]] = defaultdict(list)
    pairs = {}
    for later, mine in enumerate(runs):
        shared = Counter(earlier for run in mine.tolist() for earlier in index[run])
        for earlier, count in shared.items():
            share = count / (runs[earlier].size + mine.size - count)
            if share >= least:
                pairs[earlier, later] = share
        for run in mine.tolist():
            index[run].append(later)
    return pairs


def greedy(pairs: dict[tuple[int, int], float], level: float) -> set[int]:
    gone: set[int] = set()
    for (earlier, later), share in sorted(pairs.items(), key=lambda item: (item[0][1], item[0][0])):
        if share >= level and earlier not in gone:
            gone.add(later)
    return gone


def datasketch_speed(texts: Sequence[str]) -> str:
    try:
        from datasketch import MinHash
    except ImportError:
        return ""
    start = time.process_time()
    for text in texts:
        words = normalised(text).split()
        MinHash(num_perm=112).update_batch([b" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))])
    return f"; datasketch {megabytes(texts) / (time.process_time() - start):.2f} MB/s"


def questions(options: argparse.Namespace) -> None:
    for name, exam in EXAMS.items():
        with tempfile.TemporaryDirectory() as scratch:
            cleaning = Cleaning(None, None, False, None, (str(SHARED / "exams" / f"{exam}.jsonl.gz"),))
            start = time.process_time()
            report = clean(cut(CORPORA / f"{name}.jsonl.zst"), Path(scratch) / "out", cleaning)
            took = time.process_time() - start
        documents = f"{report['rejected'].get('contamination', 0)} of {report['documents']} documents"
        print(f"questions  {name:15} {exam:18} {report['questions_found']} of {report['questions']} found, in "
              f"{documents}; {report['questions_too_short']} too short; {report['bytes_in'] / 1e6 / took:.1f} MB/s",
              flush=True)  # fmt: skip


def scale(options: argparse.Namespace) -> None:
    texts = texts_of(CORPORA / "arxiv_math.jsonl.zst")[: 300 if options.quick else 3000]
    engines = [("1 process", 1, "local"), ("2 processes", 2, "local"), *([("ray", 2, "ray")] if options.ray else [])]
    with tempfile.TemporaryDirectory() as scratch:
        for times in options.times:
            source = Path(scratch) / str(times)
            source.mkdir()
            for copy in range(times):
                lines = (json.dumps({"text": text}) for text in (changed(texts, copy) if copy else texts))
                (source / f"{copy:04}.jsonl").write_text("\n".join(lines))
            told = {}
            for name, processes, kind in engines if times == min(options.times) else engines[:1]:
                given = json.dumps([str(source), f"{source}-{name}", processes, kind])
                done = subprocess.run(
                    [sys.executable, __file__, "--one", given], capture_output=True, text=True, check=True
                )
                got = json.loads(done.stdout.splitlines()[-1])
                told[name] = got["digest"]
                print(f"scale      x{times:<4} {name:12} {got['documents']:>8,} documents {got['megabytes']:7.1f} MB, "
                      f"{got['cpu']:6.1f} s of CPU, {got['megabytes'] / got['cpu']:5.1f} MB/s, "
                      f"{got['documents'] / got['cpu']:6,.0f} documents/s, peak {got['peak']:.0f} MB, kept "
                      f"{got['kept']:,}", flush=True)  # fmt: skip
            assert len(set(told.values())) == 1, "the outcome depends on the engine"


def changed(texts: Sequence[str], copy: int) -> Iterator[str]:
    """Every third word is another, so that no run of 5 words stays."""
    rng = random.Random(copy)
    for text in texts:
        words = text.split(" ")
        for at in range(rng.randrange(3), len(words), 3):
            words[at] = f"w{'abcdefghij'[rng.randrange(10)]}{'abcdefghij'[rng.randrange(10)]}{words[at]}"
        yield " ".join(words)


def one(given: str) -> None:
    from speciate.storage import digest, file_digest

    source, out, processes, kind = json.loads(given)
    parts = cut(source)
    start = cpu_seconds()
    report = clean(parts, Path(out), Cleaning(), Engine(kind, processes))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    files = sorted(Path(out).glob("*/*.parquet"))
    told = {"documents": report["documents"], "kept": report["kept"], "megabytes": report["bytes_in"] / 1e6}
    told |= {"cpu": cpu_seconds() - start, "peak": max(each.ru_maxrss for each in used) / 1024}
    print(json.dumps(told | {"digest": digest([[f.parent.name + f.name, file_digest(f)] for f in files])}))


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


PARTS = {"rules": rules, "presets": presets, "near": near, "questions": questions, "scale": scale}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", type=functools.partial(str.split, sep=","), default=list(PARTS))
    parser.add_argument("--times", type=lambda text: [int(n) for n in text.split(",")], default=[1, 10, 100])
    parser.add_argument("--latex", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one)
        return
    if not CORPORA.exists():
        raise SystemExit(f"{CORPORA} is absent")
    for name in options.only:
        PARTS[name](options)


if __name__ == "__main__":
    main()
