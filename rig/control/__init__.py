"""Lanes, the scan with its guards, holds and stop, and who commands through it."""
