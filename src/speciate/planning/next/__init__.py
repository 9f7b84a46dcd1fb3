"""Which run to buy next, and when to stop buying."""
