"""Making a folder of specialists from ordinary Hugging Face checkpoints and a router; whole or absent."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from speciate.corpus.cluster.step import open_router
from speciate.errors import Problem, UserError
from speciate.specialists.card import card
from speciate.specialists.folder import MANIFEST, NAME, Entry, Manifest
from speciate.specialists.routing import router_names
from speciate.storage import canonical_json, file_digest, write_atomic

RESERVED = ("auto", "base")  # "auto" lets the router choose, "base" is the unsplit model
MODEL_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "chat_template.jinja", "model.safetensors.index.json",
)  # fmt: skip
ROUTER_FILES = ("router.npz", "embedding.npz", "clusters.json")
OUTSIDE = ("embed_tokens.", "lm_head.", ".wte.", ".wpe.")  # parameters that N does not count


def build_specialists(
    out: Path,
    experts: Mapping[str, Path],
    router: Path,
    *,
    base: Path | None = None,
    about: Mapping[str, Any] | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write ``out`` from Hugging Face folders by name of expert and the folder of a router. Returns ``out``.

    The names are those of the router's columns ("names" of its clusters.json, else cluster-00, cluster-01, ...).
    ``about``: free facts for the card. ``details``: {name: {"tokens": trained on, "domain": name}} of experts, and of
    "base"; without it an expert's domain is its name. Files are copied; code and pickles beside them are not.

    Raises UserError naming everything that is wrong: a folder in the place, models without weights or of another
    tokenizer or vocabulary, names that the router does not know.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(Problem("something is there already", str(out), "give a new folder, or delete this one"))
    told, columns = details or {}, _columns(router)
    problems = _names(experts, columns, router)
    folders = dict(experts) | ({} if base is None else {"base": base})
    for name, folder in folders.items():
        problems += _model(folder, f"expert {name}" if name in experts else "the base")
    if problems:
        raise UserError(problems)
    problems = _alike(folders)
    if problems:
        raise UserError(problems)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        entries = [_copy(experts[name], fresh, f"experts/{name}", name, told.get(name, {})) for name in columns]
        whole = None if base is None else _copy(base, fresh, "base", "base", {"domain": None, **told.get("base", {})})
        files = {
            name: _put(router / name, fresh / "router" / name) for name in ROUTER_FILES if (router / name).exists()
        }
        first = fresh / entries[0].folder
        length = min(_config(path)["max_position_embeddings"] for path in folders.values())
        manifest = Manifest(fresh, tuple(entries), whole, files, open_router(router).tokens,
                            file_digest(first / "tokenizer.json"), length, dict(about or {}))  # fmt: skip
        write_atomic(fresh / "README.md", card(manifest))
        write_atomic(
            fresh / MANIFEST, json.dumps(manifest.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        )
        fresh.chmod(0o755)
        if out.is_dir():
            out.rmdir()
        os.replace(fresh, out)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return out


def _columns(folder: Path) -> tuple[str, ...]:
    try:
        return router_names(folder, len(open_router(folder).bias))
    except (ValueError, TypeError, OSError) as error:
        if isinstance(error, UserError):
            raise
        fix = "give the folder that corpus cluster or a split study wrote"
        raise UserError(Problem(f"not a router ({error})", str(folder), fix)) from error


def _names(experts: Mapping[str, Path], columns: tuple[str, ...], router: Path) -> list[Problem]:
    problems = [
        Problem(f"an expert named {name!r}", "experts", "use letters, digits, _ . and -, and not auto or base")
        for name in experts
        if not NAME.fullmatch(name) or name in RESERVED
    ]
    fix = f"name the experts as the router's columns: {', '.join(columns)}"
    problems += [Problem(f"the router knows no {name!r}", str(router), fix) for name in experts if name not in columns]
    return problems + [Problem(f"no expert {name!r}", "experts", fix) for name in columns if name not in experts]


def _model(folder: Path, what: str) -> list[Problem]:
    problems = [
        Problem(
            f"{what}: no {name}", str(folder), "give a Hugging Face folder (save_pretrained of model and tokenizer)"
        )
        for name in ("config.json", "tokenizer.json")
        if not (folder / name).is_file()
    ]
    if not _weights(folder):
        fix = "save the model with save_pretrained, which writes safetensors"
        problems.append(Problem(f"{what}: no weights (*.safetensors)", str(folder), fix))
    elif not problems:
        try:
            _params(folder)
            config = _config(folder)
            if config.get("auto_map"):
                fix = "give a model of an architecture that transformers has; code in the folder is never run"
                problems.append(Problem(f"{what}: a model with its own code", str(folder), fix))
            if not {"max_position_embeddings", "vocab_size"} <= config.keys():
                what = f"{what}: its config lacks max_position_embeddings or vocab_size"
                problems.append(Problem(what, str(folder), "give a causal language model"))
        except (SafetensorError, OSError, ValueError, AttributeError) as error:
            problems.append(Problem(f"{what}: cannot be read ({error})", str(folder), "save the model again"))
    return problems


def _alike(folders: Mapping[str, Path]) -> list[Problem]:
    """Mixing probabilities and comparing losses needs one vocabulary."""
    first = next(iter(folders))
    tokenizer, size = file_digest(folders[first] / "tokenizer.json"), _config(folders[first])["vocab_size"]
    problems = []
    for folder in folders.values():
        if file_digest(folder / "tokenizer.json") != tokenizer or _config(folder)["vocab_size"] != size:
            fix = "give models that were trained with one tokenizer"
            problems.append(Problem(f"another tokenizer or vocabulary than {first}'s", str(folder), fix))
    return problems


def _copy(source: Path, root: Path, folder: str, name: str, told: Mapping[str, Any]) -> Entry:
    found = [*(source / n for n in MODEL_FILES if (source / n).is_file()), *_weights(source)]
    files = {path.name: _put(path, root / folder / path.name) for path in found}
    size = sum(path.stat().st_size for path in _weights(source))
    return Entry(name, folder, files, size, _params(source), told.get("tokens"), told.get("domain", name))


def _put(source: Path, target: Path) -> str:
    """Copy a file; its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return file_digest(target)


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _params(folder: Path) -> int:
    """Parameters without the embedding and the head, by the headers of the weights."""
    total = 0
    for path in _weights(folder):
        with safe_open(path, "pt") as held:
            for name in held.keys():  # noqa: SIM118  # not a mapping
                if not any(part in f".{name}" for part in OUTSIDE):
                    size = 1
                    for length in held.get_slice(name).get_shape():
                        size *= length
                    total += size
    return total


def _config(folder: Path) -> dict[str, Any]:
    held = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not isinstance(held, dict):
        raise ValueError("config.json is no object")
    canonical_json(held)
    return held
