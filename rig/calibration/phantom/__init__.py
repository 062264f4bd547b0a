"""Registration of the phantom: by fiducials, by surface, by its bone."""
