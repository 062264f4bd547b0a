"""Every kind of QA test, by name."""

from __future__ import annotations

import difflib

from analysis.qa.evaluation import Evaluation
from analysis.qa.kinds.balance_check import BALANCE_CHECK
from analysis.qa.kinds.capture_timing import CAPTURE_TIMING
from analysis.qa.kinds.feed_axis import FEED_AXIS
from analysis.qa.kinds.holder_pose import HOLDER_POSE
from analysis.qa.kinds.line_loss import LINE_LOSS
from analysis.qa.kinds.pump_bolus import PUMP_BOLUS
from analysis.qa.kinds.pump_occlusion import PUMP_OCCLUSION
from analysis.qa.kinds.pump_rate import PUMP_RATE
from analysis.qa.kinds.pump_trumpet import PUMP_TRUMPET
from analysis.qa.kinds.sensor_static import FORCE_STATIC, PRESSURE_STATIC
from analysis.qa.kinds.tracker_still import TRACKER_STILL
from analysis.qa.kinds.ultrasound_air import ULTRASOUND_AIR
from analysis.qa.kinds.ultrasound_block import ULTRASOUND_BLOCK
from hal.errors import ConfigError

EVALUATIONS: dict[str, Evaluation] = {
    one.name: one
    for one in (
        BALANCE_CHECK,
        CAPTURE_TIMING,
        FEED_AXIS,
        FORCE_STATIC,
        HOLDER_POSE,
        LINE_LOSS,
        PRESSURE_STATIC,
        PUMP_BOLUS,
        PUMP_OCCLUSION,
        PUMP_RATE,
        PUMP_TRUMPET,
        TRACKER_STILL,
        ULTRASOUND_AIR,
        ULTRASOUND_BLOCK,
    )
}


def evaluation_of(test: str) -> Evaluation:
    """The evaluation of a kind of test; raises ``ConfigError`` with the nearest name."""
    if test not in EVALUATIONS:
        near = difflib.get_close_matches(test, EVALUATIONS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(EVALUATIONS))}"
        raise ConfigError(f"there is no QA test {test!r}{hint}")
    return EVALUATIONS[test]
