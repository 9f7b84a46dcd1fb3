"""What text that is seen again is worth (Muennighoff et al. 2305.16264), and what that does to a share of domain text.

A domain corpus of U unique tokens, drawn r T times at share r and horizon T, is read E = r T / U times. Its r T
tokens teach as much as  U (1 + R* (1 - exp(-(E - 1) / R*)))  fresh ones (r T while E <= 1), so the share r is worth
the effective share  e(r) = that / T.  The model, ours, for one domain and for several:

* a domain's loss at shares r is that of the mixture with shares e(r), measured on fresh text: tokens read again count
  for what they are worth, and the rest of them as general text does. It never rises with r; it flattens.
* the general loss is that of the shares r themselves: repeated domain text displaces as much general text as fresh.

So repetition never makes a larger share feasible, and beyond some share more domain text buys nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from speciate.errors import Problem, UserError
from speciate.laws.repetition import PUBLISHED
from speciate.planning.mixture.decision import MixtureDecision, SizeDecision, size_forecast

Array = NDArray[np.float64]
LASTING = PUBLISHED[5]  # R*_D of the paper's decoder fit
VAGUE = 1.0  # the same, before looking at pilots that repeat
DOUBT = 0.3  # sd of ln R* where the published value is used on other text: a factor 1.35 either way; ours
NEGLIGIBLE, HEAVY = 4.0, 16.0  # epochs up to which repeats cost next to nothing, and beyond which they are worth little
ENOUGH = 0.002  # nats/token that a smaller share may give away and still count as good
GRID = np.geomspace(1.0, 200.0, 25)  # of R* when it is fitted
AT_RATIO = 400  # draws of R* at a critical ratio
SHARES = np.linspace(0.0, 1.0, 101)  # of the planned share, tried for being enough


def effective_share(share: ArrayLike, limit: ArrayLike, lasting: ArrayLike) -> Array:
    """e(r) of shares r, limits q = U / T (infinity: never repeats) and R*, broadcast against each other.

    Half of 20B tokens from 2B unique ones: five epochs, worth .45 of the horizon instead of .5.

    >>> effective_share([0.05, 0.5], 0.1, 15.39).round(3)
    array([0.05 , 0.452])
    """
    share, limit, lasting = (np.asarray(value, dtype=float) for value in (share, limit, lasting))
    held = np.where(np.isfinite(limit), limit, 1.0)  # a share is at most 1, so never repeats at a limit of 1
    again = np.maximum(share / held - 1.0, 0.0)
    return np.asarray(np.minimum(share, held) - held * lasting * np.expm1(-again / lasting), dtype=float)


@dataclass(frozen=True, eq=False)
class Lasting:
    """R*: its value, draws (B,), and where it comes from, in words. ``fitted``: from the table itself."""

    value: float
    draws: Array
    source: str
    fitted: bool


def published(rng: np.random.Generator, draws: int) -> Lasting:
    """The paper's R*, drawn within a factor that stands for other text and other models."""
    drawn = LASTING * np.exp(DOUBT * rng.standard_normal(draws))
    return Lasting(LASTING, drawn, published_source(), False)


def published_source() -> str:
    """Where R* comes from if the table says nothing about it."""
    return f"repeats are counted with R* = {LASTING:.1f} as published (arXiv 2305.16264), not checked on this text"


def profiled(errors: Callable[[Array], Array], rows: int, rng: np.random.Generator, draws: int) -> Lasting:
    """R* from the table: ``errors`` gives squared errors (G, S) of S evaluation sets at R* (G,).

    Believed is the likelihood times a normal about the published ln R* with sd ``VAGUE``; the value is its median.
    """
    squares = np.maximum(errors(GRID), 1e-18)
    log = -0.5 * rows * np.log(squares).sum(axis=1) - 0.5 * np.square(np.log(GRID / LASTING) / VAGUE)
    weight = np.exp(log - log.max())
    drawn = rng.choice(GRID, size=draws, p=weight / weight.sum())
    drawn = drawn * np.exp(np.log(GRID[1] / GRID[0]) * rng.uniform(-0.5, 0.5, draws))
    value = float(np.median(drawn))
    ends = np.quantile(drawn, [0.05, 0.95])
    source = (
        f"repeats are counted with R* = {value:.3g} (90% {ends[0]:.3g} to {ends[1]:.3g}), from the pilots that repeat "
        "and the published value"
    )
    return Lasting(value, drawn, source, True)


def check_unique(unique: Mapping[str, float], domains: tuple[str, ...]) -> list[Problem]:
    """Problems with unique tokens by domain."""
    problems = []
    for name, tokens in unique.items():
        if name not in domains:
            fix = f"name one of {', '.join(domains)}"
            problems.append(Problem(f"no domain is called {name!r}", "--unique", fix))
        elif not 0 < tokens < np.inf:
            problems.append(Problem(f"unique tokens of {name} are {tokens:g}", "--unique", "give tokens above 0"))
    return problems


@dataclass(frozen=True)
class Repeated:
    """One domain at the planned share. ``cost``: nats/token its repeats lose against fresh text, with its interval.

    ``enough_share``: the smallest share, the others held, within ``ENOUGH`` nats of the planned one's loss.
    ``seen_epochs``: the most that a measured run is known to have read this domain's text (1: none repeated it).
    """

    domain: str
    unique_tokens: float
    share: float
    tokens: float
    epochs: float
    effective_tokens: float
    effective_share: float
    cost: float | None
    low: float | None
    high: float | None
    enough_share: float | None
    seen_epochs: float

    @property
    def extrapolated(self) -> bool:
        """Whether the plan reads the text more often than any measured run did."""
        return self.epochs > max(self.seen_epochs, 1.0) * 1.01

    def to_json(self) -> dict[str, Any]:
        """As printed; missing is null."""
        return {**vars(self), "extrapolated": self.extrapolated}

    @property
    def warning(self) -> str | None:
        """A sentence: repeats beyond what was measured, and above four epochs."""
        text = f"{self.domain} is read {self.epochs:.1f} times"
        parts = []
        if self.epochs > HEAVY:
            parts.append("more of it teaches next to nothing; get more of it, or take a smaller share")
        elif self.epochs > NEGLIGIBLE:
            parts.append(f"up to {NEGLIGIBLE:g} epochs repeats cost next to nothing, here they begin to")
        if self.extrapolated:
            seen = (
                "no measured run repeats it"
                if self.seen_epochs <= 1
                else f"at most {self.seen_epochs:.1f} in the table"
            )
            parts.append(f"beyond the table ({seen})")
        return f"{text}: {'; '.join(parts)}" if parts else None

    def sentence(self) -> str:
        """For a person."""
        cost = ""
        if self.cost is not None:
            band = "" if self.low is None or self.high is None else f" ({self.low:.4f} to {self.high:.4f})"
            cost = f", which costs {self.cost:.4f}{band} nats against fresh text"
        few = ""
        if self.enough_share is not None and self.enough_share < self.share - 0.005:
            few = f"; a share of {self.enough_share:.1%} does within {ENOUGH:g} nats as well"
        return (
            f"{self.domain}: {self.tokens:,.0f} tokens of {self.unique_tokens:,.0f} unique ones are {self.epochs:.2f} "
            f"epochs, worth {self.effective_tokens:,.0f} fresh tokens{cost}{few}"
        )


def repeated(
    domain: str, unique: float, share: float, horizon: float, lasting: Lasting, loss: Callable[[Array], Array] | None,
    level: float, seen_epochs: float,
) -> Repeated:  # fmt: skip
    """What repetition does at a share: ``loss`` maps effective shares (1 + B, M) of the domain to its loss.

    Row 0 of what it gives is the estimate, the others its draws. None: nobody measured that domain.
    """
    limit = unique / horizon
    each = np.concatenate([[lasting.value], lasting.draws])[:, None]
    worth = float(effective_share(share, limit, lasting.value))
    cost: float | None = None
    low: float | None = None
    high: float | None = None
    enough: float | None = None
    if loss is not None:
        tried = share * SHARES
        at = effective_share(tried, limit, each)
        losses = loss(at)
        lost = losses[:, -1] - loss(np.full((len(each), 1), share))[:, 0]
        cost = max(float(lost[0]), 0.0)
        if np.isfinite(lost).all() and len(lost) > 1:
            ends = np.quantile(lost[1:], [(1 - level) / 2, (1 + level) / 2])
            low, high = max(min(float(ends[0]), cost), 0.0), max(float(ends[1]), cost)
        enough = float(tried[int(np.argmax(losses[0] <= losses[0, -1] + ENOUGH))])
    return Repeated(domain, unique, share, share * horizon, share / limit, worth * horizon, worth, cost, low, high,
                    enough, seen_epochs)  # fmt: skip


def at_critical_ratio(decision: MixtureDecision, table: pd.DataFrame, unique: float) -> dict[int, Repeated]:
    """By params: what repetition does at the critical ratio of every decided size, for a domain of ``unique`` tokens.

    The critical ratio itself does not move: it is of the general loss. Intervals of ``cost`` are of R* alone.
    """
    problems = check_unique({decision.domain: unique}, (decision.domain,))
    if problems:
        raise UserError(problems)
    lasting = published(np.random.default_rng(decision.seed), AT_RATIO)
    found = {}
    for model in decision.models:
        if model.critical_ratio is None:
            continue
        seen = _seen_epochs(table[(table["params"] == model.params) & (table["tokens"] > 0)], unique)
        loss = _domain_loss(model, decision)
        share, horizon = model.critical_ratio, model.horizon_tokens
        found[model.params] = repeated(decision.domain, unique, share, horizon, lasting, loss, decision.level, seen)
    return found


def _domain_loss(model: SizeDecision, decision: MixtureDecision) -> Callable[[Array], Array] | None:
    """The domain's expected loss at the horizon, at any ratios; None for a size that was not run."""
    basis = model.basis
    if basis is None or model.critical_ratio is None:
        return None
    ratios = np.linspace(0.0, 1.0, 9) * model.critical_ratio
    ratios = np.concatenate([ratios[:-1], np.linspace(ratios[-2], ratios[-1], 9)[1:]])
    at = np.array([model.horizon_tokens])
    losses = np.array(
        [float(size_forecast(basis, "domain", ratio, at, decision.level, decision.seed).value[0]) for ratio in ratios]
    )
    return lambda shares: np.asarray(np.interp(shares, ratios, losses), dtype=float)


def _seen_epochs(rows: pd.DataFrame, unique: float) -> float:
    """The most that any run of these rows is known to have read the domain's text; 1 where none repeats it."""
    read = (rows["domain_ratio"] * rows["tokens"]).to_numpy(dtype=float)
    own = np.full(len(rows), float(unique))
    if "unique_tokens" in rows.columns:
        fresh = rows["unique_tokens"].to_numpy(dtype=float, na_value=np.nan)
        left = fresh - (rows["tokens"].to_numpy(dtype=float) - read)
        own = np.where(left > 0, np.minimum(left, own), own)
    return float(np.max(read / own, initial=1.0))
