"""The report as one self-contained HTML page that also prints well on A4."""

from __future__ import annotations

import base64
from pathlib import Path

import jinja2

from analysis.report import view as content
from analysis.report.view import View

_MIME = {".svg": "image/svg+xml", ".png": "image/png"}


def _data_uri(path: Path) -> str:
    return f"data:{_MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _kind(block: content.Block) -> str:
    return type(block).__name__.lower()


def render_html(view: View) -> bytes:
    """Render; pictures are embedded, nothing is fetched."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    environment.filters["kind"] = _kind
    return environment.get_template("report.html").render(view=view).encode()
