"""Evaluation: a model and held-out text become measurements. Imported by the worker processes (needs torch)."""
