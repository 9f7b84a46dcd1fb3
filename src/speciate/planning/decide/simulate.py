"""Ledgers of several kinds whose truth is known, to check that choices are right as often as they say.

The domain loss follows the split law: a token of general text is worth less to the domain, and a bias falls with the
domain's own tokens only. Filtered text holds all K domains, so that only ``sharing`` of it counts as the domain's own
in a model that serves them all. The general loss jumps with the share of domain text and then falls slowly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.laws.split import PRESET, SPLIT
from speciate.planning.decide.continued import fresh
from speciate.planning.decide.options import Option

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What is true, and how it was measured. Tokens and parameters; noise in nats/token.

    ``bias`` b_max and ``removal`` s of the split law: what sharing a model costs, and how fast own text removes it;
    ``jump`` ratio^``steep``: rise of the general loss; ``recovery``: how fast it falls with ln tokens.
    """

    sizes: tuple[float, ...] = (1.25e8, 2.5e8, 5e8)
    per_param: float = 20.0  # tokens of the starting model a parameter
    ratios: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    replicated: tuple[float, ...] = (0.5,)
    longest: float = 4e9
    points: int = 12
    domains: int = 4
    sharing: float = 1.0
    bias: float = 1.2
    removal: float = 0.4
    jump: float = 0.12
    steep: float = 2.2
    recovery: float = 0.03
    jitter: float = 0.002
    run_sd: float = 0.003
    unique_tokens: float | None = None
    experts: bool = True

    def domain_loss(self, params: float, seed: Array, own: Array) -> Array:
        """The split law at seeds and own tokens (n,)."""
        theta = np.array(PRESET)
        for name, value in (("b_max", self.bias), ("s", self.removal)):
            theta[SPLIT.names.index(name)] = value
        return SPLIT.predict(theta, {"params": np.full_like(seed, params), "seed_tokens": seed, "tokens": own})

    def continued_loss(self, params: float, ratio: float, tokens: Array) -> Array:
        """Domain loss after ``tokens`` (n,) on a mixture."""
        counted, shares = fresh(tokens, np.full_like(tokens, ratio), self.unique_tokens)
        own = self.sharing * shares * counted
        return self.domain_loss(params, self.per_param * params + counted - own, own)

    def general_change(self, params: float, ratio: float, tokens: Array) -> Array:
        """General loss less the starting model's after ``tokens`` (n,)."""
        t = tokens / 1e9
        small = (2.5e8 / params) ** 0.2
        up = self.jump * small * ratio**self.steep * (1 - np.exp(-((t / 0.2) ** 0.8)))
        return np.asarray(up - self.recovery * small * (1 - 0.6 * ratio) * np.log1p(t / 2))

    def true_loss(self, option: Option) -> float:
        """Expected domain loss of a planned option."""
        if option.kind != "split":
            assert option.domain_ratio is not None
            return float(self.continued_loss(option.params, option.domain_ratio, np.array([option.tokens]))[0])
        assert option.seed_tokens is not None and option.expert_tokens is not None
        each = None if self.unique_tokens is None else self.unique_tokens / option.experts
        own, _ = fresh(np.array([option.expert_tokens]), np.ones(1), each)
        return float(self.domain_loss(option.params, np.array([option.seed_tokens]), own)[0])

    def true_forgetting(self, option: Option, keep_seed: bool = False) -> float:
        """Expected change of the general loss of a planned option; with ``keep_seed``, of a split's seed."""
        if option.kind != "split":
            assert option.domain_ratio is not None
            return float(self.general_change(option.params, option.domain_ratio, np.array([option.tokens]))[0])
        assert option.seed_tokens is not None and option.expert_tokens is not None
        more = np.array([option.seed_tokens - self.per_param * option.params, option.expert_tokens * (not keep_seed)])
        return float(sum(self.general_change(option.params, r, more[[i]])[0] for i, r in ((0, 0.0), (1, 1.0))))


def drawn_world(world: World, rng: np.random.Generator) -> World:
    """The same with constants that differ from study to study."""
    factor = np.exp(rng.normal(0, 0.25, 3))
    return replace(world, bias=world.bias * factor[0], removal=world.removal * factor[1], jump=world.jump * factor[2])


def simulate(world: World, seed: int) -> pd.DataFrame:
    """A ledger: continued runs of every size and ratio, and, with ``experts``, seeds and experts of the domain."""
    rng = np.random.default_rng(seed)
    tables = [_continued(world, params, rng) for params in world.sizes]
    if world.experts:
        tables += [_experts(world, params, rng) for params in world.sizes]
    return pd.concat(tables, ignore_index=True)


def _continued(world: World, params: float, rng: np.random.Generator) -> pd.DataFrame:
    base = world.per_param * params
    tokens = np.geomspace(world.longest / 200, world.longest, world.points).round(-6)
    grown = np.log1p(tokens / tokens[0]) / np.log1p(tokens[-1] / tokens[0])
    general = 3.0 + 482 / params**0.3478
    domain = float(world.domain_loss(params, np.array([base]), np.zeros(1))[0])
    rows: list[tuple[object, ...]] = []
    plan = [(ratio, i) for ratio in world.ratios for i in range(1 + (ratio in world.replicated))]
    for ratio, number in plan:
        changes = world.general_change(params, ratio, tokens), world.continued_loss(params, ratio, tokens) - domain
        for name, start, change in zip(("general", "domain"), (general, domain), changes, strict=True):
            noise = world.run_sd * rng.standard_normal() * grown + world.jitter * rng.standard_normal(len(tokens))
            losses = np.append(start, start + change + noise)
            run = f"{params:.3g}-{ratio:g}-{number}"
            for t, loss in zip(np.append(0.0, tokens), losses, strict=True):
                rows.append((run, f"base-{params:.3g}", params, base, t, ratio, name, loss, number))
    names = ["run", "trunk", "params", "seed_tokens", "tokens", "domain_ratio", "eval_on", "loss", "seed"]
    return pd.DataFrame(rows, columns=names)


def _experts(world: World, params: float, rng: np.random.Generator) -> pd.DataFrame:
    """Seeds of half to twice the starting model's tokens, each continued on one domain for three lengths."""
    rows = []
    for i, seed_tokens in enumerate(world.per_param * params * np.array([0.25, 0.5, 1.0, 2.0])):
        for tokens in (0.0, 2.5e8, 1e9, world.longest):
            value = float(world.domain_loss(params, np.array([seed_tokens]), np.array([tokens]))[0])
            noise = np.hypot(world.run_sd, world.jitter) * rng.standard_normal()
            on = "general" if tokens == 0 else f"domain/{world.domains}"
            rows.append((f"e-{params:.3g}-{i}-{tokens:.2g}", params, seed_tokens, tokens, on, "domain", value + noise))
    return pd.DataFrame(rows, columns=["run", "params", "seed_tokens", "tokens", "train_on", "eval_on", "loss"])
