"""Device time to rig time for streams whose messages carry their own stamps.

A device that shares the rig's clock (a simulated one in the same process) needs no conversion. For any other
the smallest of (arrival - stamp) over the last half to one minute is followed: the message that waited least,
a sliding window so that the drift of the device's quartz is followed too. It contains the shortest transfer time,
which nobody can see from one side. A question with a stamped answer shows it (as in NTP, RFC 5905 section 8: offset =
midpoint of sending and receiving minus the stamp, wrong by at most half the round trip); else give it as
``transfer_ns`` when it was measured.

A smallest value believes a single message, so each stamp is first held against the ones before: see
``hal.links.clock_change``. A clock that was set starts a new estimate, one bad stamp none.
"""

from __future__ import annotations

from hal.clock import NS_PER_S
from hal.links.clock_change import BAD_STAMP, DRIFTS, STEP_NS, ClockChange, ClockWatch, Verdict

WINDOW_NS = 30 * NS_PER_S
"""Half of the window: 50 ppm of drift move the offset by 1.5 ms in it."""
PLAUSIBLE_NS = NS_PER_S
"""An answer that makes the transfer longer than this was stamped by another clock than the data."""
DRIFT = 500e-6
"""A quartz keeps 50 ppm, a bad one 200; the least waiting time of a busy line moves by 15 ms in half a minute [A]."""


class DeviceTime:
    """Offset between the stamps of one device and the rig's clock."""

    def __init__(self, shared: bool, transfer_ns: int = 0) -> None:
        self.shared = shared
        self.watch = ClockWatch()
        """Changes noticed in the device's clock."""
        self._transfer_ns = transfer_ns
        self._given = transfer_ns != 0
        self._window_ns = 0
        self._least: int | None = None
        self._least_before: int | None = None
        self._answer_ns: int | None = None
        self._answers_n = 0
        """How many agree."""
        self._round_trip_ns = 0

    def notices(self) -> dict[str, int]:
        """Changes noticed in the device's clock, in words, with their counts."""
        counts = self.watch.counts
        return {f"device clock: {name}": n for name, n in dict(counts).items() if n} if counts else {}

    @property
    def transfer_ns(self) -> int:
        """Shortest time from stamp to arrival, as given or as seen from an answered question; else 0."""
        if self._answer_ns is None or self._given or self._least is None or self._least_before is not None:
            return self._transfer_ns
        seen_ns = self._least - self._answer_ns
        if not -self._round_trip_ns <= seen_ns <= PLAUSIBLE_NS:
            return self._transfer_ns
        return max(0, seen_ns)

    @property
    def offset_ns(self) -> int:
        """Offset added to a stamp; 0 until the first one arrived or when the clock is shared."""
        if self.shared or self._least is None:
            return 0
        return self._floor_ns(self._least) - self.transfer_ns

    def answered(self, sent_ns: int, stamp_ns: int, received_ns: int) -> None:
        """Note that a question received its stamped answer; the quickest one counts.

        Each is wrong by half its round trip at most. One that disagrees by more has a wrong stamp, or the one before
        has; of two nobody can say which, and none is believed.
        """
        if not stamp_ns:
            return
        round_trip_ns, offset_ns = received_ns - sent_ns, (sent_ns + received_ns) // 2 - stamp_ns
        if self._answer_ns is not None:
            off_ns = offset_ns - self._answer_ns
            if abs(off_ns) > (round_trip_ns + self._round_trip_ns) // 2 + STEP_NS:
                self.watch.note(ClockChange(BAD_STAMP, off_ns, received_ns))
                if self._answers_n == 1:
                    self._answer_ns = None
                return
        self._answers_n = 1 if self._answer_ns is None else self._answers_n + 1
        if self._answer_ns is None or round_trip_ns < self._round_trip_ns:
            self._answer_ns, self._round_trip_ns = offset_ns, round_trip_ns

    def to_clock(self, stamp_ns: int, arrival_ns: int, source: str = "") -> int:
        """Rig time of a stamp, never later than its arrival; a message without a stamp (0) counts as just made.

        ``source``: what the message is about, where one device sends of several; each has stamps that rise.
        """
        if stamp_ns == 0:
            return arrival_ns - self._transfer_ns
        if self.shared:
            return stamp_ns
        floor_ns = None if self._least is None else self._floor_ns(self._least)
        verdict = self.watch.judge(stamp_ns, arrival_ns, floor_ns, source)
        if verdict is Verdict.SET:
            self._transfer_ns = self.transfer_ns
            self._answer_ns = self._least_before = None
            self._least, self._window_ns = self.watch.new_ns, arrival_ns
        elif verdict is Verdict.DOUBTFUL:
            return arrival_ns - self.transfer_ns
        elif verdict is Verdict.FOLLOWS:
            self._follow(arrival_ns - stamp_ns, arrival_ns)
        return min(stamp_ns + self.offset_ns, arrival_ns)

    def _floor_ns(self, least: int) -> int:
        return least if self._least_before is None else min(least, self._least_before)

    def _follow(self, waited_ns: int, arrival_ns: int) -> None:
        if self._least is None:
            self._least, self._window_ns = waited_ns, arrival_ns
        elif arrival_ns - self._window_ns > WINDOW_NS:
            self._transfer_ns = self.transfer_ns  # what the first window has shown holds from now on
            before = self._least_before
            if before is not None and abs(self._least - before) > DRIFT * (arrival_ns - self._window_ns):
                self.watch.note(ClockChange(DRIFTS, self._least - before, arrival_ns))
            self._least_before, self._least, self._window_ns = self._least, waited_ns, arrival_ns
        self._least = min(self._least, waited_ns)
