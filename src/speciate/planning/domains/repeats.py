"""Which pilots repeat domain text, how often, and what that shows about R* (``repetition``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.laws.mixing import mixing
from speciate.planning.domains.fit import POWERS, fit_many
from speciate.planning.domains.horizon import AtHorizon
from speciate.planning.domains.rows import DomainRuns
from speciate.planning.mixture.repetition import Lasting, effective_share, profiled, published

Array = NDArray[np.float64]
ALIKE = 0.005  # of a run's tokens: repeats below that are none, and so much may unique_tokens be off
TELLING = 1.5  # epochs at the horizon from which a pilot says something about R*


@dataclass(frozen=True, eq=False)
class PilotRepeats:
    """Limits q = U / T (n, K) of the runs' domains at the horizon, infinity where nothing repeats.

    ``epochs`` (K,): the most that any pilot read a domain's text, as far as that is known; 1 where none repeats.
    """

    limits: Array
    epochs: Array
    notes: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Whether a pilot is known to repeat."""
        return bool(np.isfinite(self.limits).any())


def pilot_repeats(runs: DomainRuns, horizon: float, unique: Mapping[str, float]) -> PilotRepeats:
    """Repetition in the pilots, from the column unique_tokens and from ``unique`` tokens of the domains' corpora.

    unique_tokens, which is of a run's whole text, is believed first: general text does not repeat, so what is left is
    the domain's, if the run has one domain; of several, the corpora must explain it. Without it a pilot that read more
    than a corpus holds is taken to have repeated it. A run of which none of this can be told is taken as fresh. The
    notes say what was assumed.
    """
    limits, epochs = np.full(runs.shares.shape, np.inf), np.ones(len(runs.domains))
    corpora = np.array([unique.get(name, np.inf) for name in runs.domains])
    unclear, assumed = [], 0
    for i, (run, fresh, shares) in enumerate(zip(runs.runs, runs.unique, runs.shares, strict=True)):
        tokens = max(float(c.tokens[-1]) for name in runs.sets if (c := runs.curves[name][i]) is not None)
        read = shares * tokens
        own = np.where(read > corpora, corpora, np.inf)
        if np.isfinite(fresh):
            left = fresh - (tokens - read.sum())
            if fresh >= tokens * (1 - ALIKE):
                own = np.full(len(shares), np.inf)
            elif abs(left - np.minimum(read, own).sum()) > tokens * ALIKE:
                single = (shares > 0).sum() == 1 and left > 0
                own = np.where((shares > 0) & single, left, np.inf)
                unclear += [] if single else [run]
        else:
            assumed += bool(np.isfinite(own).any())
        limits[i] = own / horizon
        epochs = np.maximum(epochs, read / own)
    notes = []
    if assumed:
        notes.append(f"{assumed} of {len(runs.runs)} runs read more than the unique tokens given: taken to repeat them "
                     "(the column unique_tokens would tell)")  # fmt: skip
    if unclear:
        notes.append(f"{len(unclear)} of {len(runs.runs)} runs repeat text (such as {unclear[0]}), but whose cannot be "
                     "told from unique_tokens: taken as fresh")  # fmt: skip
    return PilotRepeats(limits, epochs, tuple(notes))


def lasting_of(
    runs: DomainRuns, at: Mapping[str, AtHorizon], limits: Array, rng: np.random.Generator, draws: int
) -> Lasting:
    """R* from the runs that repeat (their shares then count as effective ones), or as published where too few do."""
    epochs = np.where(np.isfinite(limits), runs.shares / limits, 1.0).max(axis=1)
    if (epochs > TELLING).sum() < 2 or len(np.unique(np.round(epochs, 2))) < 3:
        return published(rng, draws)
    names = [name for name in runs.sets[1:] if np.isfinite(at[name].change).sum() > len(runs.domains) + 3]
    law = mixing([*runs.domains, runs.general])

    def errors(lasting: Array) -> Array:
        found = np.empty((len(lasting), len(names)))
        for s, name in enumerate(names):
            use = np.isfinite(at[name].change)
            y = runs.starts[name] + at[name].change[use]
            seen = effective_share(runs.shares[use], limits[use], lasting[:, None, None])
            raised = np.concatenate([seen**power for power in POWERS])  # a power of the shares and R* bend the same way
            _, left = fit_many(law, runs, raised, y)
            found[:, s] = np.square(left).sum(axis=1).reshape(len(POWERS), -1).min(axis=0)
        return found

    return profiled(errors, len(runs.runs), rng, draws) if names else published(rng, draws)
