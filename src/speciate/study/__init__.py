"""The study: its configuration and its stages, in order."""
