"""The last stage of a split study: its best experts, router and tokenizer as one folder, and what routing costs."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.runs.tree import build_tree
from speciate.storage import digest, file_digest, write_atomic
from speciate.study.files import read_object
from speciate.study.layout import Layout
from speciate.study.measuring import corpus_weights
from speciate.study.split.config import SplitStudy
from speciate.study.split.specs import Option, final_runs
from speciate.study.split.text import SplitText
from speciate.study.train import nodes_on_disk

HOWS = ("oracle", "routed", "ensemble", "base")
PARTS = ("README.md", "base", "experts", "router", "specialists.json")  # of a folder of specialists


def make_specialists(
    config: SplitStudy, layout: Layout, text: SplitText, plan: Mapping[str, Any], comparison: Mapping[str, Any]
) -> list[str]:
    """Write specialists/ and routing.json from the best split that was carried out; lines that say what was done.

    That is the planned one where the plan splits. What is there from the same nodes is kept.
    """
    best = best_split(comparison)
    if best is None:
        return ["none: the plan is not to split, and no split was carried out beside it"]
    lines = []
    if plan["decision"]["choice"] == "never split":
        lines = ["the plan is never to split; these are the best split that was carried out to check it"]
    option = Option(best["share"], best["seed_tokens"], best["expert_tokens"])
    keys = node_keys(config, layout, text, option)
    request = digest({"nodes": keys, "router": file_digest(text.router / "router.npz"), "about": _about(plan, best)})
    if not _is_made(layout.specialists, request):
        _build(config, layout, text, option, keys, {**_about(plan, best), "request": request})
    told = {"request": request, "texts": file_digest(text.texts)}
    routing = _measured(layout.routing, told)
    if routing is None:
        routing = {"option": dict(best), **measure_routing(layout.specialists, text), "of": told}
        write_atomic(layout.routing, json.dumps(routing, indent=1, allow_nan=False))
    perplexity = f"routing by {routing['prefix_tokens']} tokens: loss {routing['routed']:.4f} nats"
    lines.append(f"{layout.specialists}: {len(text.domains)} experts and a router")
    lines.append(
        f"{perplexity}, {100 * (routing['routed_over_oracle'] - 1):+.2f} % against each domain's own expert "
        f"({routing['oracle']:.4f}), {100 * routing['routed_right']:.0f} % of texts to it; "
        f"one unsplit model {routing['base']:.4f}"
    )
    return lines


def best_split(comparison: Mapping[str, Any]) -> dict[str, Any] | None:
    """The chosen option where it splits, else the best measured one that does; None where none was carried out."""
    split = [one for one in comparison["tried"] if one["expert_tokens"] and one["measured"] is not None]
    chosen = [one for one in split if one["chosen"]]
    return min(chosen or split, key=lambda one: one["measured"], default=None)


def node_keys(config: SplitStudy, layout: Layout, text: SplitText, option: Option) -> dict[str, str]:
    """The last node of every expert of an option, by domain, and of the unsplit run of as many tokens, as "base"."""
    corpus = text.corpus
    unsplit = Option(1.0, config.plan.total_tokens, 0)
    runs = final_runs(config, [option, unsplit], corpus_weights(config, corpus), corpus.digest, corpus.vocab_size)
    tree = build_tree([run.spec for run in runs], nodes_on_disk(layout))
    ends = {run.domain: tree.runs[run.spec.name][-1] for run in runs if run.domain is not None}
    base = next(run for run in runs if run.domain is None and run.seed_tokens == unsplit.seed_tokens)
    return {**{str(domain): key for domain, key in ends.items()}, "base": tree.runs[base.spec.name][-1]}


def measure_routing(folder: Path, text: SplitText) -> dict[str, Any]:
    """Losses of held-out texts by every way to choose the expert, overall, by domain and by source; nats per token."""
    import numpy as np

    from speciate.specialists.experts import Specialists

    with text.texts.open(encoding="utf-8") as lines:
        held = [json.loads(line) for line in lines]
    texts, domains = [one["text"] for one in held], [one["domain"] for one in held]
    specialists = Specialists.load(folder)
    found = specialists.losses(texts, domains)
    routed = [route.expert for route in specialists.route(texts)]
    counts = Counter(domains)
    by_domain = []
    for name in sorted(counts):
        mask = np.array([domain == name for domain in domains])
        own = {how: found[how].over(mask) for how in HOWS}
        by_domain.append({"domain": name, "texts": counts[name], **own, "share_of_texts": counts[name] / len(texts)})
    return {
        "prefix_tokens": specialists.prefix_tokens,
        "held_out_texts": len(texts),
        **{how: found[how].nats for how in HOWS},
        "routed_over_oracle": found["routed"].nats / found["oracle"].nats,
        "routed_right": sum(one == two for one, two in zip(routed, domains, strict=True)) / len(texts),
        "domains": by_domain,
        "sources": by_source(specialists, texts, [one["source"] for one in held], routed, found["base"]),
    }


def by_source(
    specialists: Any, texts: Sequence[str], sources: Sequence[str], routed: Sequence[str], base: Any
) -> list[dict[str, Any]]:
    """For every source the expert its texts are routed to most often, and its loss on all of them (Table 4)."""
    import numpy as np

    most = {name: Counter(e for e, s in zip(routed, sources, strict=True) if s == name) for name in set(sources)}
    favourite = {name: min(counts, key=lambda e: (-counts[e], e)) for name, counts in most.items()}
    own = specialists.loss(texts, "oracle", [favourite[source] for source in sources])
    rows = []
    for name in sorted(most):
        mask, expert = np.array([source == name for source in sources]), favourite[name]
        share = most[name][expert] / most[name].total()
        rows.append(
            {"source": name, "expert": expert, "share": share, "base": base.over(mask), "expert_loss": own.over(mask)}
        )
    return rows


def _about(plan: Mapping[str, Any], best: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of where the experts come from."""
    return {
        "study": plan["study"],
        "seed_tokens": best["seed_tokens"],
        "expert_tokens": best["expert_tokens"],
        "total_tokens": plan["total_tokens"],
        "planned": best["chosen"],
        "mean loss on held-out text (nats/token)": best["measured"],
        "seal of the plan": plan["seal"],
    }


def _is_made(folder: Path, request: str) -> bool:
    """Whether the folder was made from this request, and every file of it is there and whole."""
    from speciate.specialists.folder import check_files, read_folder

    try:
        manifest = read_folder(folder)
        check_files(folder / "router", manifest.router_files, "the router")
        for entry in manifest.entries:
            check_files(folder / entry.folder, entry.files, entry.name)
    except UserError:
        return False
    return bool(manifest.about.get("request") == request)


def _measured(file: Path, told: Mapping[str, str]) -> dict[str, Any] | None:
    """What routing.json says; None where it is absent, damaged, or of other models or texts."""
    try:
        held = read_object(file, "")
    except UserError:
        return None
    return held if held.get("of") == told else None


def _remove(layout: Layout) -> None:
    """Specialists that were made before, and what builds that were killed have left; nothing of the user's."""
    old = layout.specialists
    others = sorted(path.name for path in old.glob("*") if path.name not in PARTS)
    if others or (old.exists() and not old.is_dir()):
        what = (
            f"holds what is not a study's: {', '.join(others[:5])}" if others else "a file is in the place of a folder"
        )
        raise UserError(Problem(what, str(old), "move it away and relaunch the same command"))
    for folder in (old, *layout.root.glob(".specialists.*")):
        shutil.rmtree(folder, ignore_errors=True)
    layout.routing.unlink(missing_ok=True)


def _build(
    config: SplitStudy,
    layout: Layout,
    text: SplitText,
    option: Option,
    keys: Mapping[str, str],
    about: Mapping[str, Any],
) -> None:
    """Export the models, then put the folder together; what was there is removed first."""
    from speciate.specialists.build import build_specialists
    from speciate.training.model import export_model

    exported = layout.root / ".specialists.models"
    _remove(layout)
    try:
        folders = {
            name: export_model(layout.runs / key, exported / name, text.corpus.tokenizer_path)
            for name, key in keys.items()
        }
        base = folders.pop("base")
        trained = option.seed_tokens + option.expert_tokens
        details: dict[str, dict[str, Any]] = {name: {"tokens": trained, "domain": name} for name in folders}
        details["base"] = {"tokens": config.plan.total_tokens}
        build_specialists(layout.specialists, folders, text.router, base=base, about=about, details=details)
    finally:
        shutil.rmtree(exported, ignore_errors=True)
