"""Motion metrics of a trial, a run folder, a recorded sequence or a Perk Tutor log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.motion.metrics import DIFFERENCES, Motion, Scene, corrected, perk_tutor
from analysis.motion.perk_player import lost, played
from analysis.motion.solid import Solid
from hal.errors import ConfigError, RecordError
from hal.poses import why_no_pose
from hal.types import Matrix
from rig.formats.formats import ENDINGS, read_recording
from rig.formats.motions import log_tracks, require_tracks, sequence_tracks, trial_tracks
from rig.formats.perk_tutor import PoseTrack, read_perk_log
from rig.formats.points import read_fiducials
from rig.formats.stl import read_stl
from rig.formats.tfm import read_tfm
from rig.record.reading import RecordedRun, RecordedTrial


def measure(
    path: Path,
    *,
    tissue: Path | None = None,
    targets: Path | None = None,
    tip: Path | None = None,
    tip_tool: str = "",
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0),
    needle_mm: float = 300.0,
) -> dict[str, Any]:
    """Metrics of every moving tool in ``path``, both ways: ``perk_tutor`` (its definitions) and ``corrected``.

    ``path``: a run folder, one trial's folder, ``.igs.mha|mhd|nrrd`` or a Perk Tutor ``.xml`` log. ``tissue`` is a
    closed ``.stl`` and ``targets`` a ``.fcsv`` or ``.mrk.json``, in world; ``tip`` a ``.tfm`` with the needle's
    frame in the tracked tool's, which ``tip_tool`` names (as ``NeedleToTracker``; needed when several tools move: the
    tip belongs to one of them). ``never_moved`` of a result names tools whose poses are all the same to the last digit
    (a frozen tracker, or no tool); ``invalid_poses_n`` counts the poses of a sequence that are marked INVALID
    and take no part. Raises ``ConfigError`` for anything that cannot be used.
    """
    try:
        scene = Scene(
            None if tissue is None else Solid(read_stl(tissue)),
            None if targets is None else np.array([point.position for point in read_fiducials(targets)]),
            axis,
            needle_mm,
        )
        child = None if tip is None else read_tfm(tip)
        if child is not None and (why := why_no_pose(child)):
            raise ConfigError(f"{tip}: the frame of a needle {why}")
        at = None if child is None else _Tip(child, tip_tool)
        if path.is_dir():
            return _folder(path, scene, at)
        if path.suffix.lower() == ".xml":
            return _log(path, scene, at)
        if path.suffix.lower() in ENDINGS:
            sequence = read_recording(path)  # with pixels: a file that was cut off is told
            lost = Counter(name for frame in sequence.frames for name in frame.invalid if name in frame.transforms)
            tools = _tools(_motions(sequence_tracks(sequence), str(path), at), scene)
            about = {"source": path.name, "kind": "sequence", "simulated": sequence.simulated}
            return {**about, "invalid_poses_n": dict(lost), **tools}
    except RecordError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder")
    raise ConfigError(f"{path}: not a run folder, a sequence ({', '.join(ENDINGS)}) or a Perk Tutor log (.xml)")


@dataclass(frozen=True)
class _Tip:
    """The needle's frame in that of one tracked tool."""

    frame: Matrix
    tool: str

    def of(self, tracks: Mapping[str, PoseTrack]) -> str:
        """Name of the tool that carries it; raises ``ConfigError`` when that is not said or not there."""
        names = [name for name in tracks if not name.startswith("Image")]
        if self.tool in names:
            return self.tool
        if not self.tool and len(names) == 1:
            return names[0]
        if self.tool:
            raise ConfigError(f"there is no tool {self.tool} for the tip; there are {', '.join(names)}")
        raise ConfigError(
            f"the tip belongs to one of {len(names)} tools ({', '.join(names)}): say to which (--tip-tool)"
        )


def _folder(path: Path, scene: Scene, tip: _Tip | None) -> dict[str, Any]:
    if (path / "meta.json").is_file():
        trial = RecordedTrial(path, path.name)
        return {"source": path.name, "kind": "trial", **_trial(trial, scene, tip)}
    run = RecordedRun.open(path)
    if tip is not None and not tip.tool:
        raise ConfigError("a run records several tools: say which one has the tip (--tip-tool NeedleToCarrier)")
    trials: dict[str, Any] = {}
    for folder in sorted((path / "trials").glob("*/meta.json")):
        trial_id = folder.parent.name
        try:
            trials[trial_id] = _trial(run.trial(trial_id), scene, tip)
        except (ConfigError, RecordError) as error:
            trials[trial_id] = {"refused": str(error)}
    if not trials:
        raise ConfigError(f"{path}: the run folder holds no trial")
    return {"source": path.name, "kind": "run", "simulated": run.simulated, "trials": trials}


def _trial(trial: RecordedTrial, scene: Scene, tip: _Tip | None) -> dict[str, Any]:
    tools = _tools(_motions(trial_tracks(trial), f"trial {trial.trial_id}", tip), scene)
    return {"simulated": bool(trial.meta.get("simulated", True)), **tools}


def _log(path: Path, scene: Scene, tip: _Tip | None) -> dict[str, Any]:
    log = read_perk_log(path)
    tipped = None if tip is None else tip.of(log.tracks)
    raw = {name: Motion(name, track.time_ns, _tips(name, track, tip, tipped)) for name, track in log.tracks.items()}
    every = _motions(log_tracks(log), str(path), tip)
    shown, missing = played(raw), lost(raw)
    tools = {
        name: {
            "perk_tutor": _plain(perk_tutor(shown[name], scene)),
            "corrected": _plain(corrected(motion, scene)),
            "samples_lost_by_perk_tutor_n": missing[name],
        }
        for name, motion in every.items()
    }
    return {
        "source": path.name,
        "kind": "perk_tutor_log",
        "simulated": log.simulated,
        "tools": tools,
        "differences": dict(DIFFERENCES),
    }


def _tools(motions: Mapping[str, Motion], scene: Scene) -> dict[str, Any]:
    tracked = {name: m for name, m in motions.items() if not name.startswith("Image")}  # pixels are no tool
    tools = {
        name: {"perk_tutor": _plain(perk_tutor(motion, scene)), "corrected": _plain(corrected(motion, scene))}
        for name, motion in tracked.items()
    }
    still = [name for name, motion in tracked.items() if not np.ptp(motion.matrices, axis=0).any()]
    return {"tools": tools, "never_moved": still, "differences": dict(DIFFERENCES)}


def _motions(tracks: Mapping[str, PoseTrack], what: str, tip: _Tip | None) -> dict[str, Motion]:
    usable = require_tracks(tracks, what)
    tipped = None if tip is None else tip.of(usable)
    return {name: Motion(name, track.time_ns, _tips(name, track, tip, tipped)) for name, track in usable.items()}


def _tips(name: str, track: PoseTrack, tip: _Tip | None, tipped: str | None) -> NDArray[np.float64]:
    return track.matrices @ tip.frame if tip is not None and name == tipped else track.matrices


def _plain(values: Mapping[str, float | int]) -> dict[str, float | int | None]:
    """JSON has no NaN: what cannot be computed is null."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
