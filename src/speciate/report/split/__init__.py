"""The page of a split study. Read ``page.py`` first."""
