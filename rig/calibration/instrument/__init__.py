"""The reference instrument, qualified against known tips."""
