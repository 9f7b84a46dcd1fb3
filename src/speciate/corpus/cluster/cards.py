"""Cards of clusters: what stands in them, how far they are from each other, and one page that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.cluster.embed import WORDS, Vectors
from speciate.corpus.cluster.parts import Labels, Sample
from speciate.storage import write_atomic

if TYPE_CHECKING:
    from speciate.corpus.cluster.balanced_kmeans import BalancedKMeans

TERMS, EXAMPLES, NEAREST = 12, 3, 3
SHOWN = 300  # characters of an example
MOST_TERMS = 50_000


def describe_clusters(
    model: BalancedKMeans, sample: Sample, sample_labels: NDArray[Any], vectors: Vectors, labels: Labels
) -> dict[str, Any]:
    """{"clusters": [card ...], "distances": Euclidean ones between centroids}.

    ``vectors`` (windows of the sample, dimensions). A card: windows of the clustered and of the held-out text, share
    of all, price, top terms, the nearest other clusters, and the windows of the sample nearest to the centroid.
    """
    count = len(model.centroids)
    sizes, held = labels.sizes(count, held_out=False), labels.sizes(count, held_out=True)
    centroids = np.asarray(model.centroids, np.float64)
    squares = (centroids**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * centroids @ centroids.T, 0))
    np.fill_diagonal(distances, 0)
    terms = top_terms(sample.texts, sample_labels, count)
    cards = []
    for number in range(count):
        order = [int(at) for at in np.argsort(distances[number], kind="stable") if at != number][:NEAREST]
        cards.append({
            "cluster": number,
            "windows": int(sizes[number]),
            "held_out": int(held[number]),
            "share": float((sizes[number] + held[number]) / max(1, (sizes + held).sum())),
            "price": float(model.prices[number]),
            "terms": terms[number],
            "nearest": [{"cluster": at, "distance": round(float(distances[number, at]), 6)} for at in order],
            "examples": _examples(sample, vectors, sample_labels == number, centroids[number]),
        })  # fmt: skip
    return {"clusters": cards, "distances": np.round(distances, 6).tolist()}


def top_terms(texts: Sequence[str], labels: NDArray[Any], clusters: int, most: int = TERMS) -> list[list[str]]:
    """For each cluster the words that stand out: share of its texts that hold the word x log of its lift.

    >>> top_terms(["the law", "the court", "the cell", "the gene cell"], np.array([0, 0, 1, 1]), 2, 1)
    [['court'], ['cell']]
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(token_pattern=WORDS, binary=True, max_features=MOST_TERMS, dtype=np.int32)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # not one word
        return [[] for _ in range(clusters)]
    words = counter.get_feature_names_out()
    overall = np.asarray(counts.sum(0)).ravel() / len(texts)
    found = []
    for number in range(clusters):
        own = counts[np.flatnonzero(labels == number)]
        shares = np.asarray(own.sum(0)).ravel() / max(1, own.shape[0])
        lift = shares * np.log(np.where(shares > 0, shares, 1) / overall)
        best = np.lexsort((words, -lift))[:most]
        found.append([str(words[at]) for at in best if lift[at] > 0])
    return found


def _examples(sample: Sample, vectors: Vectors, own: NDArray[np.bool_], centroid: NDArray[Any]) -> list[dict[str, str]]:
    chosen = np.flatnonzero(own)
    gaps = ((vectors[chosen] - centroid) ** 2).sum(1)
    nearest = chosen[np.argsort(gaps, kind="stable")[:EXAMPLES]]
    return [{"id": sample.ids[at], "text": " ".join(sample.texts[at][: 4 * SHOWN].split())[:SHOWN]} for at in nearest]


def write_cards(path: Path, told: dict[str, Any]) -> None:
    """The page: one file, no script, nothing from the network; equal clusters give equal bytes."""
    write_atomic(path, page(told))


def page(told: dict[str, Any]) -> str:
    """The page as text, from what clusters.json says."""
    cards = told["clusters"]
    windows = sum(card["windows"] + card["held_out"] for card in cards)
    reads = (
        f"{told['embedding']['kind']}, {told['embedding']['dimensions']} dimensions, reads {told['embedding']['reads']}"
    )
    facts = (
        ("Windows", f"{windows:,}", f"of {told['window_tokens']:,} tokens at most"),
        ("Largest cluster over the mean", _ratio(told["balance"]["clustered"]), "of the clustered text"),
        ("The same, held out", _ratio(told["balance"]["held_out"]), "chance included: few windows never divide evenly"),
        ("Embedding", told["embedding"]["kind"], reads),
    )
    template = files("speciate.corpus.cluster").joinpath("cards_page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        count=len(cards),
        facts="\n".join(
            f"<div><dt>{escape(name)}</dt><dd><strong>{escape(figure)}</strong> {escape(note)}</dd></div>"
            for name, figure, note in facts
        ),
        cards="\n".join(_card(card) for card in cards),
        distances=_heat_map(told["distances"]),
        quality=_tables(told["quality"]),
    )


def _ratio(balance: dict[str, Any]) -> str:
    value = balance["largest_over_mean"]
    return "none" if value is None else f"{value:.3f}"


def _card(card: dict[str, Any]) -> str:
    terms = " ".join(f"<li>{escape(term)}</li>" for term in card["terms"])
    near = ", ".join(f'<a href="#c{n["cluster"]}">{n["cluster"]}</a> ({n["distance"]:.2f})' for n in card["nearest"])
    examples = "".join(f"<p><span>{escape(each['id'])}</span> {escape(each['text'])}</p>" for each in card["examples"])
    size = f"{card['windows']:,} windows, {card['held_out']:,} held out, {card['share']:.1%} of all"
    nearest = f'<p class="key">Nearest: {near}</p>' if near else ""
    return (
        f'<article id="c{card["cluster"]}"><h3>Cluster {card["cluster"]}</h3><p class="key">{size}</p>'
        f'<ul class="terms">{terms}</ul>{nearest}<details><summary>Examples</summary>{examples}</details></article>'
    )


def _heat_map(distances: Sequence[Sequence[float]]) -> str:
    """An SVG square: the darker, the nearer; rows and columns in the order of clusters."""
    count, largest = len(distances), max((max(row) for row in distances), default=0) or 1
    cell = max(6, min(28, 640 // max(1, count)))
    edge = 30
    marks = []
    for i, row in enumerate(distances):
        at = edge + i * cell + cell / 2
        if count <= 32 or i % 8 == 0:
            marks.append(f'<text x="{edge - 6}" y="{at + 4:g}" text-anchor="end">{i}</text>')
            marks.append(f'<text x="{at:g}" y="{edge - 8}" text-anchor="middle">{i}</text>')
        for j, value in enumerate(row):
            x, y = edge + j * cell, edge + i * cell
            shade = f'fill-opacity="{1 - value / largest:.3f}"'
            title = f"<title>{i} and {j}: {value:.3f}</title>"
            marks.append(f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" {shade}>{title}</rect>')
    size = edge + count * cell
    label = "Distances between the centroids of the clusters"
    return f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img" aria-label="{label}">{"".join(marks)}</svg>'


def _tables(quality: dict[str, Any]) -> str:
    if not quality["routing"]:
        return '<p class="key">Nothing was held out, so nothing was measured.</p>'
    nearest = {row["tokens"]: row for row in quality["routing_nearest"]}
    routing = [
        [f"{row['tokens']}", f"{row['r1']:.3f}", f"{row['r5']:.3f}", f"{near['r1']:.3f}", f"{near['r5']:.3f}",
         f"{row['busiest']:.2f}", f"{near['busiest']:.2f}"]
        for row in quality["routing"] for near in (nearest[row["tokens"]],)
    ]  # fmt: skip
    retrieval = [
        [f"{row['tokens']}", *("–" if row[name] is None else f"{row[name]:.3f}"
                               for name in ("r1", "r5", "paper_r1", "paper_r5"))]
        for row in quality["retrieval"]
    ]  # fmt: skip
    return (
        f"<h3>Routing: the cluster of the whole window, from its first tokens</h3>"
        f'<p class="key">{quality["texts"]:,} held-out windows. Busiest: most prefixes of a cluster over the mean.</p>'
        + _table(("Tokens", "Router R@1", "R@5", "Nearest centroid R@1", "R@5", "Busiest, router", "nearest"), routing)
        + f"<h3>Retrieval: the window itself, from its first tokens</h3>"
        f'<p class="key">Among {quality["among"]:,} windows, by cosine. Beside it table 5 of Seto et al., '
        f"whose corpus and embedding are others.</p>" + _table(("Tokens", "R@1", "R@5", "Paper R@1", "R@5"), retrieval)
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )
