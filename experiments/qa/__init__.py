"""Device QA: a test of one device against a reference, judged by limits fixed beforehand, recorded and reported.

``run_test("tracker_still", rig="bench.toml")`` does what ``phantomrig qa run tracker_still --rig bench.toml`` does;
``evaluate_files`` judges readings that somebody else has recorded.
"""

from experiments.qa.conduct import QaRun, run_test
from experiments.qa.from_files import evaluate_files
from experiments.qa.shipped_files import acceptance_of, shipped_acceptances

__all__ = ["QaRun", "acceptance_of", "evaluate_files", "run_test", "shipped_acceptances"]
