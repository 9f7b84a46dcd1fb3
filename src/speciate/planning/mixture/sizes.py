"""The critical ratio of a size that was not tried: a straight line in ln N through those that were."""

from __future__ import annotations

import numpy as np

from speciate.errors import NotDecidable
from speciate.planning.mixture.decision import SizeDecision

# The paper's four sizes (460M to 3.1B; .298 .349 .414 .478) lie on such a line within .01; nothing else is published.


def extrapolate_size(models: list[SizeDecision], params: int, level: float, widest: float) -> SizeDecision:
    """R*(N) = c + k ln N by least squares, drawn jointly with each size's own draws.

    With three or more sizes the line's residual enters with its degrees of freedom; with two it cannot
    be seen, and the status says so. The horizon is that of the sizes tried.
    Raises NotDecidable where the line leaves [0, 1], or the interval is wider than ``widest``.
    """
    log_n = np.log([model.params for model in models])
    design = np.column_stack([np.ones(len(models)), log_n])
    at = np.array([1.0, np.log(params)])
    project = at @ np.linalg.pinv(design)  # (sizes,)
    values = np.array([model.critical_ratio for model in models], dtype=float)
    value = float(project @ values)
    last = max(models, key=lambda model: model.params)
    low = high = None
    drawn = [model.basis.draws for model in models if model.basis is not None and model.basis.draws is not None]
    freedom = len(models) - 2
    if len(drawn) == len(models):
        estimates = np.stack(drawn, axis=1) @ project
        if freedom:
            rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
            rng = np.random.default_rng(params % 2**32)
            sd = np.sqrt(rest @ rest / rng.chisquare(freedom, len(estimates)))
            estimates = estimates + sd * np.sqrt(1 + project @ project) * rng.standard_normal(len(estimates))
        ends = np.quantile(np.clip(estimates, 0, 1), [(1 - level) / 2, (1 + level) / 2])
        low, high = min(float(ends[0]), value), max(float(ends[1]), value)
    doubt = "" if freedom else "; with two sizes the error of a straight line in ln N cannot be seen"
    names = ", ".join(f"{model.params:,}" for model in models)
    remedy = "run the pilots at a size nearer to it"
    if not 0 <= value <= 1:
        raise NotDecidable(f"the line in ln N through the sizes {names} leaves 0 to 100 % at {params:,} params", remedy)
    if low is not None and high is not None and high - low > widest:
        raise NotDecidable(f"the {level:.0%} interval, {low:.2f} to {high:.2f}, is wider than {widest:g}", remedy)
    return SizeDecision(
        params=params,
        critical_ratio=value,
        low=low,
        high=high,
        horizon_tokens=last.horizon_tokens,
        tolerance=last.tolerance,
        binding=last.binding,
        extrapolated=True,
        ratios=(),
        law=None,
        status=f"critical ratio {value:.1%} from the sizes {names}{doubt}",
        decided=True,
        remedy=None,
        beyond=last.beyond,
    )
