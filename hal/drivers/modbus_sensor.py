"""Common part of sensors on Modbus: one unit behind one line, recognised by a plausible reading, moving nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from hal.clock import Clock, Deadline
from hal.errors import BadReply, DeviceError, LinkError, NoReply, RigError
from hal.links.modbus import PATIENCE_S, ModbusLink, open_modbus
from hal.types import Identity, SafeReport


class ModbusSettings(BaseModel):
    """Connection of a unit."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    url: str
    baudrate: int = Field(default=115200, ge=300, le=4_000_000)
    unit: int = Field(default=1, ge=1, le=247)
    timeout_s: float = Field(default=PATIENCE_S, gt=0, le=5)


S = TypeVar("S", bound=ModbusSettings)


class ModbusSensor(ABC, Generic[S]):
    """Opening, closing and the safe state; a driver adds ``recognise`` and ``read``."""

    role = ""
    what: ClassVar[str]
    """The device in messages: ``pressure sensor``."""

    def __init__(self, settings: S, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._link: ModbusLink | None = None

    @property
    def quiet_s(self) -> float | None:
        """Silence between requests; None = the silence that Modbus requires."""
        return None

    @property
    @abstractmethod
    def like(self) -> str:
        """Expected device, for a message: ``a KELLER X-line transmitter``."""

    @abstractmethod
    def recognise(self, link: ModbusLink) -> Identity:
        """Ask until it is certain that the right kind of device answers; ``self._link`` is open."""

    @abstractmethod
    def read(self) -> Any:
        """One reading with its time."""

    def open(self) -> Identity:
        """Connect and recognise the device; raises ``LinkError`` when there is none, or a different one."""
        settings = self._settings
        link = open_modbus(
            settings.url, settings.unit, settings.baudrate, self._clock, timeout_s=settings.timeout_s,
            quiet_s=self.quiet_s,
        )  # fmt: skip
        self._link = link
        try:
            return self.recognise(link)
        except (NoReply, BadReply, DeviceError) as error:
            self.close()
            raise LinkError(
                f"the device on {settings.url} does not answer like {self.like}: {error}",
                port=settings.url,
                command="identify",
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Check that the sensor still answers: it moves nothing."""
        try:
            reading = self.read()
        except RigError as error:
            return SafeReport(self.role, False, str(error))
        return SafeReport(self.role, not deadline.expired, f"passive; {self.shown(reading)}")

    def shown(self, reading: Any) -> str:
        """A reading in words."""
        return "answers"

    def notices(self) -> dict[str, int]:
        """Answers that were not accepted because they came late, twice or from elsewhere."""
        late_n = 0 if self._link is None else self._link.late_n
        return {"late, doubled or foreign answers on its line": late_n} if late_n else {}

    def _opened(self) -> ModbusLink:
        if self._link is None:
            raise LinkError(f"{self.what} on {self._settings.url} is not open", port=self._settings.url)
        return self._link
