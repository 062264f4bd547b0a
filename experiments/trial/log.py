"""Events of one trial, counted while they happen: the basis of the trial row."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hal.types import Vector
from rig.instruments.reference import TipAtRest
from rig.instruments.syringe import InjectionResult
from rig.safety.volume import NOTHING, PumpedVolume


@dataclass
class TrialLog:
    """Mutable counters of one trial; the only mutable value that steps share."""

    t_contact_ns: int | None = None
    """First probe contact (or first palpation, in the landmark arm)."""
    t_plan_ns: int | None = None
    t_skin_ns: int | None = None
    t_final_ns: int | None = None
    t_out_ns: int | None = None
    planned_axis: Vector | None = None
    """Unit vector into the phantom, nominal Phantom frame."""
    image_axes: Vector | None = None
    """Rows: image lateral, elevational and depth axis in the nominal Phantom frame at the final view, shape (3, 3)."""
    confirmed_tip_rig_mm: Vector | None = None
    """Tip as last confirmed in the image, Rig frame."""
    believed_aim_rig_mm: Vector | None = None
    """Aim point as registered when the needle stood at the target, Rig frame."""
    punctures_n: int = 0
    passes_n: int = 0
    redirections_n: int = 0
    holds: list[str] = field(default_factory=list)
    steps_n: int = 0
    confirmed: dict[str, int] = field(default_factory=lambda: {"direct": 0, "motion": 0, "fluid": 0})
    unconfirmed_mm: float = 0.0
    blind_longest_mm: float = 0.0
    """Longest stretch below the superficial zone without confirmation."""
    rescans_n: int = 0
    """Longitudinal sweeps that were made again because the level was not sure."""
    test_injections_n: int = 0
    test: PumpedVolume = NOTHING
    """All test injections."""
    injected: PumpedVolume = NOTHING
    """All injections, the test ones among them."""
    last_injection: InjectionResult | None = None
    pull_backs_n: int = 0
    """Number of times that the needle was pulled back because nothing flowed."""
    p_open_kpa: float | None = None
    p_peak_kpa: float | None = None
    p_plateau_kpa: float | None = None
    force_peak_n: float | None = None
    bone_contacts_n: int = 0
    checklist_short: list[str] = field(default_factory=list)
    """Checklist items whose contact or waiting time was not met."""
    sound_speed_m_s: float | None = None
    probe_path_mm: float = 0.0
    probe_rot_deg: float = 0.0
    probe_moves_n: int = 0
    frames_read_n: int = 0
    frames_unread_n: int = 0
    device_notices_n: int = 0
    """Events that drivers noticed and corrected: a device clock that was set, an answer that came twice."""
    reference_mm: dict[str, Vector] = field(default_factory=dict)
    """Tip by the reference instrument in the Phantom frame, by moment."""
    reference_axis: Vector | None = None
    reference: dict[str, TipAtRest] = field(default_factory=dict)
    """Results of the reference instrument, by moment, also where it measured nothing."""
    measured: dict[str, float] = field(default_factory=dict)
    """Measures of the user's own procedure, by the name of the column."""
    device_fault: str = ""
    """Device and kind of the fault that ended the trial, by the rules of the plan."""
    end_reason: str = ""
    ended: str = "interrupted"
    """finished, stopped, aborted, interrupted or device_fault."""

    @property
    def test_ml(self) -> float:
        """Largest possible volume of the test injections so far."""
        return self.test.max_ml

    def confirm(self, method: str) -> None:
        """Count one confirmed advance step."""
        self.confirmed[method] += 1

    def note_injection(self, result: InjectionResult, *, test: bool) -> None:
        """Count its volume; keep the highest peak and the latest opening and plateau pressures at the tip (kPa)."""
        self.last_injection = result
        if test:
            self.test_injections_n += 1
            self.test += result.pumped
        self.injected += result.pumped
        values = (result.opening_kpa, result.peak_kpa, result.plateau_kpa)
        opening, peak, plateau = (None if v != v else float(v) for v in values)
        if peak is not None:
            self.p_peak_kpa = peak if self.p_peak_kpa is None else max(self.p_peak_kpa, peak)
        self.p_open_kpa = opening if opening is not None else self.p_open_kpa
        self.p_plateau_kpa = plateau if plateau is not None else self.p_plateau_kpa

    def note_force(self, force_n: float) -> None:
        self.force_peak_n = force_n if self.force_peak_n is None else max(self.force_peak_n, force_n)


def unit(vector: Vector) -> Vector:
    """The vector scaled to length one."""
    return np.asarray(vector / np.linalg.norm(vector))
