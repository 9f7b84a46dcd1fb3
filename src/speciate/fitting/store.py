"""A fit on disk: one JSON file, draws inline, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from speciate.errors import Problem, UserError
from speciate.fitting.result import Fit, Holdout
from speciate.laws import LAWS
from speciate.storage import canonical_json, write_atomic

FORMAT = "speciate fit 1"


def save_fit(fit: Fit, path: Path) -> Path:
    """Write a fit so that ``load_fit`` gives it back bit for bit."""
    extra: dict[str, Any] = {
        "format": FORMAT,
        "theta": fit.theta.tolist(),
        "draws": None if fit.draws is None else fit.draws.tolist(),
        "residuals": fit.residuals.tolist(),
        "objective_kind": fit.objective_kind,
        "delta": fit.delta,
        "seed": fit.seed,
    }
    write_atomic(path, canonical_json({**fit.to_json(), **extra}) + "\n")
    return path


def load_fit(path: str | Path) -> Fit:
    """Read a fit that ``Fit.save`` wrote. Raises UserError when the file is not one."""
    place = Path(path)
    try:
        saved = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(Problem("there is no such file", str(path), "write one with speciate fit --out")) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        problem = Problem(f"cannot be read: {error}", str(path), "write it anew with speciate fit --out")
        raise UserError(problem) from None
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise UserError(Problem("is not a saved fit", str(path), "write one with speciate fit --out"))
    try:
        return revive(saved)
    except (KeyError, TypeError, ValueError) as error:
        what = f"is damaged at {error}"
        raise UserError(Problem(what, str(path), "write it anew with speciate fit --out")) from None


def revive(saved: dict[str, Any]) -> Fit:
    """A fit from its saved form; KeyError, TypeError or ValueError if something is missing or odd."""
    law = LAWS[saved["law"]]
    for name, scale in saved["scales"].items():
        law = law.with_scale(name, float(scale))
    theta = np.array(saved["theta"], dtype=float)
    if theta.shape != (len(law.parameters),):
        raise ValueError(f"theta {saved['theta']}")
    return Fit(
        law=law,
        theta=theta,
        draws=None if saved["draws"] is None else np.array(saved["draws"], dtype=float).reshape(-1, len(theta)),
        residuals=np.array(saved["residuals"], dtype=float),
        status=str(saved["status"]),
        objective=float(saved["objective"]),
        objective_kind=saved["objective_kind"],
        delta=float(saved["delta"]),
        rows=int(saved["rows"]),
        trunks=int(saved["trunks"]),
        runs=int(saved["runs"]),
        mae=float(saved["mae"]),
        mre=saved["mre"],
        r2=saved["r2"],
        eval_on=saved["eval_on"],
        level=float(saved["level"]),
        seed=int(saved["seed"]),
        left_out=dict(saved["left_out"]),
        holdout=None if saved["holdout"] is None else Holdout(**saved["holdout"]),
        seconds=float(saved["seconds"]),
    )
