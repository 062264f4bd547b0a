"""Certificates: issued, kept in a folder, in force for a rig."""
