"""The one clock of a rig: wall time with threads, or virtual time with cooperative tasks.

Drivers, simulators, lanes and the controller all take a ``Clock``; nothing else reads time or sleeps.
On the wall clock a task is a thread. On the virtual clock a task is a greenlet: ``sleep`` hands over
to whichever task is due first (ties in order of calling), so a study runs as fast as the processor
allows and the same seed gives the same bytes. Blocking driver code is the same on both.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import greenlet

from hal.errors import Stopped

NS_PER_S = 1_000_000_000


class Deadline(NamedTuple):
    """A moment after which waiting is an error."""

    clock: Clock
    at_ns: int

    @property
    def expired(self) -> bool:
        return self.clock.now_ns() >= self.at_ns

    @property
    def remaining_s(self) -> float:
        return max(0.0, (self.at_ns - self.clock.now_ns()) / NS_PER_S)


class Task(Protocol):
    """A body of code that the clock runs beside the caller."""

    name: str

    @property
    def alive(self) -> bool: ...

    @property
    def error(self) -> BaseException | None:
        """Exception that ended the task, if one did."""

    def stop(self) -> None:
        """Make the task's next wait raise ``Stopped``."""

    def join(self, timeout_s: float) -> bool:
        """Wait for the task to end; False when it is still alive after ``timeout_s``."""


class Signal(Protocol):
    """Wakes the one task that waits for it: a lane learns of a command before its next poll."""

    def set(self) -> None:
        """Wake the waiting task, or let its next ``wait`` return at once."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for ``set`` and take the signal back; False when ``timeout_s`` passed first.

        Raises ``Stopped`` as ``Clock.sleep`` does.
        """


class Clock(Protocol):
    """Clock of everything on the rig."""

    @property
    def virtual(self) -> bool: ...

    def now_ns(self) -> int:
        """Nanoseconds since the clock's own start; never goes backwards."""

    def sleep(self, duration_s: float) -> None:
        """Wait; raises ``Stopped`` when the calling task was stopped."""

    def sleep_until(self, at_ns: int) -> None:
        """Wait until a moment; returns at once when it has passed."""

    def deadline(self, duration_s: float) -> Deadline: ...

    def spawn(self, name: str, body: Callable[[], None]) -> Task:
        """Run ``body`` beside the caller until it returns, raises, or is stopped."""

    def signal(self) -> Signal:
        """A new signal for one waiting task."""


class _ThreadTask:
    def __init__(self, clock: WallClock, name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self.stopping = threading.Event()
        self._body = body
        self._thread = threading.Thread(target=self._run, args=(clock,), name=name, daemon=True)
        self._thread.start()

    def _run(self, clock: WallClock) -> None:
        clock.local.task = self
        try:
            self._body()
        except Stopped:
            pass
        except BaseException as error:  # a lane must report its end, whatever ended it
            self.error = error

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self.stopping.set()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


class _ThreadSignal:
    def __init__(self, clock: WallClock) -> None:
        self._clock = clock
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, timeout_s: float) -> bool:
        was_set = self._event.wait(max(0.0, timeout_s))
        self._event.clear()
        task: _ThreadTask | None = getattr(self._clock.local, "task", None)
        if task is not None and task.stopping.is_set():
            raise Stopped(f"task {task.name} was asked to stop")
        return was_set


class WallClock:
    """Real time; tasks are daemon threads."""

    virtual = False

    def __init__(self) -> None:
        self._start_ns = time.monotonic_ns()
        self.local = threading.local()

    def now_ns(self) -> int:
        return time.monotonic_ns() - self._start_ns

    def sleep(self, duration_s: float) -> None:
        task: _ThreadTask | None = getattr(self.local, "task", None)
        if task is None:
            time.sleep(max(0.0, duration_s))
        elif task.stopping.wait(max(0.0, duration_s)):
            raise Stopped(f"task {task.name} was asked to stop")

    def sleep_until(self, at_ns: int) -> None:
        self.sleep((at_ns - self.now_ns()) / NS_PER_S)

    def deadline(self, duration_s: float) -> Deadline:
        return Deadline(self, self.now_ns() + int(duration_s * NS_PER_S))

    def spawn(self, name: str, body: Callable[[], None]) -> Task:
        return _ThreadTask(self, name, body)

    def signal(self) -> Signal:
        return _ThreadSignal(self)


class _GreenletTask:
    def __init__(self, clock: VirtualClock, name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self.stopping = False
        self._clock = clock
        self._body = body
        self.greenlet = greenlet.greenlet(self._run)

    def _run(self, ended: object = None) -> None:
        """``ended``: a task that ends hands its result to the next one, also when that has not begun yet."""
        try:
            if not self.stopping:
                self._body()
        except Stopped:
            pass
        except BaseException as error:  # a lane must report its end, whatever ended it
            self.error = error
        self._clock._tasks.pop(self.greenlet, None)
        # A greenlet that ends hands over to its parent: make that the task that is due next.
        greenlet.getcurrent().parent = self._clock._next()

    @property
    def alive(self) -> bool:
        return not self.greenlet.dead

    def stop(self) -> None:
        self.stopping = True

    def join(self, timeout_s: float) -> bool:
        deadline = self._clock.deadline(timeout_s)
        while self.alive and not deadline.expired:
            self._clock.sleep(0.001)
        return not self.alive


class _VirtualSignal:
    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._is_set = False
        self._entry: tuple[int, int, greenlet.greenlet] | None = None

    def set(self) -> None:
        self._is_set = True
        if self._entry is not None:
            self._clock._hasten(self._entry)
            self._entry = None

    def wait(self, timeout_s: float) -> bool:
        if not self._is_set:
            clock = self._clock
            self._entry = (
                clock._now_ns + int(max(0.0, timeout_s) * NS_PER_S),
                next(clock._order),
                greenlet.getcurrent(),
            )
            try:
                clock._wait(self._entry)
            finally:
                self._entry = None
        was_set, self._is_set = self._is_set, False
        return was_set


class VirtualClock:
    """Simulated time; tasks are greenlets that run one at a time, in order of their wake-up time."""

    virtual = True

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._order = itertools.count()
        self._queue: list[tuple[int, int, greenlet.greenlet]] = []
        self._tasks: dict[greenlet.greenlet, _GreenletTask] = {}
        self._overtaken: set[int] = set()
        """Orders of queue entries that a signal has replaced by earlier ones."""

    def now_ns(self) -> int:
        return self._now_ns

    def _next(self, waiting: tuple[int, int, greenlet.greenlet] | None = None) -> greenlet.greenlet:
        """The task that is due first, ``waiting`` among them; the time is then set to its moment."""
        queue = self._queue
        at_ns, order, due = heapq.heappop(queue) if waiting is None else heapq.heappushpop(queue, waiting)
        while self._overtaken and order in self._overtaken:
            self._overtaken.discard(order)
            at_ns, order, due = heapq.heappop(queue)
        if at_ns > self._now_ns:
            self._now_ns = at_ns
        return due

    def sleep(self, duration_s: float) -> None:
        self.sleep_until(self._now_ns + int(max(0.0, duration_s) * NS_PER_S))

    def sleep_until(self, at_ns: int) -> None:
        self._wait((at_ns, next(self._order), greenlet.getcurrent()))

    def _hasten(self, entry: tuple[int, int, greenlet.greenlet]) -> None:
        self._overtaken.add(entry[1])
        heapq.heappush(self._queue, (self._now_ns, next(self._order), entry[2]))

    def _wait(self, entry: tuple[int, int, greenlet.greenlet]) -> None:
        current = entry[2]
        task = self._tasks.get(current)
        if task is not None and task.stopping:
            raise Stopped(f"task {task.name} was asked to stop")
        due = self._next(entry)
        if due is not current:
            due.switch()
        if task is not None and task.stopping:
            raise Stopped(f"task {task.name} was asked to stop")

    def deadline(self, duration_s: float) -> Deadline:
        return Deadline(self, self._now_ns + int(duration_s * NS_PER_S))

    def spawn(self, name: str, body: Callable[[], None]) -> Task:
        task = _GreenletTask(self, name, body)
        self._tasks[task.greenlet] = task
        heapq.heappush(self._queue, (self._now_ns, next(self._order), task.greenlet))
        return task

    def signal(self) -> Signal:
        return _VirtualSignal(self)


def utc_offset_ns(clock: Clock) -> int:
    """Offset that makes the clock's time a date: nanoseconds from 1970-01-01 00:00 UTC to its zero, as of now.

    Simulated time has no date; it is shown to others as if it went on from now.
    """
    return time.time_ns() - clock.now_ns()
