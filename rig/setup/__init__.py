"""Rig files, and from a rig file to an opened rig."""
