"""A split study's routing.json as the paper's table 4: perplexity of every source, unsplit and split.

python table4.py STUDY_FOLDER
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any


def table(routing: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows {"source", "expert", "share", "base", "split", "gain"}: perplexities, and the relative gain of splitting.

    >>> told = {"sources": [{"source": "law", "expert": "a", "share": 0.9, "base": math.log(5), "expert_loss": 0.0}]}
    >>> round(table(told)[0]["gain"], 3)
    0.8
    """
    rows = []
    for one in routing["sources"]:
        base, split = math.exp(one["base"]), math.exp(one["expert_loss"])
        told = {name: one[name] for name in ("source", "expert", "share")}
        rows.append({**told, "base": base, "split": split, "gain": 1 - split / base})
    return rows


def main(arguments: list[str]) -> None:
    """Print it."""
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    path = Path(arguments[0]) / "routing.json"
    if not path.is_file():
        raise SystemExit(f"error: {path} does not exist; run the study to its specialists first")
    rows = table(json.loads(path.read_text(encoding="utf-8")))
    print(f"{'source':20}{'routed to':14}{'share':>7}{'one model':>12}{'split':>9}{'gain':>8}")
    for row in rows:
        print(
            f"{row['source']:20}{row['expert']:14}{row['share']:7.0%}{row['base']:12.2f}{row['split']:9.2f}{row['gain']:8.1%}"
        )
    print(f"mean gain {sum(row['gain'] for row in rows) / len(rows):.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
