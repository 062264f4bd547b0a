"""``phantomrig verify``: is every file of a run folder what was recorded, and which known anomalies may it have?"""

from __future__ import annotations

from analysis.verify import Verification
from experiments.cli.output import say

NOT_INTACT = 1
"""Exit code of a folder that is not what was recorded."""


def show(found: Verification) -> None:
    """For a person, on stderr."""
    for fault in (*found.faults, *found.derived):
        say(f"NOT AS RECORDED: {fault}")
    for note in found.notes:
        say(f"note: {note}")
    say(found.results)
    for anomaly in found.anomalies:
        say(f"known anomaly {anomaly.id}: {anomaly.words}")
    say(f"journal head: {found.journal_head} (compare it with the printed report)")
    say(f"{found.run}: {found.files_n} files, {'intact' if found.intact else 'NOT INTACT'}")
