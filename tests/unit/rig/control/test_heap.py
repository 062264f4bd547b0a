"""Objects that a full garbage collection walks while devices are watched."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from rig.control.heap import settle_heap


class Ring:
    """Garbage that only the collector can find."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()  # whatever ran before in this process
    gc.collect()
    yield
    gc.unfreeze()


def test_what_was_loaded_before_is_not_walked_again() -> None:
    loaded_n = len(gc.get_objects())
    assert settle_heap() > 0.9 * loaded_n
    assert len(gc.get_objects()) < 0.05 * loaded_n


def test_new_rings_are_still_collected() -> None:
    settle_heap()
    ring = Ring()
    seen = weakref.ref(ring)
    del ring
    gc.collect()
    assert seen() is None


def test_rings_that_were_set_aside_go_with_the_next_call() -> None:
    ring = Ring()
    seen = weakref.ref(ring)
    settle_heap()
    del ring
    gc.collect()
    assert seen() is not None
    settle_heap()
    assert seen() is None
