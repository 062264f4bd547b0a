"""``phantomrig``: the command line. Heavy imports stay inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from experiments.cli import (
    calibrate_certificates,
    calibrate_chain,
    calibrate_frames,
    calibrate_instrument,
    calibrate_needle,
    calibrate_nwire,
    calibrate_rig,
    calibrate_surface,
    qa,
)
from experiments.cli.numbers import number
from experiments.cli.output import Exit, emit, exit_codes, say
from rig import __version__

app = typer.Typer(
    name="phantomrig",
    help="Bench evidence for ultrasound-guided injections: run studies on a phantom test rig, or on its simulation.",
    epilog="Start with:  phantomrig run lumbar   |   phantomrig doctor   |   phantomrig test",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
phantom_app = typer.Typer(help="Look at phantoms.", no_args_is_help=True)
app.add_typer(phantom_app, name="phantom")
app.add_typer(calibrate_frames.app, name="calibrate")
calibrate_nwire.add_to(calibrate_frames.app)
calibrate_rig.add_to(calibrate_frames.app)
calibrate_needle.add_to(calibrate_frames.app)
calibrate_instrument.add_to(calibrate_frames.app)
calibrate_certificates.add_to(calibrate_frames.app)
calibrate_chain.add_to(calibrate_frames.app)
calibrate_surface.add_to(calibrate_frames.app)
app.add_typer(qa.app, name="qa")

RigFile = Annotated[Path | None, typer.Option("--rig", help="rig.toml of the bench (default: the simulated rig)")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]


def _version(value: bool) -> None:
    if value:
        print(f"phantomrig {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    pass


@app.command(epilog="Examples:  phantomrig run lumbar   |   phantomrig run my_study.toml --rig bench.toml --out out")
def run(
    study: Annotated[
        str, typer.Argument(help="a shipped study (lumbar) or script (compare_angles), or the path of a .toml or .py")
    ],
    rig: RigFile = None,
    out: Annotated[Path | None, typer.Option(help="folder in which the run folder is made (default: runs)")] = None,
    trials: Annotated[int | None, number("repeats per approach (default: as the study says)", 1, 1000)] = None,
    seed: Annotated[int | None, number("seed of randomisation and simulation", 0, 2**32 - 1)] = None,
    workers: Annotated[int | None, number("cartridges that run at the same time (simulated rigs)", 1, 256)] = None,
    technique: Annotated[list[str] | None, typer.Option(help="only this technique (may be repeated)")] = None,
    publish: Annotated[
        int | None, number("show the run live on this OpenIGTLink port, e.g. 18944 (one worker)", 0, 65535)
    ] = None,
    qa_override: Annotated[
        str,
        typer.Option(help="who authorises the study although a required QA test is missing, and why: 'NAME: REASON'"),
    ] = "",
    json: AsJson = False,
) -> None:
    """Run a study, or a script that runs some, and write run folders with their reports."""
    from experiments.cli.run import run_study

    with exit_codes():
        result = run_study(study, rig, out, trials, seed, workers, tuple(technique or ()), publish, qa_override)
        if json:
            emit(result.as_json())
        raise typer.Exit(int(result.exit))


@app.command(epilog="A trial that was interrupted is run again as a new one; the order stays that of the plan.")
def resume(
    run: Annotated[Path, typer.Argument(help="run folder of a study that was killed or ended early")],
    rig: Annotated[Path | None, typer.Option("--rig", help="the bench's rig file with which the run began")] = None,
    workers: Annotated[int | None, number("cartridges that run at the same time (simulated rigs)", 1, 256)] = None,
    json: AsJson = False,
) -> None:
    """Finish an interrupted study in its own run folder and seal it anew."""
    from experiments.cli.run import reported
    from experiments.resume import resume_study

    with exit_codes():
        result = reported(resume_study(run, rig, workers))
        if json:
            emit(result.as_json())
        raise typer.Exit(int(result.exit))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="run folder")], json: AsJson = False) -> None:
    """Analyse a run folder again and rewrite its results and report."""
    from analysis.report.make import make_report

    with exit_codes():
        path = make_report(run, say)
        say(f"report: {path}")
        if json:
            emit({"run": str(run), "report": str(path)})


@app.command(epilog="Exit code 0: intact; 1: something is not as recorded; 2: not a run folder.")
def verify(
    run: Annotated[Path, typer.Argument(help="run folder")],
    recompute: Annotated[bool, typer.Option(help="analyse the record again and compare every number")] = False,
    json: AsJson = False,
) -> None:
    """Check every file of a run folder, and list the known anomalies that it may have."""
    from analysis.verify import verify as verified
    from experiments.cli.verify import NOT_INTACT, show

    with exit_codes():
        found = verified(run, recompute=recompute)
        show(found)
        if json:
            emit(found.as_json())
        raise typer.Exit(0 if found.intact else NOT_INTACT)


@app.command()
def doctor(rig: RigFile = None, json: AsJson = False) -> None:
    """Check this installation and, with --rig, a rig.toml."""
    from experiments.cli.doctor import show
    from experiments.doctor import examine

    with exit_codes():
        findings = examine(rig)
        show(findings)
        bad = any(f.level == "error" for f in findings)
        if json:
            emit({"ok": not bad, "findings": [f.as_json() for f in findings]})
        raise typer.Exit(int(Exit.BAD_INPUT if bad else Exit.DONE))


@app.command()
def sim(
    rig: RigFile = None,
    seed: Annotated[int, number("seed of the simulated bench", 0, 2**32 - 1)] = 1,
    cartridge: Annotated[int, number("number of the simulated cartridge", 1, 100000)] = 1,
    write_rig: Annotated[Path | None, typer.Option(help="write a rig.toml that points at these ports")] = None,
) -> None:
    """Serve every simulated device on ptys and TCP ports of this machine, in real time, until Ctrl-C."""
    from experiments.cli.sim_command import serve_bench

    with exit_codes():
        serve_bench(rig, seed, cartridge, write_rig)


@app.command()
def devices(json: AsJson = False) -> None:
    """List the drivers and whether each was verified on the real device."""
    from experiments.cli.devices import show
    from hal.driver_table import driver_rows

    with exit_codes():
        found = driver_rows()
        show(found)
        if json:
            emit({"devices": found})


@app.command()
def techniques(
    name: Annotated[str | None, typer.Argument(help="show one technique in full")] = None, json: AsJson = False
) -> None:
    """List the techniques, or show one."""
    from experiments.cli.techniques import show

    with exit_codes():
        found = show(name)
        if json:
            emit(found)


@phantom_app.command("show")
def phantom_show(
    phantom: Annotated[str, typer.Argument(help="name of a shipped phantom or path of a phantom TOML")] = "lumbar_ref",
    out: Annotated[Path, typer.Option(help="folder for the pictures")] = Path("phantom"),
    seed: Annotated[int | None, number("show the phantom as built with this seed", 0, 2**32 - 1)] = None,
    json: AsJson = False,
) -> None:
    """Draw the phantom: three cross-sections, a 3-D view and rendered ultrasound views."""
    from hal.sim.phantom_pictures import draw_phantom

    with exit_codes():
        written = draw_phantom(phantom, out, seed)
        for path in written:
            say(str(path))
        if json:
            emit({"pictures": [str(p) for p in written]})


@app.command()
def bench(json: AsJson = False, trial: Annotated[bool, typer.Option(help="also time a whole trial")] = True) -> None:
    """Measure speed and memory on this machine."""
    from experiments.cli.bench import show
    from experiments.scorecard.speed import measure

    with exit_codes():
        figures = measure(trial)
        show(figures)
        if json:
            emit(dict(figures))


@app.command(epilog="Examples:  phantomrig score   |   phantomrig score --part bone --phantoms 4 --json")
def score(
    part: Annotated[
        list[str] | None, typer.Option(help="only this part: bone, level, needle, crossing, fluid (may be repeated)")
    ] = None,
    phantoms: Annotated[int, number("how many phantoms are poured, each with its own seed", 1, 1000)] = 3,
    first_seed: Annotated[int, number("seed of the first phantom (100-112 and 950 are refused)", 0, 2**32 - 1)] = 900,
    phantom: Annotated[str, typer.Option(help="phantom that is poured: a shipped name or a .toml file")] = "lumbar_ref",
    json: AsJson = False,
) -> None:
    """Measure on simulated frames how well guidance finds bone, level and needle."""
    from experiments.cli.score import show
    from experiments.scorecard.score import measure

    with exit_codes():
        result = measure(part or (), phantoms, first_seed, phantom=phantom)
        show(result)
        if json:
            emit(result)


@app.command(epilog="Examples:  phantomrig metrics runs/lumbar-...   |   phantomrig metrics recording.igs.mha --json")
def metrics(
    path: Annotated[Path, typer.Argument(help="run folder, trial folder, sequence file or Perk Tutor log")],
    tissue: Annotated[Path | None, typer.Option(help="closed .stl of the tissue, in world")] = None,
    targets: Annotated[Path | None, typer.Option(help=".fcsv or .mrk.json of targets, in world")] = None,
    tip: Annotated[Path | None, typer.Option(help=".tfm: the needle's frame in the tracked tool's")] = None,
    tip_tool: Annotated[str, typer.Option(help="tool that has the tip, e.g. NeedleToTracker")] = "",
    json: AsJson = False,
) -> None:
    """Compute motion metrics of tools, as Perk Tutor defines them and corrected."""
    from json import dumps

    from experiments.motion_metrics import measure

    with exit_codes():
        found = measure(path, tissue=tissue, targets=targets, tip=tip, tip_tool=tip_tool)
        if found.get("never_moved"):
            say(f"never moved, not by the last digit (frozen?): {', '.join(found['never_moved'])}")
        if json:
            emit(found)
        else:
            print(dumps(found, indent=1))


@app.command(epilog="Examples:  phantomrig convert runs/x/trials/T001 T001_mha  |  phantomrig convert a.dcm b.mha")
def convert(
    source: Annotated[Path, typer.Argument(help="trial folder, sequence, DICOM, video, transform or point file")],
    target: Annotated[Path, typer.Argument(help="file or folder to write; the ending gives the format")],
    json: AsJson = False,
) -> None:
    """Convert between the file formats of the field."""
    from rig.formats.convert import convert as convert_file

    with exit_codes():
        written = convert_file(source, target)
        say(f"written: {written}")
        if json:
            emit({"written": str(written)})


@app.command(epilog="Then connect 3D Slicer (OpenIGTLinkIF, client) to port 18944 of this machine.")
def publish(
    path: Annotated[Path, typer.Argument(help="trial folder or sequence to play")],
    port: Annotated[int, number("TCP port", 0, 65535)] = 18944,
    speed: Annotated[float, number("pace, 1 = as recorded", 0.001, 1000)] = 1.0,
    wait_s: Annotated[float, number("wait this long for a first client", 0, 86400)] = 30.0,
    calibration: Annotated[Path | None, typer.Option(help=".tfm with ImageToProbe")] = None,
    json: AsJson = False,
) -> None:
    """Play a recording over OpenIGTLink, so that 3D Slicer shows it as a live scene."""
    from rig.live.publish import publish as play

    with exit_codes():
        counts = play(path, port=port, speed=speed, wait_s=wait_s, calibration=calibration)
        say(", ".join(f"{key} {value}" for key, value in counts.items()))
        if json:
            emit(counts)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Further arguments go to pytest:  phantomrig test -k pump   |   phantomrig test --mutants 1  breaks 300 "
    "rules, one at a time, and says which of them no test notices",
)
def test(context: typer.Context) -> None:
    """Run the whole test suite (needs the source tree)."""
    from experiments.cli.test import run_tests

    with exit_codes():
        raise typer.Exit(run_tests(context.args))


def main() -> None:
    """Entry point of the command."""
    sys.exit(app(prog_name="phantomrig", standalone_mode=True))
