"""One choice across kinds and sizes: continue on general text, on filtered text, on a mixture, or split."""
