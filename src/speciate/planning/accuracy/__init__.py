"""What a benchmark will show at full budget."""
