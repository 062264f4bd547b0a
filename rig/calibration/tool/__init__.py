"""Tip of a tool: pivot, spin, dwell, stylus, needle."""
