"""One model, or a seed copied into specialists."""
