"""Ledgers of studies with different numbers of clusters as one table for ``speciate plan split --domains``.

    python combine.py OUT.csv STUDY_FOLDER STUDY_FOLDER...

Only seeds and means over all experts stand in it, past the warmups, their losses on all held-out text. Studies cut
that text by their own clusters, so their ``eval_hash`` differs and is left out; other tokenizers are other units and
are refused.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import yaml

from speciate.errors import Problem, UserError
from speciate.runs.ledger import read_ledger


def combine(folders: list[Path]) -> pd.DataFrame:
    """The mean rows of all studies; runs and trunks carry the name of their study's folder."""
    parts = []
    for folder in folders:
        rows = read_ledger(folder / "ledger.parquet")
        rows = past_warmups(rows[rows["eval_on"] == "mean"].drop(columns=["eval_hash"], errors="ignore"), folder)
        domains = rows["train_on"].str.extract(r"/(\d+)$")[0].dropna().unique()
        if len(domains) != 1:
            raise UserError(Problem("no experts of one number of domains", str(folder), "run the study to its fit"))
        for name in ("run", "trunk"):
            rows[name] = f"K{domains[0]}-" + rows[name].astype(str)
        parts.append(rows)
    table = pd.concat(parts, ignore_index=True)
    if table["tokenizer"].nunique() > 1:
        fix = "run them again with corpus.tokenizer=FIRST/corpus/tokenizer.json"
        raise UserError(Problem("their tokenizers differ", ", ".join(map(str, folders)), fix))
    return table.dropna(axis=1, how="all")


def past_warmups(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Without the rows that no power law describes: within twice a warmup."""
    told = yaml.safe_load((folder / "resolved.yaml").read_text(encoding="utf-8"))
    seed = rows["seed_tokens"] + rows["tokens"] >= 2 * told["training"]["warmup_tokens"]
    expert = (rows["tokens"] == 0) | (rows["tokens"] >= 2 * told["split"]["warmup_tokens"])
    return rows[seed & expert].copy()


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Loss by total tokens and share of the seed (rows), and number of domains (columns): the paper's figure 8.

    Share 1 is the seed alone, which differs between numbers of domains by the order of its text only.
    """
    rows = table.copy()
    rows["domains"] = rows["run"].str.extract(r"^K(\d+)-")[0].astype(int)
    rows["total"] = (rows["seed_tokens"] + rows["domains"] * rows["tokens"]).astype(int)
    rows["share"] = (rows["seed_tokens"] / rows["total"]).round(2)
    rows = rows[rows["total"].isin(rows.loc[rows["tokens"] > 0, "total"])]
    told = rows.pivot_table(index=["params", "total", "share"], columns="domains", values="loss")
    told = told.dropna()
    return told[told.groupby(level=["params", "total"]).transform("size") > 1]


def main(arguments: list[str]) -> None:
    """Write the table, and print what was measured at the same total and share."""
    if len(arguments) < 2:
        raise SystemExit(__doc__)
    out, *folders = map(Path, arguments)
    try:
        table = combine(folders)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    table.to_csv(out, index=False)
    print(measured(table).round(4).to_string())
    print(f"{len(table)} rows in {out}")


if __name__ == "__main__":
    main(sys.argv[1:])
