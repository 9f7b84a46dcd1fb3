"""Every expert on its own domain, against one model trained on as many tokens in all."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speciate.report.axes import Panel, axis, layout, nats_ticks
from speciate.report.drawing import to_json, vertical_line
from speciate.report.numbers import MISSING, nats_short, nats_text, percent_text, tokens_text
from speciate.report.palette import BAD, GOOD, INK, MUTED
from speciate.report.split.evidence import MEAN, SplitEvidence
from speciate.report.tables import mark, table

if TYPE_CHECKING:
    import pandas as pd

ROW_PIXELS = 24
LONGEST = 18  # characters of a name beside the figure
TERMS = 6
NEAR = 0.5  # tokens: rows of the same counts


@dataclass(frozen=True)
class ExpertLoss:
    """Losses (nats/token) on one domain's held-out text: of its expert, and of the model that was not split."""

    domain: str
    expert: float
    unsplit: float

    @property
    def difference(self) -> float:
        return self.expert - self.unsplit


@dataclass(frozen=True)
class Experts:
    """The experts of one allocation. ``chosen``: whether it is the planned one."""

    seed_tokens: float
    expert_tokens: float
    budget: float
    chosen: bool
    losses: tuple[ExpertLoss, ...]


def experts_of(evidence: SplitEvidence) -> Experts | None:
    """The experts of the planned allocation, else of the best split measured at the largest total; None without any."""
    points, ledger = evidence.points, evidence.ledger
    if ledger is None or points.empty or evidence.params is None:
        return None
    mine = points[points["params"] == evidence.params]
    split = mine[mine["tokens"] > 0].sort_values(["budget", "loss"], ascending=[False, True])
    options = (evidence.plan or {}).get("options") or []
    chosen = next((float(one["seed_tokens"]) for one in options if one.get("chosen")), None)
    planned = (split["seed_tokens"] - (-1.0 if chosen is None else chosen)).abs() <= NEAR
    planned &= split["budget"] == (evidence.total or -1.0)
    for is_chosen, rows in ((True, split[planned]), (False, split)):
        for row in rows.itertuples():
            alone = mine[(mine["budget"] == row.budget) & (mine["tokens"] == 0)]
            if len(alone):
                unsplit = float(alone["seed_tokens"].iloc[0])
                seed, each = float(row.seed_tokens), float(row.tokens)
                losses = _losses(evidence, str(row.run), seed, each, unsplit)
                if losses:
                    return Experts(seed, each, float(row.budget), is_chosen, losses)
    return None


def _losses(evidence: SplitEvidence, run: str, seed: float, each: float, unsplit: float) -> tuple[ExpertLoss, ...]:
    """By domain, the least against the unsplit model first."""
    assert evidence.ledger is not None
    rows = evidence.ledger.fillna({"seed_tokens": 0.0, "tokens": 0.0})
    rows = rows[(rows["params"] == evidence.params) & rows["loss"].notna() & (rows["eval_on"] != MEAN)]
    own = rows[(rows["tokens"] - each).abs().le(NEAR) & (rows["seed_tokens"] - seed).abs().le(NEAR)]
    own = own[(own["train_on"] == own["eval_on"]) & _same_order(own, run)]
    whole = rows[(rows["tokens"] == 0) & (rows["seed_tokens"] - unsplit).abs().le(NEAR)]
    by_expert = own.groupby("eval_on")["loss"].mean()
    by_whole = whole.groupby("eval_on")["loss"].mean()
    shared = [str(name) for name in by_expert.index if name in by_whole.index]
    found = [ExpertLoss(name, float(by_expert[name]), float(by_whole[name])) for name in shared]
    return tuple(sorted(found, key=lambda one: (one.difference, one.domain)))


def _same_order(own: pd.DataFrame, run: str) -> pd.Series[bool]:
    """Rows of the experts that a mean's run is of: its name ends as theirs do, in the order of the text."""
    ending = re.search(r"-s\d+(-t\d+)?$", run)
    names = own["run"].astype(str)
    return names.str.endswith(ending[0] if ending else "")


def expert_panels(experts: Experts) -> list[Panel]:
    """Each domain's difference as a point about 0, the unsplit model."""
    losses = experts.losses
    widest = max(abs(one.difference) for one in losses) * 1.12 or 0.001
    reach = [min(-0.15 * widest, min(one.difference for one in losses) * 1.12),
             max(0.15 * widest, max(one.difference for one in losses) * 1.12)]  # fmt: skip
    places = list(range(len(losses), 0, -1))
    height = 74 + ROW_PIXELS * len(losses)
    x = axis(
        "expert minus unsplit, nats per token",
        nats_ticks(reach[0], reach[1], 5),
        lambda v: nats_short(v, signed=True),
        reach,
    )
    y = axis("", [float(place) for place in places], lambda at: short(losses[len(losses) - round(at)].domain),
             [0.4, len(losses) + 0.6])  # fmt: skip
    y |= {"showgrid": False, "tickfont": {"size": 11.5, "color": INK[0]}}
    colours = [GOOD[0] if one.difference < 0 else BAD[0] for one in losses]
    stems: dict[str, list[float | None]] = {"x": [], "y": []}
    for one, place in zip(losses, places, strict=True):
        stems["x"] += [0.0, one.difference, None]
        stems["y"] += [place, place, None]
    lines = {"type": "scatter", "mode": "lines", **stems, "hoverinfo": "skip", "line": {"width": 2, "color": MUTED[0]}}
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [one.difference for one in losses],
        "y": places,
        "marker": {"size": 10, "opacity": 1, "color": colours,
                   "symbol": ["circle" if one.difference < 0 else "x" for one in losses]},
        "hoverinfo": "text",
        "text": [
            f"{html.escape(one.domain)}<br>expert {nats_text(one.expert)}, unsplit {nats_text(one.unsplit)} nats"
            for one in losses
        ],
    }  # fmt: skip
    values = [
        {"x": 1.015, "xref": "paper", "y": place, "xanchor": "left", "yanchor": "middle", "showarrow": False,
         "text": nats_text(one.difference, signed=True), "font": {"size": 11.5, "color": colour}}
        for one, place, colour in zip(losses, places, colours, strict=True)
    ]  # fmt: skip
    left = 24 + 7 * max(len(one.domain[:LONGEST]) for one in losses)
    drawn = layout(x, y, height=height, left=left, right=56, top=8, annotations=values,
                   shapes=[vertical_line(0.0, {"width": 1, "color": INK[0]})])  # fmt: skip
    better = sum(one.difference < 0 for one in losses)
    label = f"Loss of {len(losses)} experts on their own domain less that of the unsplit model: {better} lower."
    return [Panel("", label, to_json([lines, points], drawn), height)]


def short(name: str) -> str:
    """A domain's name beside a figure, escaped for plotly, which reads markup."""
    return html.escape(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…")


def expert_sentence(experts: Experts, choice: str | None) -> str:
    """Which allocation the experts are of, where the plan's ``choice`` is this, and how many are better off."""
    better = sum(one.difference < 0 for one in experts.losses)
    other = "Not the planned split, but the best one measured" if choice == "split" else "The best split measured"
    which = "The planned split" if experts.chosen else other
    each = tokens_text(experts.expert_tokens)
    seed = f"a seed of {tokens_text(experts.seed_tokens)}, then {each}" if experts.seed_tokens else f"no seed, {each}"
    return (
        f"{which}: {seed} for each expert. {better} of {len(experts.losses)} experts end below the unsplit model of "
        f"{tokens_text(experts.budget)} on their own domain."
    )


def expert_table(evidence: SplitEvidence, experts: Experts | None) -> str:
    """The domains by name with the terms that stand out, and both losses where they were measured."""
    by_name = {one.domain: one for one in experts.losses} if experts else {}
    terms = evidence.terms or {}
    held_out = (evidence.routing or {}).get("domains") or []
    shares = {str(row.get("domain")): row.get("share_of_texts") for row in held_out}
    rows = []
    for name in evidence.domains or sorted(by_name):
        one = by_name.get(name)
        losses = [MISSING, MISSING, MISSING, MISSING]
        if one is not None:
            sign = mark(one.difference < 0, "lower", "higher") if one.difference else "the same"
            losses = [nats_text(one.unsplit), nats_text(one.expert), nats_text(one.difference, signed=True), sign]
        share = shares.get(name)
        rows.append(
            [html.escape(name),
             *([html.escape(", ".join(terms.get(name, [])[:TERMS])) or MISSING] if terms else []),
             *losses, *([MISSING if share is None else percent_text(share)] if shares else [])]
        )  # fmt: skip
    head = ["Domain", *(["Terms that stand out"] if terms else []), "Unsplit", "Expert", "Difference", "Verdict",
            *(["Share of held-out texts"] if shares else [])]  # fmt: skip
    first = 2 if terms else 1
    caption = "Losses on the domain's held-out text, nats per token."
    return table(caption, head, rows, numbers={first, first + 1, first + 2, first + 4})
