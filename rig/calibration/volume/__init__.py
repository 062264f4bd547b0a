"""Volumes from swept images."""
