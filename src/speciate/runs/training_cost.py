"""The whole bill of one training run: FLOPs, memory, time and money; what is unknown is said to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from speciate.runs.actuals import Correction
from speciate.runs.architecture import Architecture
from speciate.runs.devices import Device
from speciate.runs.estimate import TRAINING_MFU, Estimate, estimate, percent, rounded, wall_time
from speciate.runs.memory import USABLE, TrainingMemory, fits, gigabytes, inference_memory, training_memory, would_fit


@dataclass(frozen=True)
class TrainingCost:
    """What ``training_cost`` found. ``model`` is an architecture, or a number of parameters where no more is known.

    ``memory`` is of one device; ``remedy`` says what would make it fit, None where it fits or nothing would.
    """

    model: Architecture | int
    tokens: float
    sequence_length: int | None
    batch: int
    count: int
    sharded: bool
    recompute: bool
    device: Device | None
    memory: TrainingMemory
    remedy: str | None
    estimate: Estimate | None

    @property
    def flops_per_token(self) -> int:
        """FLOPs of training on one token; 6 per parameter (8 with recomputation) where only their number is known."""
        if isinstance(self.model, int):
            return (8 if self.recompute else 6) * self.model
        return self.model.training_flops_per_token(self.sequence_length, recompute=self.recompute)

    @property
    def six_n(self) -> int:
        """The usual shortcut: 6 FLOPs per active non-embedding parameter and token."""
        return 6 * (self.model if isinstance(self.model, int) else self.model.active_non_embedding)

    @property
    def flops(self) -> float:
        """FLOPs of the whole run."""
        return self.flops_per_token * self.tokens

    @property
    def fits(self) -> bool | None:
        """Whether training fits the device's memory; None where it cannot be known."""
        return None if self.device is None else fits(self.memory, self.device)

    @property
    def status(self) -> str:
        """The answer in one sentence."""
        if self.estimate is None:
            return f"{self.flops:.3g} FLOPs; hours and money unknown: name a device"
        return f"{self.flops:.3g} FLOPs; {self.estimate.told()}"

    def to_json(self) -> dict[str, Any]:
        """All of it; null where unknown."""
        found = self.estimate
        return {
            "params": _params(self.model),
            "tokens": self.tokens,
            "sequence_length": self.sequence_length,
            "batch": self.batch,
            "flops_per_token": self.flops_per_token,
            "flops_per_token_six_n": self.six_n,
            "flops": self.flops,
            "memory": self.memory.to_json() | {"sharded": self.sharded, "fits": self.fits, "would_fit": self.remedy},
            "serving": self._serving(),
            "device": None if self.device is None else self.device.name,
            "devices": self.count,
            "mfu": None if found is None else list(found.mfu),
            "correction": None if found is None or found.correction is None else found.correction.to_json(),
            "seconds": None if found is None else found.seconds.to_json(),
            "device_hours": None if found is None else found.device_hours.to_json(),
            "money": None if found is None or found.money is None else found.money.to_json(),
            "status": self.status,
        }

    def _serving(self) -> dict[str, Any] | None:
        if isinstance(self.model, int):
            return None
        context = self.sequence_length or self.model.sequence_length
        weights, cache = inference_memory(self.model, context)
        return {
            "context": context,
            "weights": weights,
            "cache_per_sequence": cache,
            "prefill_flops": self.model.prefill_flops(context),
            "decode_flops_per_token": self.model.decode_flops_per_token(context),
        }

    def rows(self) -> list[tuple[str, str]]:
        """(What, value) for a person."""
        rows = [("parameters", _told_params(self.model)), ("FLOPs per token", self._told_flops())]
        rows.append(("FLOPs", f"{self.flops:.3g} for {self.tokens:.3g} tokens"))
        rows += [("memory", line) for line in self._told_memory()]
        serving = self._serving()
        if serving is not None:
            text = (
                f"a prompt of {serving['context']:,} tokens takes {serving['prefill_flops']:.3g} FLOPs (prefill), the "
            )
            rows.append(("serving", f"{text}next token {serving['decode_flops_per_token']:.3g} (decode)"))
            text = (
                f"{gigabytes(serving['weights'])} of weights, {gigabytes(serving['cache_per_sequence'])} of keys and "
            )
            rows.append(("serving", f"{text}values for such a prompt"))
        if self.estimate is None:
            return [*rows, ("time and money", "unknown: name a --device")]
        return rows + _told_time(self.estimate)

    def _told_flops(self) -> str:
        again = ", activations recomputed" if self.recompute else ""
        if isinstance(self.model, int):
            return (
                f"{self.flops_per_token:.3g}, {8 if self.recompute else 6} a parameter{again}; a config.json tells more"
            )
        length = self.sequence_length or self.model.sequence_length
        passes = 4 if self.recompute else 3
        share = passes * self.model.attention_flops_per_token(length) / self.flops_per_token
        off = self.six_n / self.flops_per_token - 1
        six_n = f"6 N is {self.six_n:.4g}, {abs(off):.1%} {'below' if off < 0 else 'above'}"
        text = f"{self.flops_per_token:.4g} at sequences of {length:,} tokens{again}"
        return f"{text}, {share:.1%} of it attention over them; {six_n}"

    def _told_memory(self) -> list[str]:
        memory = self.memory
        where = "on each device" if self.count > 1 else "on one device"
        whole = f"{gigabytes(memory.known)}{' and unknown activations' if memory.total is None else ''} {where}"
        if self.count > 1:
            whole += f", fully sharded over {self.count}" if self.sharded else ", data parallel"
        parts = {
            "weights": memory.weights,
            "gradients": memory.gradients,
            "optimizer": memory.optimizer,
            "gathered": memory.gathered or None,
            f"activations of {self.batch:,} sequence{'s' if self.batch > 1 else ''}": memory.activations,
            "logits": memory.logits,
        }
        lines = [whole + self._told_fit()]
        lines.append(", ".join(f"{name} {gigabytes(part)}" for name, part in parts.items() if part is not None))
        if self.fits is False and isinstance(self.model, Architecture):
            way = (
                f"would fit with {self.remedy}"
                if self.remedy
                else "needs a larger device, or layers split over several"
            )
            lines.append(way)
        return lines

    def _told_fit(self) -> str:
        if self.device is None:
            return ""
        if self.device.memory is None:
            return f": the memory of {self.device.name} is unknown"
        usable = f"{USABLE:.0%} of {self.device.name}'s {gigabytes(self.device.memory)}"
        return f": {({True: 'fits', False: 'does not fit', None: 'may fit'})[self.fits]} {usable}"


def training_cost(
    model: Architecture | int,
    tokens: float,
    *,
    device: Device | None = None,
    count: int = 1,
    sequence_length: int | None = None,
    batch: int = 1,
    sharded: bool = False,
    recompute: bool = False,
    mfu: tuple[float, float, float] = TRAINING_MFU,
    correction: Correction | None = None,
) -> TrainingCost:
    """What training ``model`` on ``tokens`` tokens takes, ``batch`` sequences at a time on each of ``count`` devices.

    ``sharded``: weights, gradients and optimizer are spread over the devices (FSDP). Raises UserError as ``estimate``
    does.
    """
    length = sequence_length or (model.sequence_length if isinstance(model, Architecture) else None)
    setting: dict[str, Any] = {"batch": batch, "sequence_length": length, "recompute": recompute, "devices": count}
    memory = training_memory(model, sharded=sharded, **setting)
    remedy = None
    if device is not None and isinstance(model, Architecture) and fits(memory, device) is False:
        remedy = would_fit(model, device, **setting)
    found = TrainingCost(
        model, tokens, length, batch, count, sharded, recompute, device, memory, remedy, estimate=None
    )  # fmt: skip
    if device is None:
        return found
    return replace(found, estimate=estimate(found.flops, device, count, mfu=mfu, correction=correction))


def _told_time(found: Estimate) -> list[tuple[str, str]]:
    low, expected, high = (wall_time(x) for x in (found.seconds.low, found.seconds.expected, found.seconds.high))
    hours, money = found.device_hours, found.money
    rows = [
        ("time", f"{expected} expected, {low} to {high} on {found.count} {found.device.name}"),
        ("device hours", f"{rounded(hours.expected)} expected, {rounded(hours.low)} to {rounded(hours.high)}"),
    ]
    if money is None:
        rows.append(("money", "unknown: give a --price per hour"))
    else:
        text = f"{rounded(money.expected)} expected, {rounded(money.low)} to {rounded(money.high)}"
        rows.append(("money", f"{text}, at {found.device.price:g} an hour"))
    if found.correction is not None:
        return [*rows, ("these times are", found.correction.told())]
    low, expected, high = (percent(share) for share in found.mfu)
    text = f"{expected} of {found.device.peak_flops / 1e12:,.4g} TFLOP/s is used, {low} to {high}"
    return [*rows, ("assumed", f"{text}; --mfu or --actuals tell better")]


def _params(model: Architecture | int) -> dict[str, int | None]:
    if isinstance(model, int):
        return {"total": model, "non_embedding": None, "active": None}
    return {"total": model.total, "non_embedding": model.non_embedding, "active": model.active}


def _told_params(model: Architecture | int) -> str:
    if isinstance(model, int):
        return f"{model:,}; how they are arranged is unknown"
    text = f"{model.total:,}, of them {model.non_embedding:,} without embeddings"
    return text if model.experts == 1 else f"{text}; a token passes through {model.active:,}"
