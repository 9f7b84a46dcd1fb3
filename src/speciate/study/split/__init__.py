"""The study that decides whether, and when, to split one model into specialists, and carries it out."""
