"""A simulated laboratory: runs are bought one by one, in a world whose truth is known.

The worlds are those of ``planning.mixture.simulate``. A run can be carried on: its own luck stays its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.planning.mixture.simulate import Setup, expected_domain, expected_general, true_critical
from speciate.planning.next.cost import marginal_flops

Array = NDArray[np.float64]
FIRST = 16e3  # tokens of a run's first measurement
PER_DOUBLING = 2.0  # measurements


@dataclass
class Laboratory:
    """One size and one starting model. ``flops`` spent so far; ``rows`` measured so far."""

    setup: Setup
    seed: int
    flops: float = 0.0
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.params = self.setup.sizes[0]
        self.kind: float = float(self.rng.uniform(-1, 1))
        self.trunk = self.rng.standard_normal(2) * self.setup.trunk_sd
        self.starts = (3.8 + self.rng.normal(0, 0.03), 5.1 + self.rng.normal(0, 0.03))
        self.luck: dict[str, tuple[float, Array, float]] = {}  # of a run: ratio, v of both sets, tokens so far

    @property
    def table(self) -> pd.DataFrame:
        names = ["run", "trunk", "params", "domain_ratio", "seed", "eval_on", "tokens", "loss"]
        return pd.DataFrame(self.rows, columns=names)

    def grown(self, tokens: Array) -> Array:
        """The share of a run's or trunk's effect that is there after ``tokens``."""
        return np.asarray(np.minimum(np.log1p(tokens / FIRST) / np.log1p(self.setup.pilot / FIRST), 1.3))

    def truth(self, ratio: Array | float, tokens: float) -> tuple[Array, Array]:
        """Expected changes of the general and the domain loss from this starting model, nats/token."""
        grown = self.grown(np.array(tokens))
        general = expected_general(self.setup.world, self.kind, ratio, tokens) + self.trunk[0] * grown
        return np.asarray(general), np.asarray(expected_domain(self.kind, ratio, tokens) + self.trunk[1] * grown)

    def critical(self) -> float:
        """The true critical ratio at the horizon."""
        at = self.setup.horizon
        shift = float(self.trunk[0] * self.grown(np.array(at)))
        return true_critical(self.setup.world, self.kind, at, self.setup.tolerance, shift)

    def regret(self, ratio: float, weight: float = 1.0) -> float:
        """What planning with ``ratio`` truly costs (nats/token), as ``planning.next.mixture`` defines it."""
        best = max(self.critical(), 0.01)
        (general, domain), (least, most) = self.truth(ratio, self.setup.horizon), self.truth(best, self.setup.horizon)
        lost, broken = float(domain - most), float(general - least)
        return max(lost, 0.0) + weight * max(broken, 0.0)

    def run(self, ratio: float, tokens: float, repeats: int = 1) -> None:
        """Train new seeds from the starting model and measure them."""
        for _ in range(repeats):
            name = f"run{len(self.luck)}"
            self.luck[name] = ratio, self.setup.run_sd * self.rng.standard_normal(2), 0.0
            for role, eval_on in enumerate(("general", "code")):
                self.rows.append((name, "A", self.params, ratio, len(self.luck), eval_on, 0.0, self.starts[role]))
            self.carry_on(name, tokens)

    def carry_on(self, name: str, tokens: float) -> None:
        """Train a run on to ``tokens`` and measure what is new."""
        ratio, luck, done = self.luck[name]
        start = done if done > FIRST else FIRST
        steps = int(np.ceil(np.log2(tokens / start) * PER_DOUBLING))
        at = np.geomspace(start, tokens, max(steps, 1) + 1)[1 if done else 0 :]
        number = list(self.luck).index(name) + 1
        for role, eval_on in enumerate(("general", "code")):
            truth = np.array([self.truth(ratio, float(t))[role] for t in at])
            noise = self.rng.standard_normal(len(at))
            for i in range(1, len(at)):
                noise[i] = self.setup.correlation * noise[i - 1] + np.sqrt(1 - self.setup.correlation**2) * noise[i]
            loss = self.starts[role] + truth + luck[role] * self.grown(at) + self.setup.jitter * noise
            key = (name, "A", self.params, ratio, number, eval_on)
            self.rows += [(*key, float(t), float(value)) for t, value in zip(at, loss, strict=True)]
        self.flops += marginal_flops(self.params, tokens, done=done)
        self.luck[name] = ratio, luck, tokens

    def buy(self, spec: Mapping[str, Any]) -> None:
        """Carry out a candidate of ``plan_next``."""
        if spec["continues"] is not None:
            self.carry_on(spec["continues"], float(spec["tokens"]))
        else:
            self.run(float(spec["domain_ratio"]), float(spec["tokens"]), int(spec["repeats"]))
