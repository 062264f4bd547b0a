"""Figures of a run: ``draw_all`` writes them into the run folder, ``draw_one`` returns one."""

from analysis.figures.gallery import draw_all, draw_one, sheets
from analysis.figures.style import SavedFigure

__all__ = ["SavedFigure", "draw_all", "draw_one", "sheets"]
