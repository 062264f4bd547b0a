"""The figures that people look at first; ``draw_all`` writes them into the run folder."""

from analysis.figures.gallery import draw_all
from analysis.figures.style import Drawn

__all__ = ["Drawn", "draw_all"]
