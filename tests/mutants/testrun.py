"""One run of tests in a forked process: it costs its tests and little more, and nothing that it breaks lasts."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parents[2]
OPTIONS = ("-q", "-p", "no:cacheprovider", "--hypothesis-seed=0")


@dataclass(frozen=True)
class Ran:
    """Result of one run of tests."""

    failed: str
    """Node id of the first test that failed; a module that does not import, a process that dies or never ends count as
    noticed too. Empty = none."""
    seconds: float
    tests: dict[str, float] = field(default_factory=dict)
    """Node id to seconds."""
    calls: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    """(path from the root, first line of a function) to the node ids of the tests that called it."""
    cpu_s: float = 0.0
    """Time of the processor, whoever else wanted it."""


def load_libraries() -> None:
    """Third-party packages that every test process would load anew; nothing of the project."""
    import cv2  # noqa: F401
    import h5py  # noqa: F401
    import hypothesis  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import numba  # noqa: F401
    import pydantic  # noqa: F401
    import pymodbus.client  # noqa: F401
    import pytest  # noqa: F401
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import statsmodels.api  # noqa: F401
    import typer  # noqa: F401


def enter(root: Path) -> None:
    """Make this process one of the copy of the tree: its folder, its modules, silent."""
    sys.dont_write_bytecode = True
    os.chdir(root)
    sys.path[:] = [str(root), *(p for p in sys.path if p not in ("", str(HERE)))]
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)


def collect(tests: list[str]) -> None:
    """Load test files, and what they import, into this process; those that cannot be loaded are told by their run."""
    import pytest

    pytest.main(["--collect-only", *OPTIONS, *tests])


def run_forked(
    tests: list[str], timeout_s: float, *, before: Callable[[], object] | None = None, listen: bool = False
) -> Ran:
    """Run tests up to the first failure in a pytest of its own; ``before`` is called in the new process first."""

    def work(send: int) -> None:
        if before is not None:
            before()
        _report(tests, send, listen)

    return _forked(work, timeout_s)


def with_collected(files: list[str], work: Callable[[dict[str, Any]], None]) -> None:
    """Collect test files once, and call ``work`` with the tests by node id from inside their pytest: what it then forks
    need not begin anew."""
    import pytest

    class Loop:
        def pytest_runtestloop(self, session: Any) -> bool:
            work({item.nodeid: item for item in session.items})
            return True

    pytest.main([*OPTIONS, *files], plugins=[Loop()])


def run_collected(items: list[Any], timeout_s: float, before: Callable[[], object]) -> Ran:
    """Run collected tests up to the first failure in a forked process, after ``before``."""

    def work(send: int) -> None:
        listener = _Listener(Path.cwd(), False)
        items[0].config.pluginmanager.register(listener)
        before()
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if listener.failed:
                break
        with os.fdopen(send, "wb") as pipe:
            pickle.dump((listener.failed, listener.tests, {}, 0.0), pipe)

    return _forked(work, timeout_s)


def _forked(work: Callable[[int], None], timeout_s: float) -> Ran:
    began = time.perf_counter()
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(receive)
            os.setpgid(0, 0)
            work(send)
        finally:
            os._exit(1)
    os.close(send)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    answer = _read(receive, timeout_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seconds = time.perf_counter() - began
    if not answer:
        return Ran("never ends" if answer is None else "the process died", seconds)
    failed, spent_s, calls, cpu_s = pickle.loads(answer)
    return Ran(failed, seconds, spent_s, calls, cpu_s)


def _read(receive: int, timeout_s: float) -> bytes | None:
    """All that comes until the other end closes; None when it does not in time."""
    end = time.perf_counter() + timeout_s
    answer = b""
    with os.fdopen(receive, "rb", buffering=0) as pipe:
        while (left := end - time.perf_counter()) > 0:
            if not select.select([pipe], [], [], left)[0]:
                break
            piece = pipe.read(1 << 16)
            if not piece:
                return answer
            answer += piece
    return None


def _report(tests: list[str], send: int, listen: bool) -> None:
    import pytest

    listener = _Listener(Path.cwd(), listen)
    began = time.process_time()
    code = pytest.main([*([] if listen else ["-x"]), *OPTIONS, *tests], plugins=[listener])
    sys.settrace(None)
    failed = listener.failed or ("" if code in (0, 5) else f"pytest ended with {int(code)}")
    with os.fdopen(send, "wb") as pipe:
        pickle.dump((failed, listener.tests, listener.calls, time.process_time() - began), pipe)


class _Listener:
    """A pytest plug-in: the first failure, how long each test takes, which functions it calls."""

    def __init__(self, root: Path, listen: bool) -> None:
        self.failed = ""
        self.tests: dict[str, float] = {}
        self.calls: dict[tuple[str, int], set[str]] = {}
        self._root = f"{root}/"
        self._listen = listen
        self._now = ""
        self._reported: set[int] = set()
        """Functions that the present test has called already, by ``id``: to compare codes would cost more."""

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.tests[report.nodeid] = self.tests.get(report.nodeid, 0.0) + report.duration
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = f"{report.nodeid} (does not import)"

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._now, self._reported = nodeid, set()
        if self._listen:
            sys.settrace(self._trace)
            threading.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if id(code) in self._reported:
            return
        self._reported.add(id(code))
        if code.co_filename.startswith(self._root):
            key = (code.co_filename[len(self._root) :], code.co_firstlineno)
            self.calls.setdefault(key, set()).add(self._now)
