from __future__ import annotations

from pathlib import Path

import pytest

from speciate.errors import UserError
from speciate.runs.devices import DEVICES, device_named, read_devices


def written(folder: Path, text: str) -> Path:
    path = folder / "devices.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_table_is_dense_has_memory_and_invents_no_price() -> None:
    assert len({device.name.casefold() for device in DEVICES}) == len(DEVICES) >= 12
    assert all(device.price is None and device.memory for device in DEVICES)
    assert device_named("h100").peak_flops == 989e12  # half of the datasheet's 1,979, which is with sparsity
    assert max(device.peak_flops for device in DEVICES) < 3e15


def test_names_that_are_nearly_right() -> None:
    with pytest.raises(UserError, match="did you mean H100 or"):
        device_named("H10")
    with pytest.raises(UserError, match="no device is called 'abacus'"):
        device_named("abacus")


def test_a_table_of_ones_own_over_the_built_in(tmp_path: Path) -> None:
    text = "name,tflops,memory_gb,price_per_hour\nh100,,,2.5\nMine,100,,0\nL4,120,20,\n"
    found = read_devices(written(tmp_path, text))
    assert len(found) == len(DEVICES) + 1
    priced, mine, changed = (device_named(name, found) for name in ("H100", "mine", "L4"))
    assert (priced.peak_flops, priced.memory, priced.price) == (989e12, 80e9, 2.5)
    assert (mine.peak_flops, mine.memory, mine.price) == (1e14, None, 0.0)
    assert (changed.peak_flops, changed.memory, changed.price) == (120e12, 20e9, None)
    assert changed.source.endswith("devices.csv") and "datasheet" in priced.source
    assert read_devices(written(tmp_path, "name,price_per_hour\nH200,4\n"))[4].price == 4


def test_every_fault_of_a_table_at_once(tmp_path: Path) -> None:
    rows = ["Mine,,24,1", "L4,-1,24,x", "L4,1,1,1", ",1,1,1", "Yours,nan,inf,-2"]
    with pytest.raises(UserError) as caught:
        read_devices(written(tmp_path, "\n".join(["name,tflops,memory_gb,price_per_hour", *rows])))
    said = [str(problem) for problem in caught.value.problems]
    for part in (
        "row 1: Mine is new and has no tflops", "row 2: tflops is '-1'", "row 2: price_per_hour is 'x'",
        "row 3: L4 is given twice", "row 4: it has no name", "row 5: tflops is 'nan'", "row 5: memory_gb is 'inf'",
        "row 5: price_per_hour is '-2'",
    ):  # fmt: skip
        assert any(part in line for line in said), part
    with pytest.raises(UserError, match="did you mean tflops.*\n.*no column name"):
        read_devices(written(tmp_path, "tflop\n1\n"))
