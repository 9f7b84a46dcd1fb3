"""Shares of several domains at once: the best mixture that keeps general ability."""
