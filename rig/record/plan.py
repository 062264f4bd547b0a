"""Plan of a study and its equipment: planned trials and devices, as the record keeps them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from hal.errors import RecordError
from hal.types import Identity


@dataclass(frozen=True)
class RecordedPlan:
    """One trial as randomised, before anything moved."""

    trial_id: str
    cartridge_id: str
    technique: str
    approach: str
    level: str
    side: str
    plane: str
    guidance: str = ""
    block: int = 0
    order_in_cartridge: int = 0
    bench: str = ""


@dataclass(frozen=True)
class Calibration:
    """Identity of a calibration; empty text where there is none."""

    identity: str = ""
    date: str = ""
    due: str = ""
    uncertainty: str = ""
    """In words, with unit and coverage, e.g. ``U = 0.4 kPa (k = 2)``."""


@dataclass(frozen=True)
class DeviceRecord:
    """One device of the rig, as identified when it was opened."""

    identity: Identity
    calibration: Calibration = Calibration()

    def as_json(self) -> dict[str, object]:
        return {**asdict(self.identity), "calibration": asdict(self.calibration)}

    @staticmethod
    def from_json(data: dict[str, object]) -> DeviceRecord:
        """Read one back; raises ``RecordError`` when fields are absent or unknown."""
        try:
            rest = dict(data)
            calibration = rest.pop("calibration")
            if not isinstance(calibration, dict):
                raise TypeError("calibration is not a table")
            return DeviceRecord(Identity(**rest), Calibration(**calibration))  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise RecordError(f"devices.json: {error}") from error
