"""Measurements to fits: a projected, batched multi-start solver, intervals and diagnosis."""
