"""``[[sim.faults]]``: what a rig file may order, and that it happens then and only then."""

from __future__ import annotations

import pytest

from hal.clock import NS_PER_S, VirtualClock
from hal.errors import ConfigError
from hal.links.wire import endpoint
from hal.sim.bench import Bench, BenchSpec
from hal.sim.faults import FaultyCore, FaultyEndpoint
from hal.sim.mishaps import Mishap, MishapCore, ShortedInputs, Span
from hal.sim.settings import sim_settings
from hal.types import OperatorResponse
from rig.config import load_config

S = NS_PER_S


class Echo:
    def receive(self, data, now_ns):
        pass

    def transmit(self, now_ns):
        return b""

    def next_ns(self, now_ns):
        return None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"device": "pump", "kind": "melts", "from_s": 1.0}, "pump has no fault 'melts'; it has"),
        ({"device": "pressure", "kind": "jam", "from_s": 1.0}, "pressure has no fault 'jam'"),
        ({"device": "bench", "kind": "silent", "from_s": 1.0}, "bench has no fault 'silent'"),
        ({"device": "pump", "kind": "jam", "from_s": 5.0, "to_s": 5.0}, "must be later than from_s"),
        ({"device": "pump", "kind": "jam"}, "from_s"),
        ({"device": "hammer", "kind": "jam", "from_s": 1.0}, "device"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_what_can(table, words):
    with pytest.raises(ConfigError, match=words):
        sim_settings({"faults": [table]})


def test_a_mishap_happens_once_at_its_time_and_wakes_the_line():
    seen = []
    core = MishapCore(Echo(), [Mishap(5, seen.append), Mishap(2, seen.append)])
    assert core.next_ns(0) == 2
    core.receive(b"?", 1)
    assert seen == []
    core.transmit(3)
    assert seen == [3] and core.next_ns(3) == 5
    core.receive(b"?", 9)
    core.transmit(10)
    assert seen == [3, 9] and core.next_ns(10) is None


def test_a_shorted_input_reports_a_touch_for_its_time_only():
    class Nothing:
        def touches(self, now_ns):
            return (False, False, True)

    port = ShortedInputs(Nothing(), [(0, Span(5, 10))])
    assert [port.touches(t)[0] for t in (4, 5, 9, 10)] == [False, True, True, False]
    assert port.touches(7) == (True, False, True)


@pytest.fixture(scope="module")
def bench():
    config = load_config("simulated")
    graph = config.frames.graph()
    frames = {f"{n}ToRig": graph.get(n, "Rig") for n in ("Phantom", "Holder", "Carrier", "Tracker")}
    faults = [
        {"device": "pressure", "kind": "unplugged", "from_s": 200.0, "to_s": 210.0},
        {"device": "bench", "kind": "emergency_stop", "from_s": 3.0, "to_s": 4.0},
        {"device": "pump", "kind": "jam", "from_s": 5.0},
        {"device": "contact", "kind": "broken_wire", "from_s": 1.0, "input": 2},
        {"device": "operator", "kind": "declines", "from_s": 6.0},
    ]
    settings = sim_settings({"faults": faults})
    clock = VirtualClock()
    bench = Bench(BenchSpec(settings, frames, config.probe, "22G_quincke_120", 0.5), clock, 7)
    bench.publish()
    yield bench
    bench.close()


def test_a_published_bench_follows_its_plan(bench):
    clock = bench.clock
    core = {device.role: device.core for device in bench.cores()}
    line = endpoint(f"rigsim://{bench.name}/pressure")
    assert isinstance(line, FaultyEndpoint) and isinstance(core["pressure"], FaultyCore)
    assert type(endpoint(f"rigsim://{bench.name}/tracker")).__name__ == "Endpoint", "no fault, nothing between"
    reported = []
    for at_s in (0.5, 3.5, 4.5, 5.5):
        clock.sleep_until(int(at_s * S))
        core["carrier"].receive(b"?", clock.now_ns())
        core["pump"].receive(b"", clock.now_ns())
        reported.append((bench.world.estop, core["pump"].jam, line.connected))
    assert reported == [(False, False, True), (True, False, True), (False, False, True), (False, True, True)]
    operator = bench.provided()["operator"]
    bench.operator._ready, bench.operator._ready_ns = OperatorResponse(0, True), 0
    clock.sleep_until(7 * S)
    assert operator.poll().done is False
    clock.sleep_until(205 * S)
    assert not line.connected
    clock.sleep_until(211 * S)
    assert line.connected
