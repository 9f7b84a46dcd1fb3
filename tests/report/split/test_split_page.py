"""The page of a split study: the decision first, the files' own numbers, whatever file is missing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from html_check import check, embedded, words
from speciate.errors import UserError
from speciate.report.numbers import count_text, nats_text, percent_text, tokens_text
from speciate.report.page import write_report
from speciate.report.split.routing import change, perplexity

MakeStudy = Callable[..., Path]
ODD = ("<script>alert(1)</script>", "Straßenrecht & Ørsted", '"法律" <b>', "medicine")


def page_of(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def read(folder: Path, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return value


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def page(split_study: Path) -> str:
    return page_of(split_study)


def test_the_decision_stands_first_with_the_plans_numbers(split_study: Path, page: str) -> None:
    told = read(split_study, "plan.json")["decision"]
    text = words(page)
    sentence = plain(
        f"Split after {count_text(told['seed_tokens'])} of 360B tokens (90 % interval {count_text(told['low'])} to "
        f"{count_text(told['high'])}): copy a 1.3B-parameter model into 4 experts of "
        f"{tokens_text(told['expert_tokens'])} each."
    )
    assert text.index(sentence) < 600
    gain = told["intervals"]["gain"]
    assert f"{nats_text(gain['low'], signed=True)} to {nats_text(gain['high'], signed=True)}" in text
    assert f"{nats_text(told['loss'])} nats per token, against {nats_text(told['loss_unsplit'])} of one" in text


def test_what_was_measured_stands_beside_what_was_sealed(split_study: Path, page: str) -> None:
    comparison, text = read(split_study, "comparison.json"), words(page)
    chosen = next(row for row in comparison["tried"] if row["chosen"])
    assert f"Measured at equal total tokens: {nats_text(chosen['measured'])} nats; sealed" in text
    assert f"sealed {nats_text(chosen['low'])} to {nats_text(chosen['high'])}." in text
    for row in comparison["tried"]:
        inside = row["low"] <= row["measured"] <= row["high"]
        cells = f"{nats_text(row['predicted'])}{nats_text(row['low'])} to {nats_text(row['high'])}"
        assert cells + nats_text(row["measured"]) in text
        assert f"{'✓ inside' if inside else '✕ outside'}" in text
    best = min(row["measured"] for row in comparison["tried"])
    assert comparison["regret_nats"] == pytest.approx(chosen["measured"] - best)
    assert ("✓ Best of 6" in text) == (comparison["regret_nats"] == 0)


def test_routing_is_told_as_in_the_paper(split_study: Path, page: str) -> None:
    routing, text = read(split_study, "routing.json"), words(page)
    assert "93 % of 400 held-out texts went to their own domain's expert." in text
    assert f"loss by {nats_text(routing['routed'] - routing['oracle'], signed=True)} nats per token" in text
    for row in routing["sources"]:
        cells = [row["source"], perplexity(row["base"]), perplexity(row["expert_loss"]),
                 change(row["expert_loss"], row["base"]), row["expert"], percent_text(row["share"])]  # fmt: skip
        assert plain("".join(cells)) in text
    assert "maths.jsonl12.3012.68+3 %medicine" in text  # the source whose expert is worse is told too


def test_experts_rivals_tree_and_provenance_are_there(split_study: Path, page: str) -> None:
    text, plan = words(page), read(split_study, "plan.json")
    for said in ("4 of 4 experts end below the unsplit model", "court, appeal", "58 % fewer", "liew-kato", plan["seal"],
                 plan["fitted_rows_sha256"], "code, law, maths, medicine", "splitting starts to pay"):  # fmt: skip
        assert said in text, said
    rivals = read(split_study, "fits/rivals.json")
    scores = [score for split in rivals["splits"] for score in split["scores"]]
    assert all(f"{score['mae']:.4f}" in text for score in scores if score["mae"] is not None)
    assert "None" not in text and "nan" not in text.lower().split()


def test_the_page_stands_alone_and_every_figure_has_its_place(page: str) -> None:
    checker = check(page)
    assert not checker.resources
    assert not re.search(r"@import|url\(", re.search(r"<style>(.*?)</style>", page, re.S)[1])  # type: ignore[index]
    figures = embedded(page)["figures"]
    assert isinstance(figures, dict)
    plots = {str(attrs["id"]): attrs for tag, attrs in checker.tags if attrs.get("class") == "plot"}
    assert set(plots) == set(figures)
    assert {name.split("-")[0] for name in figures} == {"budget", "prediction", "routing", "experts", "tree"}
    assert all(len(str(attrs["aria-label"])) > 40 and attrs["role"] == "img" for attrs in plots.values())


def test_every_colour_has_a_dark_partner(page: str) -> None:
    data = embedded(page)
    dark, drawn = data["dark"], json.dumps(data["figures"])
    assert isinstance(dark, dict)
    assert set(re.findall(r'"(#[0-9a-f]{6})"', drawn)) <= set(dark)
    washes = {start for start in re.findall(r'"(rgba\(\d+,\d+,\d+,)[\d.]+\)"', drawn)} - {"rgba(0,0,0,"}
    assert washes <= set(dark)


def test_equal_inputs_give_equal_bytes(split_study: Path, page: str) -> None:
    assert page_of(split_study) == page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plan.json", "No decision yet: "),
        ("comparison.json", "Not checked yet"),
        ("routing.json", "routing.json is absent"),
        ("tree.json", "Split after"),
        ("cost.json", "cost.json is absent"),
        ("clusters/clusters.json", "Split after"),
        ("resolved.yaml", "Split after"),
        ("ledger.parquet", "Split after"),
    ],
)
def test_a_missing_file_is_said_and_the_rest_stands(
    make_split_study: MakeStudy, tmp_path: Path, name: str, said: str
) -> None:
    text = words(page_of(make_split_study(tmp_path / "s", without=(name,))))
    assert said in text
    assert ("The run tree" in text) == (name != "tree.json")
    assert ("court, appeal" in text) == (name != "clusters/clusters.json")
    assert "None" not in text and "nan" not in text.lower().split()


def test_a_study_stopped_before_any_measurement_is_a_page(tmp_path: Path) -> None:
    (tmp_path / "resolved.yaml").write_text("decide: split\nname: early\n", encoding="utf-8")
    text = words(page_of(tmp_path))
    assert "Speciate report · early" in text
    assert "No decision yet: nothing has been measured in this study." in text
    assert "No total of tokens has been spent in more than one way yet." in text


def test_never_split_is_a_decision(make_split_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_split_study(tmp_path / "s", choice="never split")
    text = words(page_of(folder))
    assert "Do not split: train one model of 1.3B parameters on all 6B tokens." in text
    assert "Run the same command again to carry the plan out" in text
    assert "Not decidable" not in text


def test_not_decidable_is_said_with_the_run_that_would_help(make_split_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_split_study(tmp_path / "s", choice="undecided")
    text, told = words(page_of(folder)), read(folder, "plan.json")["decision"]
    assert text.index("Not decidable yet: these runs do not show whether a 1.3B-parameter model") < 600
    assert plain(told["remedy"]["text"]) in text
    assert "0 lies within" in text and "Not checked yet" in text


def test_a_plan_that_could_not_be_made_says_why(make_split_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_split_study(tmp_path / "s", choice="undecided")
    decision = {"kind": "split", "decided": False, "choice": None, "status": "one size of <seed>", "notes": [],
                "remedy": {"text": "run another seed"}, "params": 1.3e9, "total_tokens": 15e9, "domains": 4,
                "level": 0.9}  # fmt: skip
    plan = {"kind": "split", "decision": decision, "options": [], "predictions": [], "params": 1.3e9}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    text = words(page_of(folder))
    assert "One size of <seed>." in text and "run another seed." in text
    assert "There is no interval to give" in text and "The law behind it" not in text


def test_the_laws_that_could_not_be_compared_are_told_with_the_reason(
    make_split_study: MakeStudy, tmp_path: Path
) -> None:
    folder = make_split_study(tmp_path / "s", choice="undecided")
    (folder / "fits").mkdir()
    refused = {"status": "compared", "refused": {"split": "all rows have <one> size"}, "splits": [], "best": None}
    (folder / "fits" / "rivals.json").write_text(json.dumps(refused), encoding="utf-8")
    text = words(page_of(folder))
    assert "Not compared with other laws: split: all rows have <one> size." in text
    assert "The best split measured: a seed of 120B tokens" in text


def test_what_missed_is_shown_as_missed(make_split_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_split_study(tmp_path / "s")
    found = read(folder, "comparison.json")
    for row in found["tried"]:
        row["measured"] += 0.05 if row["chosen"] else 0.0
    found["regret_nats"] = 0.05
    (folder / "comparison.json").write_text(json.dumps(found), encoding="utf-8")
    text = words(page_of(folder))
    assert "✕ It did not hold" in text and "✕ outside" in text
    assert ".050 nats" in text and "Best of" not in text


def test_nulls_are_absent_not_zero(make_split_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_split_study(tmp_path / "s")
    other = {"share": 0.25, "chosen": False}
    routing = read(folder, "routing.json") | {"ensemble": None, "routed_right": None, "option": other}
    for row in (*routing["sources"], *routing["domains"]):
        row |= {"base": None, "texts": None} if "texts" in row else {"base": None, "expert_loss": None}
    (folder / "routing.json").write_text(json.dumps(routing), encoding="utf-8")
    page = page_of(folder)
    text = words(page)
    assert "code.jsonl———code" in text
    assert "the best split tried beside it (a seed of 25 %)" in text
    assert "held-out texts went to" not in text and "None" not in text
    figures = embedded(page)["figures"]
    assert isinstance(figures, dict) and len(figures["routing-0"]["data"][0]["x"]) == 3


def test_names_from_files_are_text_not_markup(make_split_study: MakeStudy, tmp_path: Path) -> None:
    page = page_of(make_split_study(tmp_path / "s", names=ODD))
    assert ODD[0] not in page
    text = words(page)
    assert all(name in text for name in ODD)
    assert [tag for tag, _ in check(page).tags].count("script") == 3
    drawn = json.dumps(embedded(page)["figures"], ensure_ascii=False)
    assert "<script" not in drawn and "<b>'" not in drawn and "Straßenrecht" in drawn


def test_faulty_files_are_all_named_at_once(make_split_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_split_study(tmp_path / "s")
    plan = read(folder, "plan.json")
    plan["decision"]["gain"] += 1.0
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (folder / "routing.json").write_text("{", encoding="utf-8")
    (folder / "tree.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        write_report(folder)
    assert {Path(one.where).name for one in caught.value.problems} == {"plan.json", "routing.json", "tree.json"}


def test_perplexities_are_those_of_the_losses() -> None:
    assert perplexity(math.log(9.92)) == "9.92"
    assert plain(change(math.log(9.92), math.log(11.01))) == "−9.9 %"
