"""The states that every technique goes through (``facts/domain.md`` 4.2).

::

    ST0 SETUP -> ST1 LONGITUDINAL -> ST2 LEVEL_COUNT -> ST3 TRANSVERSE -> ST4 OPTIMISE -> ST5 PLAN -> ST6 ENTRY
      -> ST7 ADVANCE -> ST8 AT_TARGET -> ST9 TEST_INJECT -> ST10 INJECT -> ST11 WITHDRAW -> ST12 CHECKOUT
    any -> HOLD -> REASSESS -> {ST4, ST5, ST7, ST8, ST11};  any -> ABORT

The landmark arm goes ST0 -> PALPATE -> BLIND_ADVANCE -> ST8 and has no image states.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """One state; its value is the one in the journal."""

    SETUP = "ST0 setup"
    LONGITUDINAL = "ST1 longitudinal"
    LEVEL_COUNT = "ST2 level count"
    TRANSVERSE = "ST3 transverse"
    OPTIMISE = "ST4 optimise"
    PLAN = "ST5 plan"
    ENTRY = "ST6 entry"
    ADVANCE = "ST7 advance"
    AT_TARGET = "ST8 at target"
    TEST_INJECT = "ST9 test injection"
    INJECT = "ST10 injection"
    WITHDRAW = "ST11 withdraw"
    CHECKOUT = "ST12 checkout"
    PALPATE = "LM1 palpate"
    BLIND_ADVANCE = "LM2 advance by feel"
    DONE = "done"
