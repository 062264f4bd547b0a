"""Where the tip of a tool is: pivot, spin, dwell, stylus, needle."""
