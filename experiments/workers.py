"""Cartridges one after the other in this process, or several at a time in worker processes that end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from queue import Empty
from types import ModuleType
from typing import Any

from experiments.cartridge import CartridgeJob, CartridgeResult, run_cartridge
from experiments.rooms import PLACE
from hal.clock import WallClock
from rig.safety.interrupt import STOP_SIGNALS

ORDERLY_S = 5.0
"""Time for a worker whose parent has died to bring its cartridge to rest and to close its record [A]."""

Tell = Callable[[str, str], None]
_news: Any = None
_halt: Any = None
"""In a worker: the queue to its parent, and the parent's word that nothing more is to begin."""


def in_workers(jobs: list[CartridgeJob], workers: int, tell: Tell) -> Iterator[CartridgeResult]:
    """Run cartridges in ``workers`` processes; results come in order of finishing.

    ``tell(trial_id, what)`` is called in this process. Queue and event are pipes and semaphores of this process and
    its children: no third process holds them, so none is left when this one is killed.
    """
    context = multiprocessing.get_context("spawn")
    news, halt = context.Queue(), context.Event()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(news, halt)) as pool:
        with nothing_of_the_script():  # the pool starts its processes while jobs are handed in
            waiting: set[Future[CartridgeResult]] = {pool.submit(_in_worker, job) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                _pass_on(news, tell)
                for future in done:
                    yield future.result()
        finally:
            halt.set()  # the pool fetches one job ahead: that one must not begin
            for future in waiting:
                future.cancel()
    _pass_on(news, tell)


@contextmanager
def nothing_of_the_script() -> Iterator[None]:
    """While worker processes are started: they do not run the user's ``__main__`` again, and look for modules in ours
    and in the installed packages before the user's folders. A script needs no main guard, and what becomes of its file
    while the study runs changes nothing."""
    main, path = sys.modules["__main__"], list(sys.path)
    asked = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    started = [] if sys.flags.isolated else [path[0], os.getcwd()]
    users = {os.path.abspath(entry) for entry in (*started, *filter(None, asked))} - {PLACE}
    last = [entry for entry in path if os.path.abspath(entry) in users]
    sys.modules["__main__"] = ModuleType("__main__")
    sys.path[:] = [*(entry for entry in path if entry not in last), *last]
    try:
        yield
    finally:
        sys.modules["__main__"], sys.path[:] = main, path


def _begin(news: Any, halt: Any) -> None:
    """An idle worker leaves Ctrl-C and a lost terminal to the process that commands it, which ends it by SIGTERM; a
    running cartridge listens by itself."""
    global _news, _halt
    _news, _halt = news, halt
    for number in STOP_SIGNALS:
        if number is not signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def _end_with_parent() -> None:
    """When the parent is gone (killed: it could tell nobody), stop as on SIGTERM, and then end in any case."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    wait_for([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    WallClock().sleep(ORDERLY_S)
    os._exit(1)


def _in_worker(job: CartridgeJob) -> CartridgeResult:
    if _halt.is_set():
        return CartridgeResult(job.cartridge.cartridge_id, 0, (), "not begun: the study was ended", "safety")
    return run_cartridge(job, lambda trial_id, what: _news.put((trial_id, what)))


def _pass_on(news: Any, tell: Tell) -> None:
    while True:
        try:
            trial_id, what = news.get_nowait()
        except Empty:
            return
        tell(trial_id, what)
