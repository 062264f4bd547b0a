"""How late a picture or a pose is."""
