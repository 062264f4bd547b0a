"""An emergency stop that is on the bench counts, or the rig file is refused."""

import pytest

from hal.errors import ConfigError
from rig.config import parse_config

RIG = (
    '[rig]\nname = "t"\nsimulated = true\n'
    '[devices.holder]\ndriver = "grblhal_holder"\nurl = "rigsim://holder"\n'
    '[devices.estop]\ndriver = "key_estop"\n'
)


@pytest.mark.parametrize("safety", ["", '[safety]\nestop_inputs = ["holder"]\n'], ids=["by default", "left out"])
def test_an_emergency_stop_that_nothing_reads_is_refused(safety):
    with pytest.raises(ConfigError, match=r"devices\.estop.*pressing it would stop nothing; add \"estop\" there"):
        parse_config(RIG + safety, "my.toml")


def test_an_emergency_stop_among_the_inputs_is_accepted():
    config = parse_config(RIG + '[safety]\nestop_inputs = ["holder", "estop"]\n')
    assert config.safety.estop_inputs == ("holder", "estop")
