"""Class of a force transducer in the manner of ISO 376; its limits were recalled, not compared with the text."""

from __future__ import annotations

from collections.abc import Mapping

from hal.errors import ConfigError

VERIFIED = False
CLASSES = ("00", "0.5", "1", "2")
LIMITS_PERCENT: dict[str, tuple[float, float, float, float]] = {
    "reproducibility": (0.05, 0.10, 0.20, 0.40),
    "repeatability": (0.025, 0.05, 0.10, 0.20),
    "interpolation": (0.025, 0.05, 0.10, 0.20),
    "zero": (0.012, 0.025, 0.05, 0.10),
    "reversibility": (0.07, 0.15, 0.30, 0.50),
    "creep": (0.025, 0.05, 0.10, 0.20),
}
"""Largest absolute figure of each class, in the order of ``CLASSES``."""


def best_class(figures_percent: Mapping[str, float]) -> str | None:
    """The best class whose limits all given figures meet; None when even the last is missed.

    It is a class of these figures only: what was not measured limits nothing. Raises ``ConfigError`` for an unknown
    figure or none.
    """
    unknown = sorted(set(figures_percent) - set(LIMITS_PERCENT))
    if unknown or not figures_percent:
        raise ConfigError(f"figures of a force transducer are {', '.join(LIMITS_PERCENT)}; got {unknown or 'none'}")
    for k, name in enumerate(CLASSES):
        if all(abs(value) <= LIMITS_PERCENT[figure][k] for figure, value in figures_percent.items()):
            return name
    return None
