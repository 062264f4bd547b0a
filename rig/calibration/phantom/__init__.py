"""Where the phantom lies: by fiducials, by surface, by its bone."""
