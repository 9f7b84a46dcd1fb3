"""Specialists: a folder of experts and their router that is loaded, asked and served as one (needs torch)."""
