"""From FLOPs to time and money on devices: low, expected, high; what is unknown stays unknown.

    seconds = FLOPs / (devices x peak FLOP/s x MFU)

MFU (model FLOPs utilisation, PaLM, Chowdhery et al. 2022, appendix B) is the share of the peak that training reaches.
``TRAINING_MFU`` is an assumption for models of a billion parameters and more on devices with fast links: reported are
21 % for GPT-3, 30 % for MT-NLG 530B and 46 % for PaLM 540B (PaLM, table 3), 38 to 43 % for Llama 3 405B (Llama Team
2024, table 4); the device hours that were published of ten Llama models come to 15 to 52 % by our formula, eight of
them within the range (``tests/runs/test_training_cost.py``). Small models and slow links reach less: say so, or let
what runs took correct the estimate (``actuals``), which then takes the place of the assumed range. Where activations
are recomputed the FLOPs of that count too, so that the share is of all that the device does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from speciate.errors import Problem, UserError
from speciate.runs.actuals import Correction
from speciate.runs.devices import Device

TRAINING_MFU = (0.25, 0.4, 0.5)  # low, expected, high; (assumption, see above)
LEAST_MFU = 1e-6
HOUR, DAY = 3600, 86400  # seconds


@dataclass(frozen=True)
class Spread:
    """One quantity: low, expected, high."""

    low: float
    expected: float
    high: float

    def times(self, factor: float) -> Spread:
        return Spread(self.low * factor, self.expected * factor, self.high * factor)

    def to_json(self) -> dict[str, float]:
        return {"low": self.low, "expected": self.expected, "high": self.high}


@dataclass(frozen=True)
class Estimate:
    """What training takes on ``count`` devices; ``money`` (in the price's currency) is None where no price is known."""

    flops: float
    device: Device
    count: int
    mfu: tuple[float, float, float]
    seconds: Spread
    correction: Correction | None

    @property
    def device_hours(self) -> Spread:
        """Hours of all devices together."""
        return self.seconds.times(self.count / HOUR)

    @property
    def money(self) -> Spread | None:
        """Device hours times the price of one."""
        return None if self.device.price is None else self.device_hours.times(self.device.price)

    def told(self) -> str:
        """One line for a person.

        >>> from speciate.runs.devices import device_named
        >>> estimate(2.136e19, device_named("H100"), 8, mfu=(0.3, 0.4, 0.5)).told()
        '12 to 20 H100-hours, expected 15; money unknown: give a price per hour'
        """
        hours, money = self.device_hours, self.money
        text = f"{_range(hours)} {self.device.name}-hours, expected {rounded(hours.expected)}"
        if money is None:
            return f"{text}; money unknown: give a price per hour"
        return f"{text}; money {_range(money)}, expected {rounded(money.expected)} (at {self.device.price:g} an hour)"

    def told_source(self) -> str:
        """What the range rests on: an assumed utilisation, or what earlier runs took."""
        if self.correction is not None:
            return self.correction.told()
        low, _, high = self.mfu
        return f"at {percent(low)} to {percent(high)} of its peak"


def estimate(
    flops: float,
    device: Device,
    count: int = 1,
    *,
    mfu: tuple[float, float, float] = TRAINING_MFU,
    correction: Correction | None = None,
) -> Estimate:
    """Time and money of ``flops`` on ``count`` devices, as in the module's formula.

    ``mfu`` is (low, expected, high), each in (0, 1]; low utilisation makes the high time. A ``correction`` multiplies
    the expected time, and its interval takes the place of the range of ``mfu``; no time is shorter than the peak's.
    Raises UserError for a utilisation out of order or out of range, fewer than one device, or FLOPs below zero.
    """
    low, expected, high = mfu
    problems = []
    if not LEAST_MFU <= low <= expected <= high <= 1:
        fix = "give three shares of the peak, low, expected, high, as in .3,.4,.5"
        problems.append(Problem(f"the utilisation is {low:g}, {expected:g}, {high:g}", "mfu", fix))
    if count < 1:
        problems.append(Problem(f"{count} devices", "count", "use at least one"))
    if not (math.isfinite(flops) and flops >= 0):
        problems.append(Problem(f"{flops} FLOPs", "flops", "use a number that is not below zero"))
    if problems:
        raise UserError(problems)
    whole = flops / (count * device.peak_flops)
    seconds = Spread(whole / high, whole / expected, whole / low)
    if correction is not None:
        factors = correction.low, correction.factor, correction.high
        seconds = Spread(*(max(seconds.expected * factor, whole) for factor in factors))
    return Estimate(flops, device, count, mfu, seconds, correction)


@dataclass(frozen=True)
class DecisionCost:
    """What a decision costs: FLOPs of its pilots (None: not known) and of the chosen run; hours on a device if named.

    ``estimate`` is of both together.
    """

    pilot_flops: float | None
    final_flops: float
    estimate: Estimate | None

    @property
    def flops(self) -> float:
        """Pilots and chosen run together."""
        return self.final_flops + (self.pilot_flops or 0.0)

    def told(self) -> str:
        """The words after "Cost:".

        >>> decision_cost(5.62e21, 3e19).told()
        '5.65e+21 FLOPs, the pilots 3e+19 of them (0.53%)'
        """
        text = f"{self.flops:.3g} FLOPs"
        if self.pilot_flops is not None and self.flops > 0:
            share = rounded(100 * self.pilot_flops / self.flops)
            text += f", the pilots {self.pilot_flops:.3g} of them ({share}%)"
        if self.estimate is None:
            return text
        return f"{text}; {self.estimate.told()}; {self.estimate.told_source()}"

    def to_json(self) -> dict[str, Any]:
        """FLOPs, device hours and money; null where unknown."""
        found = self.estimate
        return {
            "pilot_flops": self.pilot_flops,
            "final_flops": self.final_flops,
            "flops": self.flops,
            "device": None if found is None else found.device.name,
            "device_hours": None if found is None else found.device_hours.to_json(),
            "money": None if found is None or found.money is None else found.money.to_json(),
        }


def decision_cost(
    final_flops: float,
    pilot_flops: float | None = None,
    device: Device | None = None,
    *,
    mfu: tuple[float, float, float] = TRAINING_MFU,
    correction: Correction | None = None,
) -> DecisionCost:
    """What a planning decision says after "Cost:": FLOPs of the chosen run and of the pilots, hours on a device.

    Without a device hours stay unknown. Raises UserError as ``estimate`` does, and for FLOPs below zero.

    >>> decision_cost(5.62e21).to_json()["device_hours"] is None
    True
    """
    parts = {"final_flops": final_flops, "pilot_flops": pilot_flops or 0.0}
    wrong = {name: value for name, value in parts.items() if not (math.isfinite(value) and value >= 0)}
    if wrong:
        fix = "use a number that is not below zero"
        raise UserError(Problem(f"{value} FLOPs", name, fix) for name, value in wrong.items())
    found = None
    if device is not None:
        found = estimate(sum(parts.values()), device, mfu=mfu, correction=correction)
    return DecisionCost(pilot_flops, final_flops, found)


def rounded(value: float) -> str:
    """A figure as an estimate deserves it: two significant digits below 100, whole numbers to three above.

    >>> rounded(0.0123), rounded(15.4), rounded(1234.5), rounded(1.234e20)
    ('0.012', '15', '1,230', '1.2e+20')
    """
    if value < 99.5 or value >= 1e12:  # .2g would make 1e+02 of 99.5
        return f"{value:.2g}"
    return f"{round(value, 2 - math.floor(math.log10(value))):,.0f}"


def percent(share: float) -> str:
    """A share of the peak, small ones too.

    >>> percent(0.25), percent(0.0012)
    ('25%', '0.12%')
    """
    return f"{rounded(100 * share)}%"


def wall_time(seconds: float) -> str:
    """Seconds as a person says them, to two or three digits.

    >>> wall_time(42), wall_time(5400), wall_time(1e6)
    ('42 s', '1.5 h', '12 days')
    """
    for limit, unit, name in ((120, 1, "s"), (HOUR, 60, "min"), (2 * DAY, HOUR, "h")):
        if seconds < limit:
            return f"{rounded(seconds / unit)} {name}"
    return f"{rounded(seconds / DAY)} days"


def _range(spread: Spread) -> str:
    return f"{rounded(spread.low)} to {rounded(spread.high)}"
