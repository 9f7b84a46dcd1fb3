from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from speciate.cli.main import main


def general_change(ratio: float, tokens: float) -> float:
    """A general loss that jumps by .3 R^2 and then falls, slower at higher ratios: turns within the table."""
    t = tokens / 1e9
    return 0.3 * ratio**2 + t**0.1 * (0.05 * ratio - (0.06 - 0.05 * ratio) * math.log(t + 1e-9) / 10)


def write_table(path: Path, ratios: tuple[float, ...]) -> None:
    rows = ["run,trunk,params,tokens,domain_ratio,eval_on,loss"]
    for ratio in ratios:
        for eval_on in ("general", "law"):
            rows.append(f"r{ratio},base,1e8,0,{ratio},{eval_on},3.0")
            for step in range(16):
                tokens = 1e8 * 1.3**step
                change = general_change(ratio, tokens) if eval_on == "general" else -0.2 * math.log1p(tokens / 1e8)
                rows.append(f"r{ratio},base,1e8,{tokens:.0f},{ratio},{eval_on},{3 + change:.6f}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_plan_mixture_decides_or_says_that_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "runs.csv"
    write_table(table, (0.1, 0.25, 0.5, 0.75))
    code = main(["plan", "mixture", str(table), "--domain", "law", "--bootstrap", "100", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (0 if found["decided"] else 3)
    assert found["models"][0]["params"] == 1e8
    assert {ratio["domain_ratio"] for ratio in found["models"][0]["ratios"]} == {0.1, 0.25, 0.5, 0.75}
    assert main(["plan", "mixture", str(table), "--domain", "law", "--bootstrap", "100"]) == code
    assert len(capsys.readouterr().out.splitlines()) >= 5


def test_bad_tables_are_the_users_error_with_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("run,params,tokens,domain_ratio,eval_on\na,1e8,-5,1.5,general\n", encoding="utf-8")
    assert main(["plan", "mixture", str(table), "--json"]) == 2
    text = json.dumps(json.loads(capsys.readouterr().out)["problems"])
    assert "-5" in text and "1.5" in text and "loss" in text
    for name, content in [("empty.csv", b""), ("latin.csv", "run,é".encode("latin-1")), ("x.parquet", b"PAR1junk")]:
        (tmp_path / name).write_bytes(content)
        assert main(["plan", "mixture", str(tmp_path / name)]) == 2, name
        assert "Traceback" not in capsys.readouterr().err
    assert main(["plan", "mixture", str(tmp_path / "absent.csv")]) == 2


def test_the_papers_curves_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = Path(__file__).parents[3] / "shared" / "data" / "cmr_table4.csv"
    if not source.exists():
        pytest.skip("needs ../shared/data/cmr_table4.csv")
    sizes = {"460M": 460e6, "940M": 940e6, "1.6B": 1.6e9, "3.1B": 3.1e9}
    rows = ["run,N,D,domain_ratio,eval_on,loss"]
    with source.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            ratio = 1 / 3 if row["ratio_pct"] == "33.3" else float(row["ratio_pct"]) / 100
            value = {name: float(text) for name, text in row.items() if name != "model"}
            for t in range(101):
                rise = value["gen_a2"] * t ** value["gen_s2"] + value["gen_a3"] * t ** value["gen_s3"] + value["gen_b2"]
                gain = value["dom_a1"] * float(t or 1) ** value["dom_s1"] + value["dom_b1"]
                for eval_on, change in (("general", rise), ("finance", gain)):
                    loss = 2.0 + change if t else 2.0
                    name = f"{row['model']}-{ratio:.3f}"
                    rows.append(f"{name},{sizes[row['model']]:.0f},{t * 0.2e9:.0f},{ratio:.6f},{eval_on},{loss!r}")
    table = tmp_path / "curves.csv"
    table.write_text(
        "\n".join(row for row in rows if ",0.75" not in row and ",1.0" not in row) + "\n", encoding="utf-8"
    )
    verb = ["plan", "mixture", str(table), "--columns", "params=N,tokens=D", "--horizon", "20e9", "--json"]
    assert main(verb) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert [model["critical_ratio"] for model in models] == pytest.approx([0.298, 0.354, 0.410, 0.481], abs=0.01)
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert main(verb) in (0, 3)
    models = json.loads(capsys.readouterr().out)["models"]
    assert all(model["ratios"][-1]["domain_ratio"] == 1 for model in models)
    assert not any(model["ratios"][-1]["feasible"] for model in models), "100 % is infeasible at every size"


def test_an_untried_size_is_not_answered_with_certain_nonsense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "runs.csv"
    write_table(table, (0.1, 0.25, 0.5, 0.75))
    rows = table.read_text(encoding="utf-8").splitlines()
    larger = [row.replace(",1e8,", ",4e8,").replace("r0", "big-r0").replace(",base,", ",big,") for row in rows[1:]]
    table.write_text("\n".join([*rows, *larger]) + "\n", encoding="utf-8")
    verb = ["plan", "mixture", str(table), "--domain", "law", "--bootstrap", "100", "--json", "--params"]
    for params in ("inf", "nan", "1e300", "0"):
        assert main([*verb, params]) == 2, params
        assert "count" in json.loads(capsys.readouterr().out)["problems"][0]["fix"]
