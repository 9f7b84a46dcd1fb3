"""Poor text, other languages, repeated documents and contamination are left out."""
