"""Changes that a script made in the files of a study, as the run folder records them."""

from __future__ import annotations

from hal.errors import ConfigError
from hal.files import read
from rig.record import RecordedRun

FILE = "varied.toml"


def words(run: RecordedRun) -> tuple[tuple[str, str], ...]:
    """Names and texts of the report's lines; none for a study that was run from its own file."""
    path = run.path / FILE
    if not path.exists():
        return ()
    try:
        about = read(path).data
    except ConfigError as error:  # the record's own fault, told elsewhere too
        return (("Varied by a script", f"cannot be read: {error}"),)
    found = [("Script", str(about.get("script") or "typed at a prompt; its source is not kept"))]
    found.append(
        ("Of the script", f"run {about.get('run_n')}; studies planned until then: {about.get('studies_made')}")
    )
    for entry in about.get("file", []):
        changes = "; ".join(map(str, entry.get("changes", []))) or "nothing changed"
        found.append((f"{entry.get('name')}", f"from {entry.get('base')}: {changes}"))
    left_out = about.get("criteria_left_out", [])
    if left_out:
        found.append(("Criteria left out", f"{', '.join(map(str, left_out))}: they choose no trial of this study"))
    return tuple(found)
