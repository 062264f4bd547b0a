"""The report of a run: one view, rendered as HTML and as PDF."""

from analysis.report.compose import compose
from analysis.report.html import render_html
from analysis.report.pdf import render_pages, render_pdf
from analysis.report.view import View

__all__ = ["View", "compose", "render_html", "render_pages", "render_pdf"]
