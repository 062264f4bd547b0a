"""Makes ``overview.png`` from a full run of the shipped study: cover page, target plot, and frames of three insertions.

./phantomrig run lumbar --out runs
python docs/pictures/make_overview.py runs/lumbar-...
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import hal  # noqa: E402, F401, I001 - before NumPy
from PIL import Image  # noqa: E402

from analysis.analyse import analyse  # noqa: E402
from analysis.figures import draw_all  # noqa: E402
from analysis.report import compose  # noqa: E402
from analysis.report.pdf import render_pages  # noqa: E402
from rig.record import RunFolder  # noqa: E402

PPI = 110.0
COVER = (60, 45, 850, 930)
"""Pixels of the first page: from the label of simulated data to the end of the table of approaches."""
TARGETS = (60, 145, 850, 505)
"""Pixels of the second page: the target plot with its caption."""
ROWS = ((0, 388), (786, 1174))
"""Pixels of the figure of frames: its rows of L4 and S1."""
GAP = 12


def main(run: Path) -> None:
    """Analyse the run, set its pages, and put the parts side by side."""
    recorded = RunFolder.open(run)
    results = analyse(recorded)
    with tempfile.TemporaryDirectory() as place:
        view = compose(recorded, results, draw_all(recorded, results, Path(place)))
        cover, second = (Image.open(io.BytesIO(page)).convert("RGB") for page in render_pages(view, PPI)[:2])
        frames = Image.open(Path(place) / "frames_in_plane.png").convert("RGB")
    left, targets = cover.crop(COVER), second.crop(TARGETS)
    parts = [targets]
    for top, bottom in ROWS:
        row = frames.crop((0, top, frames.width, bottom))
        parts.append(row.resize((targets.width, row.height * targets.width // row.width), Image.LANCZOS))
    parts.append(frames.crop((frames.width - targets.width, frames.height - 26, frames.width, frames.height)))
    high = max(left.height, sum(part.height + GAP for part in parts))
    picture = Image.new("RGB", (left.width + 2 * GAP + targets.width, high), "white")
    picture.paste(left, (0, 0))
    top = 0
    for part in parts:
        picture.paste(part, (left.width + 2 * GAP, top))
        top += part.height + GAP
    out = HERE / "overview.png"
    colours = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    colours.save(out, optimize=True)
    print(out, picture.size, out.stat().st_size // 1024, "kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
