"""Notices of drivers reach the journal, the operator and the count of the trial."""

from __future__ import annotations

from tiny_devices import Bench

from hal.clock import VirtualClock


def test_what_a_driver_notices_is_journalled_each_time_and_reported_once() -> None:
    clock = VirtualClock()
    bench = Bench(clock)
    noticed: dict[str, int] = {}
    shown: list[str] = []
    bench.ultrasound.notices = lambda: dict(noticed)  # type: ignore[attr-defined]
    bench.operator.show = shown.append  # type: ignore[method-assign]
    controller = bench.controller()
    controller.start()
    assert controller.notices.total_n == 0
    noticed["device clock: set back"] = 1
    controller.wait_until(lambda: bool(shown), 1.0, "the notice")
    noticed["device clock: set back"] = 3
    noticed["damaged messages dropped"] = 1
    controller.scan()
    controller.scan()
    assert bench.journal.of("device_noticed") == [
        {"device": "ultrasound", "what": "device clock: set back", "count": 1},
        {"device": "ultrasound", "what": "device clock: set back", "count": 3},
        {"device": "ultrasound", "what": "damaged messages dropped", "count": 1},
    ]
    assert controller.notices.total_n == 4
    clock.sleep(0.1)
    assert shown == [
        "Noticed at the ultrasound: device clock: set back. The run continues; the record has a note.",
        "Noticed at the ultrasound: damaged messages dropped. The run continues; the record has a note.",
    ]
    controller.close()


def test_devices_that_notice_nothing_cost_nothing() -> None:
    bench = Bench(VirtualClock())
    controller = bench.controller()
    controller.start()
    controller.close()
    assert bench.journal.of("device_noticed") == []
