"""The card of a folder of specialists: its README.md."""

from __future__ import annotations

import json

from speciate.specialists.folder import Manifest


def card(manifest: Manifest) -> str:
    """Markdown: what is in the folder, how to use it, where it comes from."""
    rows = [
        f"| {entry.name} | {entry.domain or ''} | {entry.params:,} | {entry.bytes / 1e6:,.1f} MB | "
        f"{'' if entry.tokens is None else f'{entry.tokens:,}'} |"
        for entry in manifest.entries
    ]
    first = manifest.names[0]
    about = [f"- {name}: {_said(value)}" for name, value in manifest.about.items()]
    return "\n".join(
        [
            "# Specialists",
            "",
            f"{len(rows) - (manifest.base is not None)} language models, each trained on one domain, and a router that "
            f"sends a text to one of them by its first {manifest.prefix_tokens} tokens.",
            f"They share one tokenizer and read at most {manifest.sequence_length:,} tokens.",
            "",
            "| model | domain | parameters without embedding | weights | tokens of training |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "```python",
            "from speciate.specialists.experts import Specialists",
            "",
            'specialists = Specialists.load(".")',
            'print(specialists.generate("Once upon a time").text)',
            "```",
            "",
            "or `speciate route DIR TEXT`, `speciate generate DIR PROMPT`, `speciate serve DIR`. Each model is an",
            f"ordinary Hugging Face checkpoint too: `AutoModelForCausalLM.from_pretrained(\"experts/{first}\")`.",
            *(["", "## Where it comes from", "", *about] if about else []),
            "",
            "`specialists.json` holds the SHA-256 of every file; a changed file is refused when it is needed.",
            "",
        ]
    )  # fmt: skip


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
