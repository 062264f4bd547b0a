"""One trial: what its steps share, who leads it, its scoring and its record."""
