"""Reference pages of columns, drivers, techniques, materials and files."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from experiments.protocol.study import Study, shipped_studies
from experiments.protocol.technique import Range, Technique, load_technique, shipped
from experiments.reference.fields import Key, keys_of
from experiments.reference.page import page, table
from hal import registry
from hal.driver_table import UNVERIFIED, by_wire
from hal.phantom.materials import materials
from hal.phantom.spec import PhantomSpec, phantom_names
from rig.config import RigConfig
from rig.formats.log_columns import ColumnMap, LogColumn
from rig.record.columns import COLUMNS


def columns() -> str:
    """``trials.csv``, column by column."""
    rows = [(f"`{c.name}`", c.unit, c.kind, c.text) for c in COLUMNS]
    return page(
        "Columns of trials.csv",
        "One row per trial, in this order; `trials.parquet` holds the same, `trials.dictionary.json` this table. "
        "A value that was not measured is an empty cell, never a zero. Errors are measured to the aim point (1.5 mm "
        "outside the nerve on the side of approach) by the reference instrument unless the text says otherwise.",
        table(("column", "unit", "kind", "what it is"), rows),
    )


def drivers() -> str:
    """Every driver with the settings that a rig file may give it."""
    entries = sorted(registry.BUILT_IN, key=lambda e: (e.role, e.name))
    rows = [(f"[`{e.name}`](#{e.name})", e.role, _status(e), e.text) for e in entries]
    parts = [table(("driver", "role", "status", "what it is"), rows)]
    for entry in entries:
        source = entry.module.replace(".", "/") + ".py"
        first = (import_module(entry.module).__doc__ or "").strip().split("\n\n")[0]
        parts.append(f"## {entry.name}\n\n{entry.text}. Role `{entry.role}`, {_status(entry)}. Source: `{source}`.")
        parts.append(" ".join(first.split()))
        parts.append(_keys(keys_of(entry.settings_model())))
    return page(
        "Drivers",
        f"Drivers that `driver = ...` may name in a rig file. **{UNVERIFIED.capitalize()}** means: written from the "
        "device's manual and tested against transcripts from manuals and independent clients, but never compared with "
        "a transcript of the real device. Drivers *by hand* have no wire: a person types. `phantomrig devices` prints "
        "the same list with installed plug-ins.",
        *parts,
    )


def techniques() -> str:
    """The shipped techniques, their numbers beside each other, and what is common to all."""
    loaded = [load_technique(name) for name in shipped()]
    overview = [
        (f"`{t.id}`", t.name, t.plane.replace("_", "-"), t.needle, f"{t.acceptance.radius_mm:g}") for t in loaded
    ]
    paths = [
        (f"`{t.id}`", _range(t.path.lateral_deg), _range(t.path.tilt_deg), f"{t.advance.superficial_mm:g}")
        for t in loaded
        if t.path is not None
    ]
    marks = [
        (
            f"`{t.id}`",
            t.landmark.palpate,
            ", ".join(f"{v:g}" for v in t.landmark.entry_offset_mm),
            f"{t.landmark.lateral_deg:g}",
            f"{t.landmark.depth_mm:g}",
        )
        for t in loaded
        if t.landmark is not None
    ]
    absent = sorted({text for t in loaded for text in t.not_applicable})
    checks = {(i.id, i.when, i.text, f"{i.contact_s:g}", f"{i.wait_s:g}") for t in loaded for i in t.checklist}
    order = {"before": 0, "after": 1}
    return page(
        "Techniques",
        "The techniques that come with the project. `phantomrig techniques NAME` shows every number of one; the keys "
        "of the file are in [files](files.md#technique).",
        table(("id", "name", "plane", "needle", "radius (mm)"), overview),
        "## Needle paths\n\nAngles to the skin's normal: lateral, and tilt along the spine. Above the superficial "
        "depth no probe position can show the tip; that travel is counted as unconfirmed.",
        table(("id", "lateral (deg)", "tilt (deg)", "superficial (mm)"), paths),
        "## Arms without ultrasound\n\nThe entry is set off from the palpated point: lateral, cranial.",
        table(("id", "palpated", "offset (mm)", "lateral (deg)", "depth (mm)"), marks),
        "## Checklist\n\nItems of all techniques together. Times: contact time of the agent, and waiting time "
        "afterwards.",
        table(
            ("item", "when", "what", "contact (s)", "wait (s)"), sorted(checks, key=lambda row: (order[row[1]], row))
        ),
        "## Not applicable\n\nParts of the clinical technique for which a bench has no device:",
        "\n".join(f"* {text}" for text in absent),
    )


def material_table() -> str:
    """Properties of the phantom's materials."""
    listed = sorted(materials().values(), key=lambda m: m.label)
    acoustic = [
        (
            m.name.replace("_", " "),
            str(m.label),
            f"{m.sound_speed_m_s:g}",
            f"{m.attenuation_db_cm_mhz:g}",
            f"{m.impedance_mrayl:g}",
            f"{m.backscatter_db:g}",
        )
        for m in listed
    ]
    mechanical = [
        (
            m.name.replace("_", " "),
            f"{m.youngs_kpa:g}",
            f"{m.puncture_n:g}",
            f"{m.puncture_mm:g}",
            f"{m.cutting_n:g}",
            f"{m.friction_n_mm:g}",
            f"{m.opening_kpa:g}",
            f"{m.plateau_kpa:g}",
            m.context,
        )
        for m in listed
    ]
    return page(
        "Materials",
        "Materials of the simulated gel. Figures and their sources are in `hal/phantom/data/materials.toml`: "
        "published, recalled, computed or assumed; an assumed value is a parameter of the simulation, not a fact.",
        "## Acoustic",
        table(
            (
                "material",
                "label",
                "speed of sound (m/s)",
                "attenuation (dB/cm/MHz)",
                "impedance (MRayl)",
                "speckle (dB)",
            ),
            acoustic,
        ),
        "Speckle is relative to muscle gel; -60 dB or lower shows no echo.",
        "## Mechanical and hydraulic\n\nForces of a 22G needle. Puncture: peak force, and the indentation before it.",
        table(
            (
                "material",
                "stiffness (kPa)",
                "puncture (N)",
                "(mm)",
                "cutting (N)",
                "friction (N/mm)",
                "opening (kPa)",
                "plateau (kPa)",
                "pressure signature",
            ),
            mechanical,
        ),
    )


def files() -> str:
    """Keys of the five kinds of files that a user writes."""
    return page(
        "Files",
        "Keys of the files that a user writes, all TOML. A key that is not listed is refused by name. Units are in the "
        "names. A default of *not set* means that another setting decides, as the text explains.",
        f"## Study\n\nShipped: {_names(shipped_studies())}.",
        _keys(keys_of(Study)),
        f"## Technique\n\nShipped: {_names(shipped())}. `Range`: `{{ preferred = .., lo = .., hi = .. }}`.",
        _keys(key for key in keys_of(Technique) if not key.path.endswith(tuple(f".{n}" for n in Range.model_fields))),
        f"## Phantom\n\nShipped: {_names(phantom_names())}.",
        _keys(keys_of(PhantomSpec)),
        "## Rig\n\nAn annotated example for a real bench is `rig/data/bench_example.toml`. Settings under "
        "`[devices.ROLE]` are those of the [driver](drivers.md); `[sim]` is read by simulated rigs only.",
        _keys(keys_of(RigConfig)),
        "## Column map\n\nOf a log by others: [which column is which quantity](interchange.md).",
        _keys(keys_of(ColumnMap)),
        "Each `[columns.NAME]`:",
        _keys(keys_of(LogColumn)),
    )


def _keys(keys: Iterable[Key]) -> str:
    rows = [(f"`{k.path}`", k.kind, _default(k), k.text) for k in keys]
    return table(("key", "kind", "default", "meaning"), rows) if rows else "No settings."


def _default(key: Key) -> str:
    if key.path.startswith("["):
        return ""
    return f"`{key.default}`" if key.default else "**needed**"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _status(entry: registry.DriverEntry) -> str:
    return "by hand" if not by_wire(entry) else "verified" if entry.verified else UNVERIFIED


def _range(value: Range) -> str:
    return f"{value.preferred:g} ({value.lo:g} to {value.hi:g})"
