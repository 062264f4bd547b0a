"""A study that is killed at random moments and resumed must come out as if nobody had killed it.

Run as ``python -m tests.fakes.kill_and_resume COUNT [SEED] [IMAGES]``: a study of two cartridges with two landmark
trials each is run once, and at ``COUNT`` random entries of its journals its folder is copied as a kill at that moment
would leave it (half of the copies in the middle of writing the entry). Every copy is resumed. ``trials.csv`` must equal
that of the run that nobody killed but for rows ``interrupted``, and the folder must hold. With ``IMAGES`` = 1 trials in
plane take part in place of the landmark ones. The techniques are the shipped ones without the waiting times of their
checklists, in files of their own.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from experiments.protocol.plan import PlannedCartridge
from experiments.protocol.study import Study, load_study, narrowed
from experiments.protocol.technique import technique_file
from experiments.request import copies_of
from experiments.resumption import resumption
from experiments.run import conclude, conduct
from rig.calibration.certificates.in_force import InForce
from rig.config import load_config
from rig.record import verify_run
from rig.record.appendfile import AppendFile

LANDMARK = ("L4_LM", "S1_LM")
IN_PLANE = ("L4_IP_T", "L5_IP_T")


WAITING = re.compile(r"^(wait_s|contact_s) = [\d.]+$", re.MULTILINE)


class Nobody:
    """Watches without a word."""

    def planned(self, cartridges: Sequence[PlannedCartridge]) -> None: ...

    def trial(self, trial_id: str, what: str) -> None: ...


def small_study(folder: Path, names: tuple[str, ...], repeats: int = 2, seed: int = 7) -> Study:
    """A cartridge of its own per repeat; the techniques are written to ``folder`` with short waits."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        text = technique_file(name).read_text()
        (folder / f"{name}.toml").write_text(WAITING.sub(r"\1 = 1.0", text))
    techniques = tuple(str(folder / f"{name}.toml") for name in names)
    study = narrowed(load_study("lumbar"), trials=repeats, seed=seed, techniques=techniques)
    design = study.design.model_copy(update={"cartridge_trials_max": len(techniques)})
    return study.model_copy(update={"design": design, "criteria": ()})


def run_once(study: Study, out: Path) -> Path:
    """A run that nobody kills; returns its folder."""
    config = load_config("simulated")
    return conduct(study, config, out, files=copies_of(study, config), workers=1, watcher=Nobody()).run


def resume_once(run: Path) -> Path:
    """Finish a run folder."""
    return conclude(resumption(run, None), workers=1, watcher=Nobody(), calibrated=InForce()).run


@contextmanager
def copied_at(wanted: Callable[[int, bytes], bool], out: Path, torn: random.Random) -> Iterator[list[Path]]:
    """Copy the run folder at wanted entries (number over all journals, line), as a kill there would leave it."""
    copies: list[Path] = []
    append, count = AppendFile.append, 0

    def spy(self: AppendFile, block: bytes) -> None:
        nonlocal count
        if self.path.name == "journal.jsonl":
            if wanted(count, block):
                run = next(parent for parent in self.path.parents if (parent / "study.toml").exists())
                copy = out / f"at-{count}" / run.name
                shutil.copytree(run, copy)
                if torn.random() < 0.5:
                    with (copy / self.path.relative_to(run)).open("ab") as file:
                        file.write(block[: torn.randrange(1, len(block))])
                copies.append(copy)
            count += 1
        append(self, block)

    AppendFile.append = spy  # type: ignore[method-assign]
    try:
        yield copies
    finally:
        AppendFile.append = append  # type: ignore[method-assign]


def entries_n(run: Path) -> int:
    """Entries of all journals of a run."""
    return sum(path.read_bytes().count(b"\n") for path in run.rglob("journal.jsonl"))


def counted_rows(run: Path) -> list[str]:
    """Lines of the trial table without those of interrupted attempts."""
    return [line for line in (run / "trials.csv").read_text().splitlines() if ",interrupted," not in line]


def main(count: int, seed: int, techniques: tuple[str, ...]) -> int:
    """Print what came of every point; returns how many failed."""
    rng = random.Random(seed)
    out = Path(tempfile.mkdtemp(prefix="kill-and-resume-"))
    study = small_study(out / "techniques", techniques, seed=seed)
    whole = run_once(study, out / "whole")
    # An entry before the plan leaves nothing to resume; the last ones are those of the seal.
    points = rng.sample(range(3, entries_n(whole) - 1), count)
    with copied_at(lambda n, _: n in points, out, rng) as copies:
        again = run_once(study, out / "again")
    assert counted_rows(again) == counted_rows(whole), "the run itself does not come out the same twice"
    failed = 0
    for copy in copies:
        try:
            resumed = resume_once(copy)
            same, faults = counted_rows(resumed) == counted_rows(whole), verify_run(resumed)
        except Exception as error:
            same, faults = False, (f"{type(error).__name__}: {error}",)
        interrupted = len((copy / "trials.csv").read_text().splitlines()) - len(counted_rows(copy)) if same else -1
        print(f"{copy.parent.name}: same {same}, rows interrupted {interrupted}, faults {faults}", flush=True)
        failed += not same or bool(faults)
        shutil.rmtree(copy.parent)
    print(f"{count - failed} of {count} came out as the run that nobody killed")
    shutil.rmtree(out)
    return failed


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    numbers = [int(word) for word in sys.argv[1:]]
    images = len(numbers) > 2 and numbers[2] > 0
    sys.exit(main(numbers[0], numbers[1] if len(numbers) > 1 else 7, IN_PLANE if images else LANDMARK))
