"""How tools moved: Perk Tutor's metrics, read from recordings."""
