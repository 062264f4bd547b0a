"""The report as PDF, typeset by typst from the same view; equal views give equal bytes."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import typst

from analysis.report.view import Block, Picture, View
from hal.errors import RecordError


def _block(block: Block) -> dict[str, object]:
    kind = type(block).__name__.lower()
    if isinstance(block, Picture):
        figure = block.figure
        return {
            "kind": kind,
            "file": figure.path.name,
            "title": figure.title,
            "caption": figure.caption,
            "width": block.width,
        }
    return {"style" if name == "kind" else name: value for name, value in asdict(block).items()} | {"kind": kind}


def view_json(view: View) -> bytes:
    """The view as the typst template reads it."""
    data = asdict(view)
    data["criteria"] = _block(view.criteria)
    data["cover"] = [_block(block) for block in view.cover]
    data["sections"] = [
        {"title": s.title, "new_page": s.new_page, "blocks": [_block(block) for block in s.blocks]}
        for s in view.sections
    ]
    return json.dumps(data, ensure_ascii=False, sort_keys=True).encode()


def render_pdf(view: View) -> bytes:
    """Typeset the report. Raises ``RecordError`` when typst refuses (a fault of this program), with its message."""
    return _compile(view, "pdf")[0]


def render_pages(view: View, ppi: float = 60.0) -> list[bytes]:
    """The same pages as PNG pictures, for previews."""
    return _compile(view, "png", ppi)


def _compile(view: View, kind: Literal["pdf", "png"], ppi: float = 144.0) -> list[bytes]:
    blocks = [*view.cover, *(block for section in view.sections for block in section.blocks)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(Path(__file__).with_name("report.typ"), folder)
        (folder / "view.json").write_bytes(view_json(view))
        for block in blocks:
            if isinstance(block, Picture):
                shutil.copy(block.figure.path, folder)
        source, root = str(folder / "report.typ"), str(folder)
        try:
            made: object = typst.compile(source, root=root, ignore_system_fonts=True, format=kind, ppi=ppi)
        except RuntimeError as error:
            raise RecordError(f"the report could not be set: {error}") from error
    # One page or a PDF comes as bytes, several pictures as a list (the package declares bytes only).
    pages = made if isinstance(made, list) else [made]
    return [page for page in pages if isinstance(page, bytes)]
