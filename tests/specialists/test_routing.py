from __future__ import annotations

from pathlib import Path

import pytest

from specialists.tiny import DOMAINS, domain_texts
from speciate.corpus.tokens.parts import domain_name
from speciate.errors import UserError
from speciate.specialists.experts import Specialists
from speciate.specialists.routing import most_routed, router_names

TEXTS = [text for domain in DOMAINS for text in domain_texts(domain, 20, seed=3)]


def test_a_text_goes_to_the_same_expert_each_time_and_whatever_stands_beside_it(
    specialists: Specialists, tiny: Path
) -> None:
    first = specialists.route(TEXTS)
    assert first == specialists.route(TEXTS)
    assert first == [specialists.route([text])[0] for text in TEXTS]
    assert first == Specialists.load(tiny).route(TEXTS)
    assert first[::-1] == specialists.route(TEXTS[::-1])


def test_texts_find_their_domain(specialists: Specialists) -> None:
    found = [route.expert for route in specialists.route(TEXTS)]
    assert found == [domain for domain in DOMAINS for _ in range(20)]


def test_only_the_prefix_is_read(specialists: Specialists) -> None:
    law, code = domain_texts("law", 1)[0], domain_texts("code", 1)[0]
    assert specialists.route([law]) == specialists.route([f"{law} {code} {code}"])


def test_scores_are_probabilities_and_the_largest_is_chosen(specialists: Specialists) -> None:
    for route in specialists.route([*TEXTS, "", "\ud55c\uad6d", "zzzz"]):
        assert sum(route.scores.values()) == pytest.approx(1)
        assert route.expert == max(route.scores, key=lambda name: route.scores[name])
        assert tuple(route.scores) == DOMAINS


def test_a_subset_is_routed_to_alone(tiny: Path, specialists: Specialists) -> None:
    part = Specialists.load(tiny, experts=["law", "biology"])
    assert part.names == ("biology", "law")
    for whole, route in zip(specialists.route(TEXTS), part.route(TEXTS), strict=True):
        assert set(route.scores) == {"biology", "law"}
        left = {name: whole.scores[name] for name in part.names}
        assert route.expert == max(left, key=lambda name: left[name])
        assert route.scores["law"] == pytest.approx(left["law"] / sum(left.values()))


def test_the_experts_that_tasks_need(specialists: Specialists) -> None:
    law, code = domain_texts("law", 5), domain_texts("code", 3)
    assert most_routed(specialists.route, {"exam": [*law, *code]}, 1) == ("law",)
    assert most_routed(specialists.route, {"exam": [*law, *code]}) == ("code", "law")
    assert most_routed(specialists.route, {"exam": law, "other": domain_texts("biology", 1)}) == ("biology", "law")
    with pytest.raises(UserError, match="no texts to route"):
        most_routed(specialists.route, {"exam": []})


@pytest.mark.parametrize(
    ("experts", "said"),
    [
        (["lav"], "no expert 'lav'; did you mean 'law'?"),
        (["x", "y"], "no expert 'y'"),
        ([], "no experts to choose from"),
    ],
)
def test_unknown_experts_are_named(tiny: Path, experts: list[str], said: str) -> None:
    with pytest.raises(UserError) as raised:
        Specialists.load(tiny, experts=experts)
    assert said in str(raised.value)


def test_one_text_for_a_list_is_refused_and_none_is_none(specialists: Specialists) -> None:
    with pytest.raises(UserError, match="one text where texts are wanted"):
        specialists.route("law")
    assert specialists.route([]) == []


def test_columns_of_clusters_are_called_as_domains_of_corpus_tokenize_are(tmp_path: Path) -> None:
    (tmp_path / "clusters.json").write_text("{}", encoding="utf-8")
    assert router_names(tmp_path, 12) == tuple(domain_name(number, "cluster") for number in range(12))
