"""Where the grades of ``corpus classify`` come from: a file, a person at the terminal, a language model."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from speciate.cli.corpus_options import progress_bar
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from speciate.corpus.classify.endpoint import Endpoint
    from speciate.corpus.classify.labels import Label
    from speciate.corpus.classify.rounds import Labelling, Ranking, Schedule
    from speciate.corpus.classify.sampling import Candidate, Sample
    from speciate.corpus.steps.engine import Engine
    from speciate.corpus.steps.parts import Part


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is to be graded: a sample of this text, for a topic, on a schedule."""

    parts: Sequence[Part]
    out: Path
    topic: str
    size: int
    characters: int
    schedule: Schedule
    seed: int
    engine: Engine
    as_json: bool
    most_bad: float

    def draw(self, wanted: Sequence[str] = ()) -> Sample:
        """The sample, and texts by their ids. Raises ``UserError`` if there is no text at all."""
        from speciate.corpus.classify.sampling import draw_sample
        from speciate.storage import digest

        folder = self.out / "sample" / digest([self.size, sorted(wanted)])[:12]
        with progress_bar(self.as_json) as progress:
            sample = draw_sample(
                self.parts, folder, self.size, self.characters, wanted, self.seed, self.engine, progress, self.most_bad
            )
        if not sample.candidates:
            raise UserError(Problem("no documents", "the text", "give text; speciate corpus inspect INPUT says more"))
        return sample


def grades_of_file(asked: Sampling, path: Path) -> tuple[Ranking, list[Label], str]:
    """Ranking and grades of a file, and how the held-out ones were drawn.

    Raises ``LabellingStopped`` if there was no file, and one was written to fill in.
    """
    from speciate.corpus.classify.labelling import LabellingStopped
    from speciate.corpus.classify.labels import read_labels, write_questions
    from speciate.corpus.classify.rounds import Ranking
    from speciate.corpus.classify.step import known_texts, with_held_out

    if not path.exists():
        sample = asked.draw()
        texts = [(each.id, each.text) for each in sample.candidates[: asked.schedule.per_round]]
        write_questions(path, texts)
        raise LabellingStopped(f"fill in the column score of {path}, {len(texts)} texts, whole numbers from 0 to 5")
    labels = read_labels(path)
    if all(label.score is None for label in labels):
        raise UserError(Problem("no scores in it", str(path), "fill in the column score: whole numbers from 0 to 5"))
    drawn = asked.draw([label.id for label in labels])
    sample = known_texts(drawn, labels, str(path))
    ranking = Ranking(sample.candidates, asked.topic, asked.characters, len(drawn.candidates))
    return ranking, *with_held_out(labels, [each.id for each in drawn.candidates], asked.seed)


def grades_by_hand(asked: Sampling) -> tuple[Ranking, list[Label]]:
    """Ask the person in rounds. Raises ``LabellingStopped``; what was graded until then is kept."""
    from speciate.corpus.classify.labelling import label_by_hand
    from speciate.corpus.classify.rounds import label_in_rounds

    ranking, labelling, note = _begin(asked)

    def grade(texts: Sequence[Candidate], why: str) -> None:
        def show(text: str) -> None:
            print(text, file=sys.stderr)

        def ask(prompt: str) -> str:
            print(prompt, end="", file=sys.stderr, flush=True)
            return input()

        label_by_hand(texts, asked.topic, why, note, ask, show)

    label_in_rounds(ranking, grade, labelling, asked.schedule, asked.seed)
    return ranking, _kept(asked, labelling)


def grades_of_model(
    asked: Sampling, model: str, cache: Path | None, parallel: int, yes: bool
) -> tuple[Ranking, list[Label], dict[str, int]]:
    """Have the model grade in rounds, after saying what that takes and being told to go on; and what was used."""
    from speciate.corpus.classify.endpoint import Endpoint
    from speciate.corpus.classify.rounds import label_in_rounds

    ranking, labelling, _ = _begin(asked)
    endpoint = Endpoint(model, asked.topic, cache or _cache_folder(), parallel)
    left = asked.schedule.total - len(labelling.labels)
    if left > 0:
        _consent(endpoint, ranking.candidates, left, yes)
    with progress_bar(asked.as_json) as progress:

        def noted(name: str, score: int | None) -> None:
            labelling.note(name, score)
            progress(f"{len(labelling.labels):,} labels", min(1.0, len(labelling.labels) / asked.schedule.total))

        def grade(texts: Sequence[Candidate], why: str) -> None:
            try:
                endpoint.grade(texts, noted)
            finally:
                _kept(asked, labelling)  # each answer is in the cache already

        label_in_rounds(ranking, grade, labelling, asked.schedule, asked.seed)
    return ranking, _kept(asked, labelling), endpoint.usage.to_json()


def _consent(endpoint: Endpoint, candidates: Sequence[Candidate], labels: int, yes: bool) -> None:
    """Say what labels take; raise ``UserError`` unless somebody agrees."""
    from speciate.corpus.classify.endpoint import estimate

    told = estimate(endpoint.topic, candidates, labels)
    what = (
        f"about {told['calls']:,} calls of {endpoint.model} at {endpoint.address}: {told['tokens_in']:,} tokens in, "
        f"{told['tokens_out']:,} out (more from a model that reasons); texts of the corpus are sent there"
    )
    print(what, file=sys.stderr, flush=True)
    if yes:
        return
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
        try:
            if input().strip().lower() in ("y", "yes"):
                return
        except EOFError:
            pass
    raise UserError(Problem(f"not agreed to: {what}", "--label-with", "add --yes to agree"))


def _begin(asked: Sampling) -> tuple[Ranking, Labelling, _Note]:
    from speciate.corpus.classify.labels import read_labels
    from speciate.corpus.classify.rounds import Labelling, Ranking

    file = asked.out / "labels.csv"
    labelling = Labelling({label.id: label for label in read_labels(file)} if file.exists() else {})
    ranking = Ranking(asked.draw().candidates, asked.topic, asked.characters)
    return ranking, labelling, _Note(labelling, file)


@dataclass(frozen=True, slots=True)
class _Note:
    """Takes a grade and writes down all of them, so that none is lost whatever happens next."""

    labelling: Labelling
    file: Path

    def __call__(self, name: str, score: int | None) -> None:
        from speciate.corpus.classify.labels import write_labels

        self.labelling.note(name, score)
        write_labels(self.file, self.labelling.labels.values())


def _kept(asked: Sampling, labelling: Labelling) -> list[Label]:
    from speciate.corpus.classify.labels import write_labels

    labels = list(labelling.labels.values())
    write_labels(asked.out / "labels.csv", labels)
    return labels


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speciate" / "answers"
