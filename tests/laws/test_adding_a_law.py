"""The page that shows how to add a law: its code runs and prints what the page says."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from speciate.laws import Law

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding_a_law.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def test_the_code_prints_what_the_page_says() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    printed = StringIO()
    with redirect_stdout(printed):
        for kind, text in BLOCKS:
            if kind == "python":
                exec(compile(text, "docs/adding_a_law.md", "exec"), names)  # the page's own code
    assert [kind for kind, _ in BLOCKS] == ["python", "python", "text"]
    assert printed.getvalue() == BLOCKS[-1][1]
    law = names["LEARNING_CURVE"]
    assert isinstance(law, Law) and all(name in law.formula for name in law.names)


def test_files_that_the_page_points_to_exist_and_do_what_it_says() -> None:
    laws = ROOT / "src" / "speciate" / "laws"
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and ".py`" in line]
    assert len(rows) == 5
    for line in rows:
        given = re.findall(r"(link|search|candidates|published|family)\b[=(]", line)
        assert given
        for file in re.findall(r"`(\w+\.py)`", line):
            assert f"{given[0]}=" in (laws / file).read_text(encoding="utf-8"), (file, given)
