"""Motion of tools: Perk Tutor's metrics, computed from recordings."""
