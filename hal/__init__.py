"""Devices and everything below them; knows nothing of techniques."""
