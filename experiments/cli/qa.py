"""``phantomrig qa``: tests of single devices, their reports, and what is due."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.numbers import number
from experiments.cli.output import emit, say

app = typer.Typer(no_args_is_help=True, help="Test one device against a reference, by limits fixed beforehand.")
Runs = Annotated[Path, typer.Option("--runs", help="folder of the QA runs")]


@app.command("list", epilog="Example:  phantomrig qa list --runs runs")
def list_tests(runs: Runs = Path("runs"), json: AsJson = False) -> None:
    """List the tests: what each takes, what it needs, when it was last done and what is due."""
    with answers(json):
        from experiments.qa.due import due_list

        entries = due_list(runs)
        if json:
            emit({"tests": [dict(entry.as_json()) for entry in entries]})
            return
        from rich.console import Console
        from rich.table import Table

        table = Table(title="QA tests", caption="an acceptance file of your own is given by its path")
        table.add_column("test", no_wrap=True)
        table.add_column("takes, and against what")
        table.add_column("last")
        table.add_column("due", no_wrap=True)
        for e in entries:
            effort = e.acceptance.effort
            liquids = f"; {effort.liquids}" if effort.liquids else ""
            takes = f"{effort.bench_hours:g} h, {effort.hands_on_minutes:g} min by hand{liquids}"
            table.add_row(e.name, f"{takes}; reference: {e.acceptance.reference.name}", e.last or "never", e.due)
        Console(stderr=True).print(table)


@app.command(
    epilog="Examples:  phantomrig qa run tracker_still   |   phantomrig qa run my_limits.toml --rig bench.toml"
)
def run(
    test: Annotated[str, typer.Argument(help="test by name, or acceptance file of your own (.toml)")],
    rig: Annotated[Path | None, typer.Option("--rig", help="rig.toml (default: the simulated rig)")] = None,
    out: Annotated[Path, typer.Option(help="folder that gets the run folder")] = Path("runs"),
    seed: Annotated[int, number("seed of a simulated bench", 0, 2**32 - 1)] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything, open nothing")] = False,
    json: AsJson = False,
) -> None:
    """Carry out one test and write its report. The exit code is 0 whatever the verdict: a device that fails its test
    is a result."""
    with answers(json):
        from experiments.qa.conduct import check_test, run_test

        rig_file = str(rig) if rig is not None else "simulated"
        if dry_run:
            checked = check_test(test, rig_file)
            say(f"{test}: can be run on {checked}; nothing was opened")
            return
        done = run_test(test, rig_file, out=out, seed=seed)
        _show(done.path, done.results.as_json(), json)


@app.command(
    epilog="Examples:  phantomrig qa evaluate feed_axis --table targets=gauge.csv   |   "
    "phantomrig qa evaluate holder_pose --table poses=tracker.xlsx --columns poses=tracker.toml"
)
def evaluate(
    test: Annotated[str, typer.Argument(help="test by name, or acceptance file of your own (.toml)")],
    table: Annotated[
        list[str], typer.Option(help="NAME=FILE: CSV or spreadsheet of a table of the test (may be repeated)")
    ],
    columns: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE: column map of a table, .toml (may be repeated)")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder that gets the run folder")] = Path("runs"),
    simulated: Annotated[bool, typer.Option("--simulated", help="the readings come from a simulation")] = False,
    json: AsJson = False,
) -> None:
    """Judge readings that somebody else has recorded, and write the report; no rig is opened."""
    with answers(json):
        from experiments.qa.from_files import evaluate_files

        done = evaluate_files(
            test, _pairs("--table", table), _pairs("--columns", columns or []), out=out, simulated=simulated
        )
        _show(done.path, done.results.as_json(), json)


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    """``NAME=FILE`` by name; raises ``ConfigError``."""
    from hal.errors import ConfigError

    found: dict[str, str] = {}
    for text in given:
        name, sign, path = text.partition("=")
        if not (name and sign and path) or name in found:
            raise ConfigError(f"{option} {text!r}: give NAME=FILE, each name once")
        found[name] = path
    return found


@app.command(epilog="Example:  phantomrig qa daily line_loss capture_timing --rig bench.toml")
def daily(
    tests: Annotated[list[str], typer.Argument(help="tests by name, or acceptance files of your own, in this order")],
    rig: Annotated[Path | None, typer.Option("--rig", help="rig.toml (default: the simulated rig)")] = None,
    out: Annotated[Path, typer.Option(help="folder that gets the run folders")] = Path("runs"),
    seed: Annotated[int, number("seed of a simulated bench", 0, 2**32 - 1)] = 1,
    json: AsJson = False,
) -> None:
    """Carry out several tests one after the other and say whether today's studies may run (exit 0: yes, 1: no)."""
    with answers(json):
        from experiments.qa.daily import check_the_day

        day = check_the_day(tests, str(rig) if rig is not None else "simulated", out=out, seed=seed)
        for one in day.results:
            say(f"{one.test}: {one.verdict}" + (f" - {one.reason}" if one.reason else ""))
        say(f"today's studies {'may' if day.may_run else 'may NOT'} run")
        if json:
            emit(day.as_json())
        if not day.may_run:
            raise typer.Exit(1)


@app.command(epilog="Example:  phantomrig qa impact runs/qa-pressure_static-... --studies runs")
def impact(
    failed: Annotated[Path, typer.Argument(metavar="RUN", help="run folder of a QA test that failed")],
    studies: Annotated[Path, typer.Option(help="folder of the studies")] = Path("runs"),
    json: AsJson = False,
) -> None:
    """List the studies that used the device between its last pass and this failure, with what it could change."""
    with answers(json):
        from analysis.qa.impact import impact_of

        found = impact_of(failed, studies)
        since = found.since or "the beginning: it was never passed"
        say(f"{found.device} {found.serial}".strip() + f": {len(found.touched)} studies since {since}")
        for one in found.touched:
            changes = f"could change: {', '.join(one.changes)}" if one.changes else "no verdict within the error found"
            say(f"  {one.run} ({one.verdict}): {changes}")
        for text in found.unreadable:
            say(f"  not read: {text}")
        if json:
            emit(found.as_json())


@app.command()
def report(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="run folder of a QA test")], json: AsJson = False
) -> None:
    """Analyse a QA run again and write its report anew; the record is not touched."""
    with answers(json):
        from analysis.qa.report import make_qa_report

        results = make_qa_report(path)
        _show(path, results.as_json(), json)


@app.command(
    epilog="Examples:  phantomrig qa trend line_loss   |   phantomrig qa trend line_loss --figure offset_kpa --design"
)
def trend(
    test: Annotated[str, typer.Argument(help="id of the acceptance file")],
    figure: Annotated[str, typer.Option(help="one figure (default: all that have limits)")] = "",
    runs: Runs = Path("runs"),
    design: Annotated[bool, typer.Option("--design", help="design limits from the runs so far, at least ten")] = False,
    reason: Annotated[str, typer.Option(help="why limits that exist are replaced")] = "",
    json: AsJson = False,
) -> None:
    """Draw control charts of a test's figures over its runs; limits are designed once and kept in trend.toml."""
    with answers(json):
        from experiments.qa.over_time import design_limits, draw_trend

        if design:
            made = design_limits(runs, test, figure, reason)
            say(f"{figure}: centre {made.centre:.5g}, standard deviation {made.sigma:.3g}, from {made.source}")
        page, trends = draw_trend(runs, test, figure)
        for one in trends:
            say(f"{one.figure}: {one.drifting or 'steady'} ({len(one.days)} runs)")
        say(f"page: {page}")
        if json:
            emit({"page": str(page), "figures": [one.as_json() for one in trends]})


def _show(path: Path, results: dict[str, object], json: bool) -> None:
    if json:
        emit(results)
        return
    say(f"{'SIMULATED - ' * bool(results['simulated'])}{results['verdict']}: {results['reason']}")
    figures = results["figures"]
    assert isinstance(figures, list)
    for figure in figures:
        value = (
            "not evaluated: " + figure["why"] if figure["value"] is None else f"{figure['value']:.4g} {figure['unit']}"
        )
        say(f"  {figure['words']}: {value}")
    say(f"report: {path / 'report.html'}")
