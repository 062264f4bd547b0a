"""The figures that people look at first: ``draw_all`` writes them into the run folder, ``draw_one`` gives one."""

from analysis.figures.gallery import draw_all, draw_one, sheets
from analysis.figures.style import Drawn

__all__ = ["Drawn", "draw_all", "draw_one", "sheets"]
