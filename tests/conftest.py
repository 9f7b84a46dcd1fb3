"""Settings of every test: property tests draw the same examples each time, and a busy machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("speciate", deadline=None, derandomize=True)
settings.load_profile("speciate")
