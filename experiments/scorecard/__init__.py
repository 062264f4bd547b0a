"""Findings of guidance on simulated frames, against the world's truth: ``phantomrig score`` and ``bench``."""
