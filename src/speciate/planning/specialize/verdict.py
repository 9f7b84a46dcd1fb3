"""What the minima decide: the regime at the largest size, why it may be open, and the run that would tell most."""

from __future__ import annotations

from collections.abc import Sequence

from speciate.planning.specialize.curves import Names
from speciate.planning.specialize.decision import NextRun, SizeSger
from speciate.planning.specialize.minimum import Minimum
from speciate.planning.words import short

LONGER = 1.5  # how much further a run should go whose minimum may lie beyond its end


def undecided(size: SizeSger, names: Names, level: float) -> tuple[str | None, NextRun | None]:
    """Why the regime is open at a size (None: it is not), and the run that would tell most (None: nothing is open)."""
    g, s = size.general, size.specialized
    better = size.specialized_is_better
    winner, loser, other = (s, g, names.general) if better else (g, s, names.specialized)
    if winner.bound == "none":
        return f"not decidable: {size.status}.", None
    if loser.last < winner.checkpoint and loser.bound in ("at least", "single"):
        even = NextRun("both regimes need the same length", size.params, other, loser.last, winner.checkpoint)
        reason = f"{other} ended at {short(loser.last)} tokens, still improving, before the other was at its best"
        return f"not decidable: {reason}.", even
    another = NextRun("a second seed shows how runs differ", size.params, names.specialized, 0.0, s.checkpoint)
    chance = size.p_specialized_better
    if winner.best == loser.best or (chance is not None and 1 - level < chance < level):
        reason = f"{g.best:.4g} and {s.best:.4g} differ by no more than runs with other seeds do"
        return f"not decidable: {reason}.", another
    if loser.censored or loser.near:
        longer = NextRun(
            f"the minimum of {other} may lie beyond its end", size.params, other, loser.last, LONGER * loser.last
        )
        return None, longer
    return None, another if chance is None else None


def status_of(sizes: Sequence[SizeSger], names: Names) -> str:
    """A sentence on all sizes."""
    better = sum(size.specialized_is_better for size in sizes)
    text = f"{names.specialized} reaches the lower {names.eval_on} perplexity at {better} of {len(sizes)} sizes"
    seen = [size for size in sizes if size.sger is not None and not size.bound]
    ratios = [f"{size.sger:.3g} at {short(size.params)} params" for size in seen]
    if ratios:
        text += f"; SGER {', '.join(ratios[:6])}" + (f" and {len(ratios) - 6} more" if len(ratios) > 6 else "")
    counts = {
        "censored": sum(bool(size.bound) for size in sizes),
        "near-censored": sum(size.near and not size.bound for size in sizes),
        "unknown": sum(size.sger is None for size in sizes),
    }
    return text + "".join(f"; {count} {what}" for what, count in counts.items() if count) + "."


def minimum_words(regime: str, found: Minimum) -> str:
    """What is to be known of a minimum, or ""."""
    if found.bound == "at least":
        return f"{regime} was still improving at its last checkpoint ({short(found.last)} tokens): censored"
    if found.bound == "at most":
        return f"{regime} was best at its first checkpoint ({short(found.checkpoint)} tokens)"
    if found.bound == "none":
        return f"training on {regime} never got below the starting model"
    if found.bound == "single":
        return f"{regime} was examined at one checkpoint only"
    where = f"{short(found.tokens)} of {short(found.last)} tokens"
    return f"minimum of {regime} at {where}: near-censored" if found.near else ""
