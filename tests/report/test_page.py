"""The page as a whole: it parses, stands alone, says the decision first, and survives any missing file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from html_check import check, embedded, words
from speciate.errors import UserError
from speciate.report.evidence import read_evidence
from speciate.report.page import render, write_report
from speciate.report.pieces import script_json

MakeStudy = Callable[..., Path]
NAME = "<script>alert(1)</script>"


def test_a_finished_study_says_its_decision_first(study: Path) -> None:
    path = write_report(study)
    assert path == study / "report.html"
    text = words(path.read_text(encoding="utf-8"))
    sentence = (
        "Up to 46 % code_python text (90 % interval 42 to 52 %) lets a 142k-parameter model "
        "keep its general ability over 2.4M tokens of continued training."
    )
    assert sentence in text
    assert text.index(sentence) < 1500
    plan = json.loads((study / "plan.json").read_text(encoding="utf-8"))
    for said in ("7.4 minutes", "27M tokens and 2.3e13 FLOPs", "In part: 20 of 24", "20 of 24", "56 % fewer",
                 "21 % fewer", "✓ feasible", "✕ too much", "✕ outside", plan["seal"],
                 plan["fitted_rows_sha256"]):  # fmt: skip
        assert said in text, said


def test_the_page_stands_alone(study: Path) -> None:
    page = render(read_evidence(study))
    checker = check(page)
    assert not checker.resources
    assert not re.search(r"@import|url\(", re.search(r"<style>(.*?)</style>", page, re.S)[1])  # type: ignore[index]
    policy = next(attrs for tag, attrs in checker.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in str(policy["content"])
    assert page.count("plotly.js v") == 1


def test_every_figure_has_a_place_and_a_description(study: Path) -> None:
    page = render(read_evidence(study))
    figures = embedded(page)["figures"]
    assert isinstance(figures, dict)
    plots = {str(attrs["id"]): attrs for tag, attrs in check(page).tags if attrs.get("class") == "plot"}
    assert set(plots) == set(figures)
    assert {name.split("-")[0] for name in figures} == {"general", "domain", "critical", "prediction", "tree"}
    assert all(len(str(attrs["aria-label"])) > 40 and attrs["role"] == "img" for attrs in plots.values())


def test_every_colour_of_the_figures_has_a_dark_partner(study: Path) -> None:
    data = embedded(render(read_evidence(study)))
    dark = data["dark"]
    assert isinstance(dark, dict)
    drawn = json.dumps(data["figures"])
    assert set(re.findall(r'"(#[0-9a-f]{6})"', drawn)) <= set(dark)
    washes = {start for start in re.findall(r'"(rgba\(\d+,\d+,\d+,)[\d.]+\)"', drawn)} - {"rgba(0,0,0,"}
    assert washes <= set(dark)


def test_equal_inputs_give_equal_bytes(study: Path) -> None:
    first = write_report(study).read_bytes()
    assert write_report(study).read_bytes() == first


def test_not_decidable_is_said_plainly_and_first(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", decided=False, without=("comparison.json",))
    text = words(write_report(folder).read_text(encoding="utf-8"))
    assert text.index("Not decidable yet: these runs do not show how much code_python text") < 1500
    assert "2 ratios were tried (0.1, 0.25), 3 are needed." in text
    assert "The cheapest run that would settle it: 142k parameters, a 15 % domain share, 1.2M tokens, seed 1" in text
    assert "None" not in text and "nan" not in text.lower().split()


@pytest.mark.parametrize("name", ["plan.json", "comparison.json", "tree.json", "cost.json", "ledger.parquet"])
def test_a_missing_file_is_said_and_the_rest_stands(make_study: MakeStudy, tmp_path: Path, name: str) -> None:
    text = words(write_report(make_study(tmp_path / "s", without=(name,))).read_text(encoding="utf-8"))
    said = {
        "plan.json": "No decision yet: 226 measurements of 12 runs are in",
        "comparison.json": "Not checked yet",
        "tree.json": "Up to 46 %",
        "cost.json": "cost.json is absent",
        "ledger.parquet": "Up to 46 %",
    }
    assert said[name] in text
    assert ("The run tree" in text) == (name != "tree.json")


def test_an_empty_folder_is_a_page_too(tmp_path: Path) -> None:
    text = words(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "No decision yet: nothing has been measured in this study." in text


def test_names_from_files_are_text_not_markup(make_study: MakeStudy, tmp_path: Path) -> None:
    page = write_report(make_study(tmp_path / "s", domain=NAME)).read_text(encoding="utf-8")
    assert NAME not in page
    assert f"Up to 46 % {NAME} text" in words(page)
    assert [tag for tag, _ in check(page).tags].count("script") == 3


def test_faulty_files_are_all_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{", encoding="utf-8")
    (tmp_path / "cost.json").write_text("[]", encoding="utf-8")
    (tmp_path / "ledger.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError) as caught:
        write_report(tmp_path)
    named = [Path(problem.where).name for problem in caught.value.problems]
    assert named == ["plan.json", "cost.json", "ledger.parquet"]
    assert not (tmp_path / "report.html").exists()
    with pytest.raises(UserError, match="no such folder"):
        write_report(tmp_path / "nowhere")


def test_json_in_a_script_cannot_end_it() -> None:
    value = {"a": "</script><!--", "b": "\u2028"}
    assert "<" not in script_json(value)
    assert json.loads(script_json(value)) == value


def test_a_plan_altered_after_it_was_sealed_is_not_shown(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s")
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    plan["predictions"][0]["value"] += 0.1
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(UserError, match=r"plan\.json: the plan was altered"):
        read_evidence(folder)
