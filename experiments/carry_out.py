"""Carrying out a checked order: rehearse, conduct, report. ``phantomrig run`` and scripts both use this."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analysis.report.make import make_report
from experiments.ended import Ended
from experiments.messages import say
from experiments.progress import StudyProgress
from experiments.rehearsal import rehearse
from experiments.request import Order, estimate
from experiments.run import StudyOutcome, conduct
from experiments.stop_signals import workers_stop_too
from hal.clock import WallClock
from hal.errors import ConfigError, LinkError, RecordError, one_line
from hal.files import parse_json
from rig.live.scene import LiveScene
from rig.setup.simulated import needs_bench

NOT_JUDGED = "NOT JUDGED"
"""Verdict of a run that could not be analysed."""


def carry_out(order: Order, publish: int | None = None) -> Ended:
    """Run a study and make its report; ``publish`` is a port on which OpenIGTLink clients may watch.

    Raises ``RecordError`` when the record cannot be written; a safety stop and a device failure are reported in the
    result.
    """
    if not needs_bench(order.config):
        say("rehearsing in simulation, so that no long computation happens while devices are watched ...")
        rehearse(order.study)
    progress = StudyProgress(WallClock(), estimate=estimate(order))

    def conducted() -> StudyOutcome:
        with _live(order, publish) as scene:
            return _conducted(order, progress, scene)

    return carried_through(conducted, order.out, progress)


def carried_through(conducted: Callable[[], StudyOutcome], where: Path, progress: StudyProgress) -> Ended:
    """Carry out a study and report it; ``where`` is the folder that it writes to."""
    with workers_stop_too() as signals:
        try:
            outcome = conducted()
        except OSError as error:
            raise RecordError(
                f"the study ended early: {error.strerror or error} ({error.filename or where}). Trials that were "
                f"completed are kept in {where}. Check free space and quota"
            ) from error
        signals.study_is_over()
        verdict = _reported(outcome)
    completed_n = max(outcome.completed_n, progress.done_n)  # workers that were stopped hand no result back
    return Ended(outcome.run, outcome.planned_n, completed_n, verdict, outcome.failure, outcome.failure_kind)


@contextmanager
def _live(order: Order, port: int | None) -> Iterator[LiveScene | None]:
    """Publish a live scene on a port of this machine; raises ``ConfigError`` when the port is not available."""
    if port is None:
        yield None
        return
    from hal.links.igtl.publisher import Publisher
    from hal.links.igtl.server import PublishServer

    publisher = Publisher(simulated=order.config.rig.simulated)
    try:
        server = PublishServer(publisher, WallClock(), port=port)
    except LinkError as error:
        raise ConfigError(f"--publish {port}: {error}") from None
    say(f"live scene: OpenIGTLink on 127.0.0.1:{server.port} (in 3D Slicer: OpenIGTLinkIF, client)")
    try:
        yield LiveScene(publisher)
    finally:
        ended = server.error
        server.close()
        if ended is not None:
            say(f"the live scene ended before the study: {ended!r}; the record of the study is not affected")
        for reason in server.lost_clients:
            say(f"live scene: {reason}")


def _conducted(order: Order, progress: StudyProgress, scene: LiveScene | None) -> StudyOutcome:
    with progress:
        return conduct(
            order.study, order.config, order.out, files=order.files, workers=order.workers, watcher=progress,
            scene=scene, calibrated=order.calibrated,
        )  # fmt: skip


def _reported(outcome: StudyOutcome) -> str:
    """Analyse and report; returns the verdict. A study that was stopped is reported as far as it went."""
    say(f"run folder: {outcome.run}")
    try:
        page = make_report(outcome.run, say)
    except (RecordError, OSError) as error:
        raise RecordError(
            f"the record is complete in {outcome.run}, but its report could not be written: {one_line(error)}. "
            f"Make room and type: phantomrig report {outcome.run}"
        ) from error
    results = parse_json((outcome.run / "results.json").read_text())
    show_results(results)
    say(f"report: {page}")
    return str(results.get("verdict") or NOT_JUDGED)


def show_results(results: dict[str, Any]) -> None:
    """Show one table to a person, on stderr: approach, n, success, median error; then the verdict."""
    from rich.console import Console
    from rich.table import Table

    title = "SIMULATED - " * bool(results["simulated"]) + str(results["title"])
    table = Table(title=title, caption=f"verdict: {results['verdict']} - {results['verdict_reason']}")
    table.add_column("approach", no_wrap=True)
    for heading in ("n", "success", "median error (mm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in results["approaches"]:
        median = group["median"]["value"]
        success = group["success"]
        table.add_row(
            group["label"],
            f"{group['closed_n']}/{group['planned_n']}",
            f"{success['count']}/{success['n']}",
            "not measured" if median is None else f"{median:.2f}",
        )
    Console(stderr=True).print(table)
