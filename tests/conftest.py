"""Settings of every test: property tests draw the same examples each time, and a busy machine is no failure."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("pages")

settings.register_profile("speciate", deadline=None, derandomize=True)
settings.load_profile("speciate")
