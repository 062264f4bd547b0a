"""Volumes from swept pictures."""
