"""``speciate demo``: the whole job on text found on this machine, in a stated number of minutes."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from speciate.errors import Problem, UserError
from speciate.storage import write_atomic
from speciate.study.launch import StudyResult
from speciate.study.layout import Layout
from speciate.study.load import load_study, parse_study
from speciate.study.progress import duration
from speciate.study.stages import run_study

SPARE = 0.85  # of the minutes that the estimate may fill; the rest is for a machine that slows down


def run_demo(minutes: float, out: Path | None, seed: int, console: Console) -> StudyResult:
    """Write the demo's study.yaml to ``out`` (default ``speciate-demo``) and carry it out.

    The study fits ``minutes`` of training: on a machine too slow for its full size, measured first, every token
    count is scaled down alike. A folder that already holds a demo is continued with the sizes it was started with.
    """
    if not minutes > 0 or not math.isfinite(minutes):
        raise UserError(Problem(f"--minutes is {minutes}", "speciate demo", "give a number of minutes above zero"))
    root = out if out is not None else Path(f"speciate-demo-seed{seed}" if seed else "speciate-demo")
    path = root / "study.yaml"
    if path.exists():
        _check_same_seed(path, seed)
        console.print(f"going on with the demo in {root}", highlight=False)
    else:
        scale = demo_scale(minutes, console)
        write_atomic(path, demo_study(seed, scale))
    result = run_study(path, [], None, False, console)
    console.print(f"open {Layout(root.resolve()).report.as_uri()}", highlight=False, soft_wrap=True)
    return result


def demo_study(seed: int, scale: float) -> str:
    """The demo's study.yaml with every token count scaled (whole optimizer steps) and the seed set.

    >>> "horizon_tokens: 917504" in demo_study(0, 0.5)
    True
    """
    text = (resources.files("speciate.study") / "demo.yaml").read_text(encoding="utf-8")
    raw: dict[str, Any] = yaml.safe_load(text)
    step = parse_study(text, "demo.yaml", Path()).training.tokens_per_step
    for section, key in (("trunk", "tokens"), ("pilot", "tokens"), ("plan", "horizon_tokens")):
        raw[section][key] = max(1, round(raw[section][key] * scale / step)) * step
    raw["seed"] = seed
    header = "# Written by `speciate demo`; `speciate run` on this file goes on with it.\n"
    return header + str(yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=120))


def demo_scale(minutes: float, console: Console) -> float:
    """The largest scale, in eighths and at most 1, whose training is expected to fit into ``minutes`` here."""
    from speciate.study.dryrun import expected_seconds, speeds_of_study

    config = parse_study(demo_study(0, 1.0), "demo.yaml", Path())
    speeds = speeds_of_study(config)
    for eighths in range(8, 0, -1):  # measuring on held-out text does not shrink with the tokens trained
        scale = eighths / 8
        expected = expected_seconds(parse_study(demo_study(0, scale), "demo.yaml", Path()), speeds)
        if expected <= SPARE * 60 * minutes:
            break
    else:
        fix = f"give at least {math.ceil(expected / SPARE / 60)} minutes"
        raise UserError(Problem(f"{minutes:g} minutes are too few on this machine", "--minutes", fix))
    sized = "its full size" if scale == 1 else f"{scale:.3g} of its full size, to fit {minutes:g} minutes"
    console.print(f"this machine: about {duration(expected)} of training at {sized}", highlight=False)
    return scale


def _check_same_seed(path: Path, seed: int) -> None:
    if load_study(path).seed != seed:
        fix = "give another --out, or remove the folder"
        raise UserError(Problem(f"it holds another study than the demo of seed {seed}", str(path.parent), fix))
