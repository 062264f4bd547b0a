"""The check before a day's work: a list of tests, one after the other; no measurement of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.qa.verdict import NOT_EVALUATED
from experiments.messages import say
from experiments.qa.conduct import check_test, run_test
from hal.errors import ConfigError, DeviceError, LinkError, SafetyStop


@dataclass(frozen=True)
class DayResult:
    """One test of the day."""

    test: str
    verdict: str
    reason: str
    run: str
    """Its folder; empty when it could not be carried out."""

    @property
    def passed(self) -> bool:
        """A marginal figure meets its limit: it does not keep a study from running, here as before a study."""
        return "FAIL" not in self.verdict and self.verdict != NOT_EVALUATED


@dataclass(frozen=True)
class Day:
    """All tests of the day."""

    results: tuple[DayResult, ...]

    @property
    def may_run(self) -> bool:
        """Whether today's studies may run: every test was carried out, and none failed."""
        return all(result.passed for result in self.results)

    def as_json(self) -> dict[str, object]:
        return {
            "may_run": self.may_run,
            "tests": [{"test": r.test, "verdict": r.verdict, "reason": r.reason, "run": r.run} for r in self.results],
        }


def check_the_day(
    tests: Sequence[str],
    rig: str = "simulated",
    *,
    out: str | Path = "runs",
    seed: int = 1,
    tell: Callable[[str], None] = say,
) -> Day:
    """Carry out the tests in their order; one that fails or cannot be carried out does not keep the others from it.

    Everything is checked before the first test. Raises ``ConfigError``, and ``SafetyStop`` when a person stops the rig.
    """
    if not tests:
        raise ConfigError("name the tests of the day")
    for test in tests:
        check_test(test, rig)
    results = []
    for test in tests:
        tell(f"{test} ...")
        try:
            done = run_test(test, rig, out=out, seed=seed, tell=tell)
        except SafetyStop as stop:
            if stop.source == "operator":
                raise
            results.append(DayResult(test, NOT_EVALUATED, str(stop), ""))
        except (DeviceError, LinkError) as error:
            results.append(DayResult(test, NOT_EVALUATED, str(error), ""))
        else:
            reason = "" if done.results.verdict.reason == "all criteria" else done.results.verdict.reason
            results.append(DayResult(test, done.verdict, reason, str(done.path)))
    return Day(tuple(results))
