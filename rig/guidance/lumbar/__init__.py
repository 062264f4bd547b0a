"""Guidance that knows the anatomy of the lumbar spine."""
