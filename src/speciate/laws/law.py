"""What a scaling law is: named parameters, named inputs, and one function from which all else derives.

Every law here is  y = link(u),  u = sum_l theta_l * term_l(nonlinear; x)  of linear parameters times
terms that few nonlinear parameters bend; most laws have no link, and y = u. A law is written once,
as its terms (and link); prediction, design matrix and Jacobian derive from them, so they cannot disagree.

Shapes: (..., P) parameter vectors in the order of ``Law.parameters``, (n,) measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]  # float64, or complex128 inside a complex step
Inputs = Mapping[str, Array]
Terms = Callable[[Mapping[str, Array], Inputs], tuple[Array | float, ...]]
Slopes = Callable[[Mapping[str, Array], Inputs, tuple[Any, ...]], Mapping[str, tuple[Any, ...]]]
LinkFunction = Callable[[Array, Mapping[str, Array], Inputs], Array]
Candidates = Callable[[Inputs, Array], Array]
Published = Callable[[Array], Mapping[str, Array]]
Transform = Literal["identity", "log", "logit-scaled"]
Sign = Literal[">=0", "any"]
Objective = Literal["log-huber", "huber", "squared"]

COMPLEX_STEP = 1e-30  # derivative = Im f(v + ih) / h: no subtraction, so exact to rounding


@dataclass(frozen=True)
class Parameter:
    """One parameter: what it means, and where a fit may look for it.

    ``low`` and ``high`` bound the search ("logit-scaled" never leaves them; "log" and "identity"
    parameters report reaching them). ``linear``: the law (before its link) is linear in it. ``sign``
    of a linear one. ``search``: where starts of a nonlinear one are sought, if not over its bounds.
    """

    name: str
    unit: str
    meaning: str
    low: float
    high: float
    transform: Transform
    linear: bool
    sign: Sign = "any"
    search: tuple[float, float] | None = None


@dataclass(frozen=True)
class Input:
    """A column the law reads. It is divided by ``scale`` before anything else; must be > 0, or >= 0 with ``zero``.

    ``values``: how many different values its terms need to be known beyond those values; 1 if it need not vary.
    """

    name: str
    unit: str
    scale: float = 1.0
    values: int = 3
    zero: bool = False


@dataclass(frozen=True)
class Link:
    """y = value(u, nonlinear, x) of the sum u of linear parameters times terms, and u = inverse(y, nonlinear, x).

    ``value`` is increasing or decreasing in u and accepts complex u and parameters, as terms do;
    ``inverse`` only serves the search for starts, and is NaN where y has none. ``reads`` names the
    nonlinear parameters that ``value`` itself depends on.
    """

    value: LinkFunction
    inverse: LinkFunction
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Law:
    """A scaling law. ``terms`` is its only mathematics; see the module's first lines.

    ``terms(nonlinear, x)`` gets the nonlinear parameters by name, each (..., 1), and the scaled
    inputs by name, each (n,) or (..., n); it returns one array (or a constant) for every linear
    parameter, in order. It must accept complex parameters (use exp, expm1, log of inputs; no abs,
    no comparison of parameters other than with exactly 0).
    ``status`` is "as published" or "ours"; ``objective`` is the loss a fit uses unless told;
    ``constant`` names columns that must hold one value over the rows of a fit, if they are there.
    ``candidates(x, y)`` (scaled inputs, measurements) gives nonlinear parameters (G, Q) to start from
    where their place depends on the rows; ``published(theta)`` gives the source's own constants, by name,
    where they differ from the parameters; ``family(domains)`` is the law for the named shares
    of a table (columns share_NAME), ``domains`` those it was made for.
    ``slopes(nonlinear, x, terms)`` may give the slope of every term (None: has none) along each nonlinear
    parameter by name, in closed form; it saves complex exponentials where fits are many.
    """

    name: str
    formula: str
    latex: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[Input, ...]
    output: str
    source: str
    status: Literal["as published", "ours"]
    terms: Terms
    objective: Objective = "huber"
    constant: tuple[str, ...] = ()
    link: Link | None = None
    candidates: Candidates | None = None
    published: Published | None = None
    family: Callable[[Sequence[str]], Law] | None = None
    domains: tuple[str, ...] = ()
    slopes: Slopes | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the order of the columns of theta."""
        return tuple(parameter.name for parameter in self.parameters)

    @cached_property
    def linear(self) -> tuple[int, ...]:
        """Columns of theta in which the law is linear."""
        return tuple(i for i, parameter in enumerate(self.parameters) if parameter.linear)

    @cached_property
    def nonlinear(self) -> tuple[int, ...]:
        """Columns of theta that bend the terms."""
        return tuple(i for i, parameter in enumerate(self.parameters) if not parameter.linear)

    def with_scale(self, name: str, scale: float) -> Law:
        """The same law with another unit for one input (parameters then mean other values).

        >>> from speciate.laws.cmr import CMR
        >>> CMR.with_scale("tokens", 1e6).inputs[0].scale
        1000000.0
        """
        assert scale > 0 and any(given.name == name for given in self.inputs), (name, scale)
        inputs = tuple(replace(given, scale=float(scale)) if given.name == name else given for given in self.inputs)
        return replace(self, inputs=inputs)

    def scaled(self, x: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """The law's inputs as float arrays, each divided by its scale."""
        return {given.name: np.asarray(x[given.name], dtype=float) / given.scale for given in self.inputs}

    def predict(self, theta: ArrayLike, x: Mapping[str, ArrayLike]) -> Array:
        """The law's value: theta (..., P), inputs (n,) in the tables' units -> (..., n).

        Inputs may carry the batch of theta too: (B, P) with (B, n) -> (B, n).

        >>> from speciate.laws.chinchilla import CHINCHILLA, PUBLISHED
        >>> CHINCHILLA.predict(PUBLISHED, {"params": [70e9], "tokens": [1.4e12]}).round(3)
        array([1.974])
        """
        theta = np.asarray(theta, dtype=float)
        value = self.value_scaled(theta, self.scaled(x))
        size = max(np.asarray(x[given.name]).shape[-1] if np.ndim(x[given.name]) else 1 for given in self.inputs)
        return np.broadcast_to(value, np.broadcast_shapes(value.shape, (*theta.shape[:-1], size))).copy()

    def value_scaled(self, theta: Array, x: Inputs) -> Array:
        """As ``predict`` on inputs that ``scaled`` has already divided; rows may be missing where nothing varies."""
        bends = theta[..., self.nonlinear]
        terms = self.terms_at(bends, x)
        value = sum((theta[..., [column]] * term for column, term in zip(self.linear, terms, strict=True)), start=0.0)
        if self.link is None:
            return np.asarray(value)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return np.asarray(self.link.value(np.asarray(value), self.named_bends(bends), x))

    def basis(self, nonlinear: ArrayLike, x: Mapping[str, ArrayLike]) -> Array:
        """Design matrix of the linear parameters, before any link: nonlinear (..., Q) -> (..., n, L)."""
        return self.stack(self.terms_at(np.asarray(nonlinear, dtype=float), self.scaled(x)))

    def jacobian(self, theta: ArrayLike, x: Mapping[str, ArrayLike]) -> tuple[Array, Array]:
        """Value (..., n) and derivative by every parameter (..., n, P), exact (complex step)."""
        theta = np.asarray(theta, dtype=float)
        return self.jacobian_scaled(theta, self.scaled(x))

    def jacobian_scaled(self, theta: Array, x: Inputs) -> tuple[Array, Array]:
        """As ``jacobian`` on inputs that ``scaled`` has already divided (a solver's inner loop)."""
        linear = theta[..., self.linear]
        bends = theta[..., self.nonlinear]
        terms = self.terms_at(bends, x)
        size = max(values.shape[-1] for values in x.values())
        shape = np.broadcast_shapes(*(np.shape(term) for term in terms), (*theta.shape[:-1], size))
        slopes = np.swapaxes(np.empty((*shape[:-1], len(self.parameters), shape[-1])), -1, -2)  # each in one piece
        value = np.zeros(shape)
        for i, (column, term) in enumerate(zip(self.linear, terms, strict=True)):
            slopes[..., column] = term
            value += linear[..., i, None] * term
        closed = None if self.slopes is None else self.slopes(self.named_bends(bends), x, terms)
        for q, column in enumerate(self.nonlinear):
            bent = self._stepped(bends, q, x) if closed is None else closed[self.parameters[column].name]
            known = [linear[..., i, None] * slope for i, slope in enumerate(bent) if slope is not None]
            slopes[..., column] = sum(known[1:], start=known[0]) if known else 0.0
        return (value, slopes) if self.link is None else self._linked(value, slopes, bends, x)

    def _stepped(self, bends: Array, q: int, x: Inputs) -> list[Array | None]:
        """Slope of every term along the q-th nonlinear parameter, by a complex step; None where it has none."""
        shifted = bends.astype(complex)
        shifted[..., q] += 1j * COMPLEX_STEP
        moved = self.terms_at(shifted, x)
        return [term.imag / COMPLEX_STEP if np.iscomplexobj(term) else None for term in moved]

    def _linked(self, u: Array, slopes: Array, bends: Array, x: Inputs) -> tuple[Array, Array]:
        """Value and slopes behind the link, from those of u before it: chain rule, by complex steps."""
        assert self.link is not None
        step = 1j * COMPLEX_STEP
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            moved = self.link.value(u + step, self.named_bends(bends), x)
            linked = slopes * (moved.imag / COMPLEX_STEP)[..., None]
            for q, column in enumerate(self.nonlinear):
                if self.parameters[column].name in self.link.reads:
                    shifted = bends.astype(complex)
                    shifted[..., q] += step
                    total = self.link.value(u + COMPLEX_STEP * 1j * slopes[..., column], self.named_bends(shifted), x)
                    linked[..., column] = total.imag / COMPLEX_STEP
        return moved.real, linked

    def named_bends(self, nonlinear: Array) -> dict[str, Array]:
        """Nonlinear parameters (..., Q) by name, each (..., 1)."""
        return {self.parameters[column].name: nonlinear[..., q, None] for q, column in enumerate(self.nonlinear)}

    def terms_at(self, nonlinear: Array, x: Inputs) -> tuple[Any, ...]:
        """The terms at nonlinear parameters (..., Q), on inputs already divided by their scale."""
        return self.terms(self.named_bends(nonlinear), x)

    @staticmethod
    def stack(terms: tuple[Array | float, ...]) -> Array:
        """Terms side by side as the last axis, constants spread over the rows."""
        shape = np.broadcast_shapes(*(np.shape(term) for term in terms))
        return np.stack([np.broadcast_to(term, shape) for term in terms], axis=-1)


def box_cox(log_t: Array, s: Array) -> Array:
    """(t^s - 1)/s given ln t, and its limit ln t at s = 0; complex s allowed.

    >>> box_cox(np.log(np.array([1.0, 4.0])), np.array([0.5])).round(12)
    array([0., 2.])
    """
    safe = np.where(s == 0, 1.0, s)
    value: Array = np.where(s == 0, log_t + 0 * s, np.expm1(safe * log_t) / safe)
    return value
