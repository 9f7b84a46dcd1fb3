"""Devices that train: peak FLOP/s and memory as their makers state them, and a user's own table over it.

Peaks are of dense bfloat16 matrix products with float32 accumulation; datasheets of NVIDIA's print twice that, the
figure with structured sparsity, which training does not use. Memory is in bytes, 10^9 to a GB as datasheets count
(a device often reports a little more). Prices are nobody's constant: unknown unless the user gives one. A CPU is not
listed: cores differ tenfold, and a study measures the one that it runs on.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from speciate.errors import Problem, UserError
from speciate.runs.load import load, parse_number

LARGEST = 1e9  # of any number in a table: more is a slip of the keyboard
COLUMNS = ("name", "tflops", "memory_gb", "price_per_hour")


@dataclass(frozen=True)
class Device:
    """One device. ``memory`` in bytes and ``price`` per device hour (any currency) are None where unknown."""

    name: str
    peak_flops: float  # FLOP/s
    memory: float | None
    source: str
    price: float | None = None


def _listed(name: str, tflops: float, gigabytes: float, source: str) -> Device:
    return Device(name, tflops * 1e12, gigabytes * 1e9, source)


DEVICES = (
    _listed("A100-40", 312, 40, "NVIDIA A100 datasheet (SXM and PCIe)"),
    _listed("A100-80", 312, 80, "NVIDIA A100 datasheet (SXM and PCIe)"),
    _listed("H100", 989, 80, "NVIDIA H100 datasheet, SXM5: 1,979 with sparsity"),
    _listed("H100-PCIe", 756, 80, "NVIDIA H100 datasheet, PCIe: 1,513 with sparsity"),
    _listed("H200", 989, 141, "NVIDIA H200 datasheet, SXM: 1,979 with sparsity"),
    _listed("B200", 2250, 180, "NVIDIA HGX B200, an eighth of it: 36 PFLOPS with sparsity, 1.44 TB"),
    _listed("L4", 121, 24, "NVIDIA L4 datasheet: 242 with sparsity"),
    _listed("L40S", 362, 48, "NVIDIA L40S datasheet: 733 with sparsity"),
    _listed("RTX-4090", 165.2, 24, "NVIDIA Ada GPU architecture paper, BF16 with FP32 accumulate"),
    _listed("MI300X", 1307.4, 192, "AMD Instinct MI300X datasheet"),
    _listed("TPU-v5e", 197, 16, "Google Cloud TPU v5e documentation, per chip"),
    _listed("TPU-v5p", 459, 95, "Google Cloud TPU v5p documentation, per chip"),
)


def device_named(name: str, devices: tuple[Device, ...] = DEVICES, where: str = "--device") -> Device:
    """The device of that name, whatever the case. Raises UserError with the nearest names when there is none.

    >>> device_named("h100").peak_flops
    989000000000000.0
    """
    by_name = {device.name.casefold(): device for device in devices}
    if name.strip().casefold() in by_name:
        return by_name[name.strip().casefold()]
    near = difflib.get_close_matches(name.strip().casefold(), by_name, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(by_name[key].name for key in near)}? " if near else ""
    fix = f"{hint}known: {', '.join(device.name for device in devices)}; add others in a table (--device-table FILE)"
    raise UserError(Problem(f"no device is called {name!r}", where, fix))


def read_devices(path: Path) -> tuple[Device, ...]:
    """``DEVICES`` with those of a user's CSV (or Parquet) over them.

    Columns: ``name``, ``tflops`` (dense bf16 peak, in 10^12 FLOP/s), ``memory_gb`` (10^9 bytes), ``price_per_hour``.
    A row of a known name replaces what its cells say and leaves the rest; a new device needs its ``tflops``.
    Raises UserError naming every fault.
    """
    names, columns = load(path)
    where = str(path)
    problems = _header_problems(names, where)
    if problems:
        raise UserError(problems)
    cells = {name: column.to_pylist() for name, column in zip(names, columns, strict=True)}
    devices = {device.name.casefold(): device for device in DEVICES}
    seen: set[str] = set()
    for row in range(len(cells["name"])):
        place = f"{where} row {row + 1}"
        name = str(cells["name"][row] or "").strip()
        key = name.casefold()
        if not name or key in seen:
            what = f"{name} is given twice" if name else "it has no name"
            problems.append(Problem(what, place, "give every device one row and a name"))
            continue
        seen.add(key)
        values = {column: _cell(cells[column][row], column, place, problems) for column in names if column != "name"}
        tflops, memory, price = (values.get(column) for column in COLUMNS[1:])
        known = devices.get(key)
        if known is None and tflops is None:
            problems.append(Problem(f"{name} is new and has no tflops", place, "give its dense bf16 peak in TFLOP/s"))
            continue
        known = known or Device(name, 0.0, None, where)
        devices[key] = replace(
            known,
            peak_flops=known.peak_flops if tflops is None else tflops * 1e12,
            memory=known.memory if memory is None else memory * 1e9,
            price=known.price if price is None else price,
            source=known.source if tflops is None and memory is None else where,
        )
    if problems:
        raise UserError(problems)
    return tuple(devices.values())


def _header_problems(names: list[str], where: str) -> list[Problem]:
    problems = []
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            problems.append(Problem(f"no column is called {name!r}", where, f"{hint}use {', '.join(COLUMNS)}"))
    problems += [
        Problem(f"the column {name} is there twice", where, "keep one") for name in COLUMNS if names.count(name) > 1
    ]
    if "name" not in names:
        problems.append(Problem("there is no column name", where, f"start with a line {','.join(COLUMNS)}"))
    return problems


def _cell(value: object, column: str, place: str, problems: list[Problem]) -> float | None:
    """A number above zero (a price may be 0), None where the cell is empty; anything else is a problem."""
    found = parse_number(str(value).strip()) if value is not None and str(value).strip() else None
    if found is None or 0 < found <= LARGEST or (found == 0 and column == "price_per_hour"):
        return found
    problems.append(
        Problem(f"{column} is {value!r}", place, f"use a number above zero, at most {LARGEST:g}, or leave it empty")
    )
    return None
