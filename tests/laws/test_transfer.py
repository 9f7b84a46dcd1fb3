from __future__ import annotations

import numpy as np

from speciate.laws.transfer import PUBLISHED, TRANSFER, effective_tokens


def test_published_text_to_python() -> None:
    tokens, params = np.array([3e6, 3e8, 1e9]), np.array([4e7, 4e7, 3e9])
    by_hand = 1.9e4 * tokens**0.18 * params**0.38
    np.testing.assert_allclose(TRANSFER.predict(PUBLISHED, {"tokens": tokens, "params": params}), by_hand, rtol=1e-12)
    assert TRANSFER.published is not None
    np.testing.assert_allclose(TRANSFER.published(np.array(PUBLISHED))["k"], 1.9e4, rtol=1e-12)


def test_effective_tokens_are_those_seen_and_those_transferred() -> None:
    tokens = np.array([3e6, 3e8])
    transferred = TRANSFER.predict(PUBLISHED, {"tokens": tokens, "params": np.full(2, 4e7)})
    np.testing.assert_allclose(effective_tokens(PUBLISHED, tokens, 4e7), tokens + transferred)
    assert effective_tokens([PUBLISHED, PUBLISHED], tokens, 4e7).shape == (2, 2)


def test_another_unit_of_data_changes_k_alone() -> None:
    unit = 3.5  # characters a token
    characters, params = np.array([3e6, 3e8]), np.full(2, 4e7)
    in_tokens = [PUBLISHED[0] + (PUBLISHED[1] - 1) * np.log(unit), *PUBLISHED[1:]]
    by_tokens = TRANSFER.predict(in_tokens, {"tokens": characters / unit, "params": params})
    by_characters = TRANSFER.predict(PUBLISHED, {"tokens": characters, "params": params})
    np.testing.assert_allclose(by_tokens * unit, by_characters, rtol=1e-12)
