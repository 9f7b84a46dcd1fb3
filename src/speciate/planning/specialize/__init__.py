"""Filtered text or everything."""
