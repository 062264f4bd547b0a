"""The transform graph of one rig on one day: certificates first, then what the rig file states."""

from __future__ import annotations

import datetime

from hal.errors import ConfigError
from rig.calibration.certificates.folder import CalibrationRegistry
from rig.config import Frames, Placement, RigConfig
from rig.geometry.graph import FrameGraph

STATED = "rig file"
"""Stands for an identity where no certificate does."""


def rig_graph(config: RigConfig, today: datetime.date) -> FrameGraph:
    """Frames of a rig with the uncertainty of every step; look-ups refuse only the expired steps that they need.

    A frame of the rig file counts with its ``uncertainty_mm`` and ``uncertainty_deg``. What moves while the rig
    works (``ProbeToHolder``, ``NeedleToCarrier``) is not in it. Raises ``ConfigError`` for a damaged certificate, or
    one of a simulated rig where this one is real, and the errors of ``FrameGraph.put``.
    """
    folder = config.calibration_folder
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"{config.path}: calibrations.folder: there is no folder {folder}")
    registry = None if folder is None else CalibrationRegistry(folder)
    graph = FrameGraph(today) if registry is None else registry.graph(today)
    if registry is not None and not config.rig.simulated:
        used = {step.identity for step in graph.steps}
        for c in (row.certificate for row in registry.standings(today)):
            if c is not None and c.simulated and c.identity in used:
                raise ConfigError(f"{c.identity} was made with a simulated rig and says nothing about this one")
    certified = {step.name for step in graph.steps}
    for name in Frames.model_fields:
        placement: Placement | None = getattr(config.frames, name)
        if placement is not None and name not in certified:
            graph.add(name, placement.as_matrix(), placement.covariance(), identity=STATED)
    return graph
