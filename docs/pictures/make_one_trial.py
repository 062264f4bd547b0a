"""Makes ``one_trial.gif``: every picture that guidance looked at in one simulated trial, with the tip that it found.

python docs/pictures/make_one_trial.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import hal  # noqa: E402, F401, I001 - before NumPy
import numpy as np  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402

from experiments.protocol.study import load_study, narrowed  # noqa: E402
from experiments.rehearsal import run_trial  # noqa: E402
from rig.record import RunFolder  # noqa: E402
from rig.record.frames import FrameWriter  # noqa: E402

SIZE = 320
STAGES = {
    "longitudinal": "search: longitudinal sweep", "transverse": "level found: transverse", "optimise": "best view",
    "view": "best view", "plan": "path planned", "empty": "before the needle", "acquire": "needle looked for",
    "needle": "needle advanced, tip confirmed", "test before": "test injection", "test after": "test injection",
    "before injection": "injection", "at_injection": "injection",
}  # fmt: skip
MS = {"longitudinal": 60, "transverse": 150, "needle": 180}
"""How long a picture stays; others half a second."""


def main() -> None:
    """Run the trial with every picture kept, and write the film beside this file."""
    keep = FrameWriter.frame

    def all_kept(self: FrameWriter, *args: object, **more: object) -> object:
        return keep(self, *args, **{**more, "keep": True})

    study = narrowed(load_study("lumbar"), trials=1, seed=4, techniques=("L4_IP_T",))
    with tempfile.TemporaryDirectory() as place, patch.object(FrameWriter, "frame", all_kept):
        run = RunFolder.open(run_trial(Path(place), study).run)
        (trial_id,) = run.trial_ids
        reader = run.trial(trial_id).frames()
        images, times = [], []
        for n, head in enumerate(reader.heads):
            images.append(_picture(reader.pixels(n), head))
            times.append(MS.get(head.label, 500))
    out = HERE / "one_trial.gif"
    images[0].save(out, save_all=True, append_images=images[1:], duration=times, loop=0, optimize=True)
    print(out, len(images), "pictures,", out.stat().st_size // 1024, "kB")


def _picture(pixels: np.ndarray, head: object) -> Image.Image:
    image = Image.fromarray(pixels).resize((SIZE, SIZE), Image.BILINEAR).convert("RGB")
    draw = ImageDraw.Draw(image)
    tip = getattr(head, "detections", {}).get("tip_px")
    if tip:
        x, y = (float(v) * SIZE / pixels.shape[1] for v in tip[:2])
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), outline=(255, 160, 0), width=2)
    draw.text((6, 4), "SIMULATED", fill=(230, 60, 80))
    draw.text((6, SIZE - 16), STAGES.get(getattr(head, "label", ""), ""), fill=(220, 220, 220))
    return image.quantize(64)


if __name__ == "__main__":
    main()
