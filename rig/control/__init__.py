"""Lanes, the scan with its guards, holds and stop, and the commands that go through it."""
