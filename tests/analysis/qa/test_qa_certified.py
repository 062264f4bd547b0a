"""A QA run as a result that can be certified: limits on both sides, and no damaged, failed or unfinished run."""

from __future__ import annotations

import pytest

from analysis.qa.certified import result_of
from analysis.qa.recorded import analyse_qa
from hal.errors import ConfigError
from tests.fakes.qa_record import qa_record


def test_a_limit_of_the_absolute_value_bounds_both_sides(tmp_path):
    found = result_of(analyse_qa(qa_record(tmp_path, "PASS", "2026-11-20")))
    limit = found.values["offset_kpa"].limit
    assert (limit.low, limit.high) == (-1.0, 1.0) and found.within and found.simulated


@pytest.mark.parametrize("verdict", ["FAIL", "NOT EVALUATED"])
def test_a_run_that_did_not_pass_is_not_certified(tmp_path, verdict):
    with pytest.raises(ConfigError, match="nothing is certified"):
        result_of(analyse_qa(qa_record(tmp_path, verdict, "2026-11-20")))


def test_a_marginal_run_is_not_certified(tmp_path):
    run = analyse_qa(qa_record(tmp_path, "PASS", "2026-11-20", offset_kpa=0.993))
    assert run.verdict.word == "MARGINAL"
    with pytest.raises(ConfigError, match="MARGINAL"):
        result_of(run)


def test_a_run_that_was_changed_is_not_certified(tmp_path):
    path = qa_record(tmp_path, "PASS", "2026-11-20")
    text = (path / "acceptance.toml").read_text()
    (path / "acceptance.toml").write_text(text.replace("limit = 1.0", "limit = 2.0"))
    with pytest.raises(ConfigError, match="is not as it was recorded"):
        result_of(analyse_qa(path))
