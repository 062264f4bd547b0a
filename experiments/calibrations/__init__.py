"""Calibrations, each one call that returns a ``Result`` (``rig.calibration.result``)::

from experiments.calibrations import measure_needle_tip_of

result = measure_needle_tip_of("bench.toml", "needle-tip-1")
print(result, result.values["tip_offset_z_mm"].value)

What opens a rig and moves ends in ``_of`` and keeps a record in a folder (``on_rig/``); what reads files ends in
``_from`` (``from_files/``). The procedures that move things are the modules beside.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.calibrations.from_files.instrument import instrument_from
    from experiments.calibrations.from_files.lag import lag_from
    from experiments.calibrations.from_files.phantom import fiducials_from, surface_from
    from experiments.calibrations.from_files.probe import probe_from
    from experiments.calibrations.from_files.sound_speed import sound_speed_from
    from experiments.calibrations.from_files.tools import landmarks_from, pivot_from, spin_from
    from experiments.calibrations.from_files.volume import volume_from
    from experiments.calibrations.on_rig.latency import measure_latency_of
    from experiments.calibrations.on_rig.needle_tip import measure_needle_tip_of
    from experiments.calibrations.on_rig.phantom import register_bone_of, register_fiducials_of
    from experiments.calibrations.on_rig.recording import record_tool_of

__all__ = [
    "fiducials_from",
    "instrument_from",
    "lag_from",
    "landmarks_from",
    "measure_latency_of",
    "measure_needle_tip_of",
    "pivot_from",
    "probe_from",
    "record_tool_of",
    "register_bone_of",
    "register_fiducials_of",
    "sound_speed_from",
    "spin_from",
    "surface_from",
    "volume_from",
]
_STANDS_IN = {
    "fiducials_from": "from_files.phantom", "instrument_from": "from_files.instrument", "lag_from": "from_files.lag",
    "landmarks_from": "from_files.tools", "measure_latency_of": "on_rig.latency",
    "measure_needle_tip_of": "on_rig.needle_tip", "pivot_from": "from_files.tools", "probe_from": "from_files.probe",
    "record_tool_of": "on_rig.recording", "register_bone_of": "on_rig.phantom",
    "register_fiducials_of": "on_rig.phantom", "sound_speed_from": "from_files.sound_speed",
    "spin_from": "from_files.tools", "surface_from": "from_files.phantom", "volume_from": "from_files.volume",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """A public name is imported when it is used first."""
    if name not in _STANDS_IN:
        raise AttributeError(f"experiments.calibrations has no {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"experiments.calibrations.{_STANDS_IN[name]}"), name)
