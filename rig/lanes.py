"""Lanes: one task per link that executes commands first and polls its devices at their periods.

What protects does not queue behind what acts: a channel that carries an emergency-stop input is read between two
commands as soon as it is due.

A lane is the only one that talks over its link. It keeps the newest sample of every device on it with the
time at which the reading began, or that of the value itself where it is older (so an age is never flattering), and the
error that ended a device's polling.
There is no silent reconnect: a fault stays until the rig is opened again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from hal.clock import NS_PER_S, Clock, Task
from hal.errors import Stopped

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """A reading, the moment at which it began and, if earlier, the moment at which it was measured."""

    value: T
    time_ns: int


class Ticket(Generic[T]):
    """A submitted command: queued, started, done. It runs once or, when cancelled before its start, never."""

    __slots__ = ("_action", "_deciding", "cancelled", "doing", "done", "error", "result", "started")

    def __init__(self, action: Callable[[], T], doing: str) -> None:
        self._action = action
        self.doing = doing
        self.started = False
        self.done = False
        self.cancelled = False
        self.result: T | None = None
        self.error: BaseException | None = None
        self._deciding = threading.Lock()
        """Either it is started or it is taken back, whichever thread comes first."""

    def cancel(self) -> bool:
        """Cancel the command; False when it has already started."""
        with self._deciding:
            if not self.started:
                self.cancelled = True
                self.done = True
            return self.cancelled

    def run(self) -> None:
        """Execute, once; errors stay in the ticket for whoever waits."""
        with self._deciding:
            if self.done or self.started:
                return
            self.started = True
        try:
            self.result = self._action()
        except Stopped as stopped:
            self.error = stopped
            raise
        except Exception as error:
            self.error = error
        finally:
            self.done = True


class Channel(Generic[T]):
    """One device on a lane, as the scan sees it."""

    def __init__(self, role: str, read: Callable[[], T], period_s: float, *, urgent: bool = False) -> None:
        self.role = role
        self.urgent = urgent
        """It carries an emergency-stop input: read when it is due, between commands and before its neighbours."""
        self.sample: Sample[T] | None = None
        self.fault: Exception | None = None
        self.reads = 0
        self.listeners: list[Callable[[Sample[T]], None]] = []
        """Called in the lane's task with every new sample; must be quick. One that raises is a fault of the device."""
        self._read = read
        self.period_ns = int(period_s * NS_PER_S)
        self.due_ns: int | None = 0 if period_s > 0.0 else None
        self._planning = threading.Lock()
        """Held while the next reading is planned: the lane does so after a reading, the scan when it attends."""

    def age_ns(self, now_ns: int) -> int | None:
        """Age of the newest sample; None when there is none."""
        return None if self.sample is None else now_ns - self.sample.time_ns

    def poll(self, clock: Clock) -> None:
        """Read once; a failure ends the polling of this device."""
        began_ns = clock.now_ns()
        try:
            value = self._read()
        except Stopped:
            raise
        except Exception as error:
            self.fail(error)
            return
        self.reads += 1
        # A driver that hands out an old value states its time: the value is as old as that, whenever it was read.
        self.sample = sample = Sample(value, min(began_ns, int(getattr(value, "time_ns", began_ns))))
        try:
            for listener in self.listeners:
                listener(sample)
        except Stopped:
            raise
        except Exception as error:  # the lane lives on: it is what can stop the device
            self.fail(error)
            return
        with self._planning:
            if self.due_ns is not None:  # on the grid when it was due; a reading on request begins a new grid
                next_ns = self.due_ns + self.period_ns
                on_grid = self.due_ns <= began_ns < next_ns
                self.due_ns = next_ns if on_grid else began_ns + self.period_ns

    def fail(self, error: Exception) -> None:
        """Mark the device as failed; it is not read any more."""
        with self._planning:
            self.fault = error
            self.due_ns = None

    def set_period(self, period_s: float, now_ns: int) -> None:
        """Read every ``period_s`` from now on, 0 = on demand only; a device that failed stays unread."""
        with self._planning:
            self.period_ns = int(period_s * NS_PER_S)
            if self.fault is not None:
                return
            if period_s <= 0.0:
                self.due_ns = None
                return
            last_ns = self.sample.time_ns if self.sample is not None else 0
            self.due_ns = max(now_ns, last_ns + self.period_ns)


class Deadman(Protocol):
    """Stops a device when the scan stands still."""

    def look(self, now_ns: int) -> None:
        """Check the scan; called in the lane's task before its readings."""


class Lane:
    """The task of one link."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.channels: list[Channel[Any]] = []
        self._urgent: list[Channel[Any]] = []
        self._clock = clock
        self._queue: deque[Ticket[Any]] = deque()
        self._signal = clock.signal()
        self._closing = False
        self._task: Task | None = None
        self._deadmen: list[Deadman] = []

    def add(self, channel: Channel[Any]) -> None:
        self.channels.append(channel)
        if channel.urgent:
            self._urgent.append(channel)

    def add_deadman(self, deadman: Deadman) -> None:
        """Let this lane stop one of its devices by itself when nobody scans any more."""
        self._deadmen.append(deadman)

    def start(self) -> None:
        """Begin polling now."""
        now_ns = self._clock.now_ns()
        for channel in self.channels:
            if channel.due_ns is not None:
                channel.due_ns = now_ns
        self._task = self._clock.spawn(f"lane-{self.name}", self._run)

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End the task after the command under way; False when it is still busy after ``timeout_s``."""
        self._closing = True
        self._signal.set()
        return self._task is None or self._task.join(timeout_s)

    @property
    def error(self) -> BaseException | None:
        """Error that ended the task unexpectedly."""
        return self._task.error if self._task is not None else None

    def submit(self, action: Callable[[], T], doing: str) -> Ticket[T]:
        """Queue a command; it runs before the next poll."""
        ticket = Ticket(action, doing)
        self._queue.append(ticket)
        self._signal.set()
        return ticket

    def request(self, role: str) -> Ticket[None]:
        """Read one device now, whatever its period."""
        channel = next(c for c in self.channels if c.role == role)
        return self.submit(lambda: channel.poll(self._clock), f"read {role}")

    def set_period(self, role: str, period_s: float) -> None:
        """Change how often a device is polled; 0 = on demand only."""
        next(c for c in self.channels if c.role == role).set_period(period_s, self._clock.now_ns())
        self._signal.set()

    def cancel_pending(self) -> int:
        """Cancel every command that has not started; returns how many."""
        n = 0
        while (ticket := self._next()) is not None:
            n += ticket.cancel()
        return n

    def _next(self) -> Ticket[Any] | None:
        """Oldest command; the lane and a caller who cancels may both ask, on threads of their own."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def _look_urgently(self) -> None:
        """Read what is urgent and due: a series of commands, or of other readings, must not delay it."""
        for channel in self._urgent:
            if channel.due_ns is not None and channel.due_ns <= self._clock.now_ns():
                channel.poll(self._clock)

    def _run(self) -> None:
        clock, queue, channels = self._clock, self._queue, self.channels
        while not self._closing:
            while (ticket := self._next()) is not None:
                ticket.run()
                self._look_urgently()
            now_ns = clock.now_ns()
            for deadman in self._deadmen:
                deadman.look(now_ns)
            earliest_ns: int | None = None
            for channel in channels:
                due_ns = channel.due_ns
                if due_ns is not None and due_ns <= now_ns:
                    channel.poll(clock)
                    self._look_urgently()
                    if queue:
                        break
                    due_ns = channel.due_ns
                if due_ns is not None and (earliest_ns is None or due_ns < earliest_ns):
                    earliest_ns = due_ns
            if queue:
                continue
            wait_s = 3600.0 if earliest_ns is None else (earliest_ns - clock.now_ns()) / NS_PER_S
            if wait_s > 0.0:
                self._signal.wait(wait_s)
