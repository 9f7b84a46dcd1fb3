"""What a scaling law is: named parameters, named inputs, and one function from which all else derives.

Every law here is a sum  y = sum_l theta_l * term_l(nonlinear; x)  of linear parameters times terms
that few nonlinear parameters bend. A law is written once, as its terms; prediction, the design
matrix and the Jacobian derive from them, so they cannot disagree.

Shapes: (..., P) parameter vectors in the order of ``Law.parameters``, (n,) measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]  # float64, or complex128 inside a complex step
Inputs = Mapping[str, Array]
Terms = Callable[[Mapping[str, Array], Inputs], tuple[Array | float, ...]]
Transform = Literal["identity", "log", "logit-scaled"]
Sign = Literal[">=0", "any"]
Objective = Literal["log-huber", "huber", "squared"]

COMPLEX_STEP = 1e-30  # derivative = Im f(v + ih) / h: no subtraction, so exact to rounding


@dataclass(frozen=True)
class Parameter:
    """One parameter: what it means, and where a fit may look for it.

    ``low`` and ``high`` bound the search ("logit-scaled" never leaves them; "log" and "identity"
    parameters report reaching them). ``linear``: the law is linear in it. ``sign`` of a linear one.
    """

    name: str
    unit: str
    meaning: str
    low: float
    high: float
    transform: Transform
    linear: bool
    sign: Sign = "any"


@dataclass(frozen=True)
class Input:
    """A column the law reads. It is divided by ``scale`` before anything else; must be > 0.

    ``values``: how many different values its terms need to be known beyond those values.
    """

    name: str
    unit: str
    scale: float = 1.0
    values: int = 3


@dataclass(frozen=True)
class Law:
    """A scaling law. ``terms`` is its only mathematics; see the module's first lines.

    ``terms(nonlinear, x)`` gets the nonlinear parameters by name, each (..., 1), and the scaled
    inputs by name, each (n,) or (..., n); it returns one array (or a constant) for every linear
    parameter, in order. It must accept complex parameters (use exp, expm1, log of inputs; no abs,
    no comparison of parameters other than with exactly 0).
    ``status`` is "as published" or "ours"; ``objective`` is the loss a fit uses unless told;
    ``constant`` names columns that must hold one value over the rows of a fit, if they are there.
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

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the order of the columns of theta."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def linear(self) -> tuple[int, ...]:
        """Columns of theta in which the law is linear."""
        return tuple(i for i, parameter in enumerate(self.parameters) if parameter.linear)

    @property
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
        terms = self.terms_at(theta[..., self.nonlinear], self.scaled(x))
        linear = theta[..., self.linear]
        value = sum((linear[..., i, None] * term for i, term in enumerate(terms)), start=np.zeros(()))
        size = max(np.asarray(x[given.name]).shape[-1] if np.ndim(x[given.name]) else 1 for given in self.inputs)
        return np.broadcast_to(value, np.broadcast_shapes(value.shape, (*theta.shape[:-1], size))).copy()

    def basis(self, nonlinear: ArrayLike, x: Mapping[str, ArrayLike]) -> Array:
        """Design matrix of the linear parameters: nonlinear (..., Q) -> (..., n, L)."""
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
        slopes = np.empty((*shape, len(self.parameters)))
        value = np.zeros(shape)
        for i, (column, term) in enumerate(zip(self.linear, terms, strict=True)):
            slopes[..., column] = term
            value += linear[..., i, None] * term
        for q, column in enumerate(self.nonlinear):
            shifted = bends.astype(complex)
            shifted[..., q] += 1j * COMPLEX_STEP
            moved = self.terms_at(shifted, x)
            slope: Any = 0.0
            for i, term in enumerate(moved):
                if np.iscomplexobj(term):
                    slope = slope + linear[..., i, None] * term.imag
            slopes[..., column] = slope / COMPLEX_STEP
        return value, slopes

    def terms_at(self, nonlinear: Array, x: Inputs) -> tuple[Any, ...]:
        """The terms at nonlinear parameters (..., Q), on inputs already divided by their scale."""
        names = [self.parameters[column].name for column in self.nonlinear]
        return self.terms({name: nonlinear[..., q, None] for q, name in enumerate(names)}, x)

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
