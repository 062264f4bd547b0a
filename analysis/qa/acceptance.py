"""Acceptance file of one QA test: method, reference, limits and parameters, all fixed before the test; a TOML file.

Limits are the maker's or the site's own. Where a standard has no limit the file says so, and the figure is reported
without a verdict.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.files import Id, read, refusal, validated, within


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Method(_Data):
    """Which document the test follows, and how far it was checked."""

    document: str = Field(min_length=1)
    """``ISO 9283``, or ``own`` for a test of our own."""
    edition: str = ""
    clause: str = ""
    verified: bool = False
    """Whether edition and clause were compared with the document itself."""
    departures: tuple[str, ...] = ()
    """Everything that is done otherwise; printed as "after ..., except ..."."""

    @property
    def words(self) -> str:
        """As the report names it; it never says that a test complies."""
        if self.document == "own":
            name = "a test of our own"
        else:
            name = " ".join(filter(None, ("after", self.document, f"({self.edition})" if self.edition else "")))
            name += f", {self.clause}" if self.clause else ""
        unchecked = "" if self.verified or self.document == "own" else "; edition and clause not verified"
        return name + unchecked + (f"; except: {'; '.join(self.departures)}" if self.departures else "")


class Reference(_Data):
    """Reference with which the device is compared."""

    name: str = Field(min_length=1)
    """The instrument as the report names it."""
    role: str = ""
    """Of the rig; empty: no device of the rig (typed values, a file, the device's own counts)."""
    expanded_uncertainty: float | None = Field(default=None, gt=0.0)
    """k = 2, in ``unit``, of instrument, fixture and temperature together; left out where nobody has stated it, which
    is refused for every limit that the reference is to decide."""
    unit: str = ""
    share_max: float = within(0.01, 1.0, 0.25)
    """Largest share of a limit that the reference's uncertainty may have."""
    certificate: str = ""
    instead: str = ""
    """An instrument that would do, named when this one does not."""


class Limit(_Data):
    """One figure and its limit: a ``[[criteria]]`` table."""

    id: Id
    figure: str = Field(min_length=1)
    """One of the figures that the test gives."""
    comparison: Literal["<=", ">=", "within"] = "<="
    """``within``: the absolute value must not exceed the limit."""
    limit: float | None = None
    """Left out: reported without a verdict ("limit: maker / site")."""
    expected: float | None = None
    """The figure of a healthy device: the reference is held against it beside the limit, where it is smaller."""
    unit: str = ""
    source: str = "site"
    """Whose limit: ``maker`` with the document, ``site``, ``project default``; never a standard's that has none."""
    requirement: str = ""
    risk_control: str = ""
    claim: str = ""

    def meets(self, value: float) -> bool:
        """True when a value meets the limit, which must be there."""
        assert self.limit is not None
        if self.comparison == ">=":
            return value >= self.limit
        return (abs(value) if self.comparison == "within" else value) <= self.limit

    @property
    def words(self) -> str:
        if self.limit is None:
            return "limit: maker / site"
        sign = {"<=": "≤", ">=": "≥", "within": "±"}[self.comparison]
        return f"{sign} {self.limit:g} {self.unit}".rstrip()


class Effort(_Data):
    """Effort of the test, for ``qa list``."""

    bench_hours: float = within(0.0, 1000.0, 0.0)
    hands_on_minutes: float = within(0.0, 1000.0, 0.0)
    liquids: str = ""
    interval_days: int = within(1, 3660, 365)
    """It is due again after so many days."""


class Item(_Data):
    """Something that took part: a ``[[items]]`` table."""

    role: Literal["device under test", "accessory", "reference", "consumable"]
    name: str = Field(min_length=1)
    maker: str = ""
    model: str = ""
    serial: str = ""
    lot: str = ""
    software: str = ""
    finished: str = ""
    """``finished``, or why not (prototype, development sample)."""
    condition: str = ""


class Acceptance(_Data):
    """One acceptance file."""

    id: Id
    test: str
    """The procedure: one of ``phantomrig qa list``."""
    title: str = Field(min_length=1)
    device: str = ""
    """Role of the device under test; empty for a bench as a whole."""
    method: Method
    reference: Reference
    effort: Effort = Effort()
    parameters: dict[str, float | int | str | bool | tuple[float, ...]] = {}
    """Of the procedure: how often, how fast, where."""
    criteria: tuple[Limit, ...] = ()
    items: tuple[Item, ...] = ()
    decision_rule: Literal["simple", "guarded"] = "guarded"
    """``guarded``: a figure passes when it meets the limit by its expanded uncertainty (k = 2), and is MARGINAL when it
    meets the limit without it; ``simple``: the figure alone decides."""

    @model_validator(mode="after")
    def _each_once(self) -> Acceptance:
        ids = [limit.id for limit in self.criteria]
        faults = [(f"criteria.{k}.id", f"{one} stands twice") for k, one in enumerate(ids) if one in ids[:k]]
        faults += [
            (f"criteria.{k}.limit", "must be above 0: 'within' compares the absolute value")
            for k, one in enumerate(self.criteria)
            if one.comparison == "within" and one.limit is not None and one.limit <= 0.0
        ]
        if faults:
            raise refusal(*faults)
        return self


def load_acceptance(path: Path) -> Acceptance:
    """Read and check an acceptance file; raises ``ConfigError``."""
    return validated(read(path), Acceptance)
