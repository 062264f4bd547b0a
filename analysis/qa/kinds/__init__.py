"""Kinds of tests: what each needs as tables, the figures that it gives, and how it is drawn."""
