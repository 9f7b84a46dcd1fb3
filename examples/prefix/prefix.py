"""Routed loss against the tokens that the router reads, of a folder of specialists.

    python prefix.py SPECIALISTS_FOLDER TEXTS.jsonl [--json]

TEXTS holds {"text", "domain"} a line, as a split study's held_out.jsonl. Every text is scored once by every expert,
after as many tokens as the folder's router reads, whatever the length of the prefix: only the choice differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from speciate.corpus.cluster.routing_quality import LENGTHS
from speciate.corpus.cluster.step import open_router
from speciate.corpus.cluster.windows import prefix
from speciate.specialists.experts import Specialists
from speciate.specialists.routing import router_names


def sensitivity(folder: Path, texts: list[str], domains: list[str]) -> dict[str, Any]:
    """{"oracle" and "best" nats per token, "rows": one of {"tokens", "nats", "over_oracle", "right"} per length}."""
    specialists = Specialists.load(folder)
    names = specialists.names
    by_expert = [specialists.loss(texts, "oracle", [name] * len(texts)) for name in names]
    nats, tokens = np.stack([losses.text_nats for losses in by_expert]), by_expert[0].tokens  # (experts, texts)
    own = {entry.domain: names.index(entry.name) for entry in specialists.manifest.experts}
    right = np.array([own[domain] for domain in domains])
    each = np.arange(len(texts))
    oracle = float(nats[right, each].sum()) / tokens
    router = open_router(folder / "router")
    columns = router_names(folder / "router", len(router.bias))
    rows = []
    for length in LENGTHS:
        scores = router.scores([prefix(text, length) for text in texts])
        chosen = scores[:, [columns.index(name) for name in names]].argmax(1)
        routed = float(nats[chosen, each].sum()) / tokens
        rows.append({
            "tokens": length,
            "nats": routed,
            "over_oracle": routed / oracle - 1,
            "right": float((chosen == right).mean()),
        })  # fmt: skip
    return {"texts": len(texts), "oracle": oracle, "best": float(nats.min(0).sum()) / tokens, "rows": rows}


def main(arguments: list[str]) -> None:
    """Print the table."""
    as_json = "--json" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--json"]
    if len(paths) != 2:
        raise SystemExit(__doc__)
    held_out = [json.loads(line) for line in paths[1].read_text(encoding="utf-8").splitlines()]
    found = sensitivity(paths[0], [row["text"] for row in held_out], [row["domain"] for row in held_out])
    if as_json:
        print(json.dumps(found))
        return
    print(f"{found['texts']} texts; nats per token: own expert {found['oracle']:.4f}, best {found['best']:.4f}")
    print("prefix tokens   routed nats   over own expert   routed right")
    for row in found["rows"]:
        print(f"{row['tokens']:13}{row['nats']:14.4f}{row['over_oracle']:18.2%}{row['right']:15.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
