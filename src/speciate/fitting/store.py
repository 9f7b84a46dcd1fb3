"""A fit on disk: one JSON file, draws inline, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from speciate.errors import Problem, UserError
from speciate.fitting.noise import Noise
from speciate.fitting.profile import Interval
from speciate.fitting.result import Fit, Holdout, Shown
from speciate.fitting.usable import of_output
from speciate.laws import LAWS
from speciate.laws.split import AT_ONE_SIZE
from speciate.storage import canonical_json, write_atomic

FORMAT = "speciate fit 2"
KNOWN = {**LAWS, AT_ONE_SIZE.name: AT_ONE_SIZE}  # split studies save this one too; it has no entry of its own


def save_fit(fit: Fit, path: Path) -> Path:
    """Write a fit so that ``load_fit`` gives it back bit for bit."""
    extra: dict[str, Any] = {
        "format": FORMAT,
        "theta": fit.theta.tolist(),
        "draws": None if fit.draws is None else fit.draws.tolist(),
        "residuals": fit.residuals.tolist(),
        "inward": None if fit.inward is None else fit.inward.tolist(),
        "shares": None if fit.shares is None else fit.shares.tolist(),
        "defaults": fit.defaults,
        "undetermined": list(fit.undetermined),
        "shown": None if fit.shown is None else shown_to_json(fit.shown),
        "profiles": fit.profiles,
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
    law = KNOWN[saved["law"]]
    if law.family is not None and saved["domains"]:
        law = law.family([str(name) for name in saved["domains"]])
    law = of_output(law, str(saved["output"]))
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
        inward=None if saved["inward"] is None else np.array(saved["inward"], dtype=float),
        shares=None if saved["shares"] is None else np.array(saved["shares"], dtype=float),
        noise=Noise(**saved["noise"]),
        notes=tuple(saved["notes"]),
        defaults={str(name): float(value) for name, value in saved["defaults"].items()},
        shown=None if saved["shown"] is None else shown_from_json(saved["shown"]),
        undetermined=tuple(str(name) for name in saved.get("undetermined", ())),
        profiles=None if saved["profiles"] is None else {n: Interval(*one) for n, one in saved["profiles"].items()},
        holdout=None if saved["holdout"] is None else Holdout(**saved["holdout"]),
        seconds=float(saved["seconds"]),
    )


def shown_to_json(shown: Shown) -> dict[str, Any]:
    """The rows a fit keeps for plots, as lists."""
    x = {name: values.tolist() for name, values in shown.x.items()}
    return {"x": x, "y": shown.y.tolist(), "predicted": shown.predicted.tolist()}


def shown_from_json(saved: dict[str, Any]) -> Shown:
    """The reverse of ``shown_to_json``."""
    x = {str(name): np.array(values, dtype=float) for name, values in saved["x"].items()}
    return Shown(x, np.array(saved["y"], dtype=float), np.array(saved["predicted"], dtype=float))
