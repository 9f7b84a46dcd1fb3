"""How far a fit can be trusted, as a sentence a person can act on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Law

NEAR_BOUND = 1e-3  # share of the range that counts as on the bound
FAR = 1e3  # times the range searched, beyond which a positive parameter has run away
UNSEEN = 1e-9
VANISHED = 1e-6  # share of the prediction below which a term plays no part
BLIND = 1e-8  # singular value, of the largest, below which the rows do not see a direction at all
PART = 1e-3  # of such a direction, from which a parameter takes part in it
ILL = 1e4  # condition of the Jacobian with unit columns; 230 on the Chinchilla points, 60-600 on mixtures (measured)


def on_bounds(law: Law, theta: Array, x: Mapping[str, Array]) -> list[str]:
    """What has stopped at an edge of what is allowed: "alpha = 3", "E = 0"."""
    found = []
    terms = law.basis(theta[list(law.nonlinear)], x)
    value = np.abs(terms @ theta[list(law.linear)])  # before any link
    for i, column in enumerate(law.linear):
        parameter = law.parameters[column]
        share = np.max(np.abs(theta[column] * terms[..., i]) / np.maximum(value, 1e-300))
        if parameter.sign == ">=0" and share < VANISHED:
            found.append(f"{parameter.name} = 0")
    for column in law.nonlinear:
        parameter = law.parameters[column]
        if parameter.transform == "log":  # no bounds but 0 and infinity
            low, high = parameter.search or (0.0, np.inf)
            if theta[column] < low / FAR or theta[column] > high * FAR:
                found.append(f"{parameter.name} is as good as {'0' if theta[column] < low else 'infinite'}")
            continue
        width = parameter.high - parameter.low
        for bound in (parameter.low, parameter.high):
            if abs(theta[column] - bound) < NEAR_BOUND * width:
                found.append(f"{parameter.name} = {bound:g}")
    return found


def unseen(law: Law, theta: Array, x: Mapping[str, Array]) -> list[str]:
    """Nonlinear parameters that no row's prediction depends on: doubling them moves none by UNSEEN of its value."""
    value, slopes = law.jacobian(theta, x)
    size = np.maximum(np.max(np.abs(value)), 1e-300)
    moves = np.max(np.abs(slopes), axis=0) * np.maximum(np.abs(theta), 1e-3) / size
    return [law.names[column] for column in law.nonlinear if moves[column] < UNSEEN]


def undetermined(law: Law, theta: Array, x: Mapping[str, Array]) -> list[str]:
    """Parameters that can change, alone or together, without moving any row's prediction: no interval is theirs.

    Two sizes and a power law of size with a floor: exponent, factor and floor have a curve of equally good values.
    """
    _, slopes = law.jacobian(theta, x)
    idle = unseen(law, theta, x)
    kept = [column for column, name in enumerate(law.names) if name not in idle]
    lengths = np.linalg.norm(slopes[:, kept], axis=0)
    unit = slopes[:, kept] / np.where(lengths > 0, lengths, 1.0)
    if not kept or not np.isfinite(unit).all():
        return idle
    _, scales, directions = np.linalg.svd(np.linalg.qr(unit, mode="r"))
    blind = directions[int(np.sum(scales > BLIND * scales[0])) :]
    free = np.abs(blind).max(axis=0, initial=0.0) > PART
    return [name for name in law.names if name in idle or (name in [law.names[kept[i]] for i in np.flatnonzero(free)])]


def traded(law: Law, theta: Array, x: Mapping[str, Array]) -> tuple[float, list[str]]:
    """Condition of the Jacobian with columns of unit length, and the parameters that trade off most.

    A large condition says that some change of those parameters together leaves every prediction
    as it is: read predictions, not those parameters.
    """
    _, slopes = law.jacobian(theta, x)
    slopes = slopes / np.maximum(np.linalg.norm(slopes, axis=0), 1e-300)
    _, scales, directions = np.linalg.svd(slopes, full_matrices=False)
    condition = float(scales[0] / max(scales[-1], 1e-16 * scales[0], 1e-300))
    loudest = np.argsort(-np.abs(directions[-1]))
    names = [law.names[i] for i in loudest if abs(directions[-1, i]) > 0.3 * np.abs(directions[-1]).max()]
    return condition, names


def describe(law: Law, theta: Array, x: Mapping[str, Array], converged: bool) -> str:
    """The status of an optimum: "converged", or what to beware of.

    "on a bound: alpha = 3", "not identifiable: other values of A, alpha predict these rows alike",
    "ill-conditioned: p and b trade off, read predictions rather than them",
    "not converged: ..."; several are joined with "; ".
    """
    if not np.isfinite(theta).all():
        return "not converged: no parameters give a finite objective; check units and the law's scale"
    notes = [] if converged else ["not converged: the search stopped while still improving; try more starts"]
    edges = on_bounds(law, theta, x)
    if edges:
        notes.append(f"on a bound: {', '.join(edges)}; these rows do not pin it down")
    idle = [name for name in unseen(law, theta, x) if not any(edge.startswith(f"{name} ") for edge in edges)]
    if idle:
        notes.append(
            f"not identifiable: {', '.join(idle)} {'plays' if len(idle) == 1 else 'play'} no part in these rows"
        )
    loose = [name for name in undetermined(law, theta, x) if name not in unseen(law, theta, x)]
    if loose:
        notes.append(f"not identifiable: other values of {', '.join(loose)} predict these rows alike")
    condition, names = traded(law, theta, x)
    if condition > ILL and len(names) > 1 and not loose:
        together = f"{', '.join(names[:-1])} and {names[-1]}"
        notes.append(f"ill-conditioned: {together} trade off, read predictions rather than them")
    return "; ".join(notes) or "converged"
