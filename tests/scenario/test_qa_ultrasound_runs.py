"""Ultrasound QA on a simulated block: healthy, with planted faults, turned round, and from a recording."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analysis.qa.recorded import analyse_qa
from experiments.qa import run_test, shipped_acceptances
from experiments.qa.block_recordings import run_on_recordings
from hal.errors import CalibrationRefused
from hal.links.sequence import SIMULATED_KEYS
from hal.phantom.qa_block import load_block
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.scene import Scene
from hal.sim.build import BuildErrors
from hal.sim.qa_block import pour_block
from hal.types import ImagingSettings
from rig.config import config_file, load_config
from rig.formats import FrameEntry, make_recording, write_recording
from rig.record import verify_run


def bench(folder, more: str = "", block: str = "qa_ks107bg") -> str:
    text = config_file("simulated").read_text()
    text = text.replace('phantom = "lumbar_ref"', f'phantom = "{block}"\nframe_quality = "fast"', 1)
    (folder / "bench.toml").write_text(text + more)
    return str(folder / "bench.toml")


def short(folder, views: str = "[0.0]", pictures: int = 2) -> str:
    """One view is enough for distances and elements; the criteria that need the others are left out."""
    text = shipped_acceptances()["ultrasound_block"].read_text()
    text = re.sub(r"views_x_mm = \[.*?\].*", f"views_x_mm = {views}", text)
    text = text.replace("pictures = 4", f"pictures = {pictures}")
    head, *criteria = text.split("[[criteria]]")
    kept = [c for c in criteria if "CYST" not in c and "DEAD-ZONE" not in c]
    (folder / "short.toml").write_text("[[criteria]]".join([head, *kept]))
    return str(folder / "short.toml")


def failed(run) -> set[str]:
    return {j.limit.id for j in run.results.verdict.judged if j.verdict == "FAIL"}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("healthy")
    return run_test(short(folder), bench(folder), out=folder / "runs", seed=2, tell=lambda _: None)


def test_a_healthy_scanner_passes_and_its_report_says_what_was_not_verified(tmp_path):
    run = run_test("ultrasound_block", bench(tmp_path), out=tmp_path / "runs", seed=2, tell=lambda _: None)
    assert verify_run(run.path) == () and run.verdict == "WOULD PASS", run.results.verdict.reason
    figures = run.figures()
    assert abs(figures["axial_scale_percent"]) < 1.0 and abs(figures["lateral_scale_percent"]) < 1.0
    assert figures["cyst_smallest_mm"] == 2.0 and 1.5 < figures["dead_zone_mm"] < 5.0
    page = (run.path / "report.html").read_text()
    for words in ("SIMULATED DATA", "edition and clause not verified", "not compared with the block", "US-SPEED"):
        assert words in page, words


@pytest.mark.parametrize(
    ("error", "criteria", "figure", "change"),
    [
        ("depth_scale = 1.04", {"US-AXIAL", "US-SPEED"}, "axial_scale_percent", 4.0),
        ("lateral_scale = 0.96", {"US-LATERAL"}, "lateral_scale_percent", -4.0),
        ("conversion_m_s = 1480.0", {"US-AXIAL", "US-SPEED"}, "axial_scale_percent", -3.9),
    ],
    ids=["depth scale", "lateral scale", "speed"],
)
def test_a_fault_planted_in_the_scanner_is_found_with_its_figure(healthy, tmp_path, error, criteria, figure, change):
    planted = bench(tmp_path, f"\n[sim.scanner_errors]\n{error}\n")
    run = run_test(short(tmp_path), planted, out=tmp_path / "b", seed=2, tell=lambda _: None)
    assert failed(healthy) == set() and failed(run) >= criteria
    assert run.figures()[figure] - healthy.figures()[figure] == pytest.approx(change, abs=0.1)


def test_dead_elements_are_a_dip_of_their_depth_at_their_place(tmp_path):
    planted = bench(tmp_path, "\n[sim.scanner_errors]\ndead_elements = [80, 81, 82, 83, 84, 85]\n")
    run = run_test(short(tmp_path, pictures=4), planted, out=tmp_path / "b", seed=2, tell=lambda _: None)
    dip = run.results.outcome.figure("uniformity_dip_db")
    # Aperture of depth / 2 in elements of 0.327 mm: the power that is left, ((n - 6) / n)^4, is 0.21 on average.
    assert failed(run) == {"US-UNIFORM"} and dip.value == pytest.approx(6.8, abs=1.5)
    assert float(re.search(r"at (-?[\d.]+) mm", dip.why)[1]) == pytest.approx((83 - 64) * 41.9 / 128, abs=1.5)


def test_a_wrong_speed_changes_lateral_distances_of_a_curved_array_half_as_much(tmp_path):
    planted = bench(tmp_path, "\n[sim.scanner_errors]\nconversion_m_s = 1600.0\n")
    figures = run_test(short(tmp_path), planted, out=tmp_path / "b", seed=2, tell=lambda _: None).figures()
    # Row at 40 mm of depth, radius 40 mm: x = (R + depth * k) sin(angle).
    assert figures["lateral_scale_percent"] == pytest.approx(0.5 * figures["axial_scale_percent"], abs=0.4)


def test_a_block_turned_round_ends_the_test_without_a_number(tmp_path):
    block = tmp_path / "turned.toml"
    text = config_file("simulated").parents[2].joinpath("hal/phantom/data/qa_ks107bg.toml").read_text()
    at = re.compile(r"\[(-?\d+(?:\.\d+)?), (\d+(?:\.\d+)?)\]")
    block.write_text(at.sub(lambda m: f"[{-float(m[1])}, {float(m[2])}]", text))
    with pytest.raises(CalibrationRefused, match="turned round"):
        run_test(short(tmp_path), bench(tmp_path, block=str(block)), out=tmp_path / "r", seed=2, tell=lambda _: None)
    results = analyse_qa(next((tmp_path / "r").glob("qa-*")))
    assert results.outcome.figures == () and "turned round" in results.verdict.reason


def test_another_block_than_the_acceptance_file_names_is_refused(tmp_path):
    with pytest.raises(CalibrationRefused, match=r"does not show QA block|turned round"):
        run_test(short(tmp_path), bench(tmp_path, block="qa_405gsx"), out=tmp_path / "r", tell=lambda _: None)


def test_a_recording_gives_the_figures_that_the_pictures_hold(tmp_path):
    """Two recordings, on the block and in air, of a scanner whose depth scale is wrong by 3 %."""
    probe, settings = load_config("simulated").probe, ImagingSettings(depth_mm=95.0)
    built = pour_block(load_block("qa_ks107bg"), 5, BuildErrors())
    renderer = Renderer(Scene.of(built.volume, dict(built.materials)), probe, "fast", seed=5)
    place = np.diag([1.0, 1.0, 1.03, 1.0]) @ ScanGrid.of(probe, settings, "fast").ImageToProbe

    def recorded(name: str, heights_mm) -> str:
        pixels, entries = [], []
        for k, (y, z) in enumerate(heights_mm):
            pose = np.eye(4)
            pose[:3, 3] = 0.0, y, z
            pixels.append(renderer.render(
                pose, settings, wires_mm=built.block.wires_mm, couplant_gap_mm=built.block.well_mm,
                sound_speed_m_s=1540.0,
            ))  # fmt: skip
            entries.append(FrameEntry(int(5e7) * k, {"ImageToProbe": place}))
        made = make_recording(tmp_path / name, entries, np.stack(pixels), header={SIMULATED_KEYS[0]: "True"})
        return write_recording(made, tmp_path / name)

    run = run_on_recordings(
        {0.0: recorded("column.igs.mha", [(-3.0, 0.0), (0.0, 0.0), (3.0, 0.0)])},
        test=short(tmp_path), in_air=recorded("air.igs.mha", [(0.0, -30.0)]), face_radius_mm=probe.radius_mm,
        out=tmp_path / "runs",
    )  # fmt: skip
    assert verify_run(run.path) == () and run.results.simulated and failed(run) >= {"US-AXIAL"}
    figures = run.figures()
    assert figures["axial_scale_percent"] == pytest.approx(3.0, abs=0.3)
    assert figures["penetration_mm"] > 80.0 and figures["cyst_contrast_db"] is None


LENS = "\nlens_mm = 0.6\ndepth_mm = 40.0\n"


def in_air(folder, more: str = "") -> str:
    path = bench(folder, more)
    text = (folder / "bench.toml").read_text().replace("[sim]\n", "[sim]" + LENS, 1)
    (folder / "bench.toml").write_text(text)
    return path


def test_a_healthy_probe_in_air_passes_and_its_bands_are_as_far_apart_as_its_lens_is_thick(tmp_path):
    run = run_test("ultrasound_air", in_air(tmp_path), out=tmp_path / "runs", seed=2, tell=lambda _: None)
    # 0.6 mm of lens at 1000 m/s, shown with 1540 m/s.
    assert run.verdict == "WOULD PASS" and run.figures()["band_spacing_mm"] == pytest.approx(0.924, abs=0.03)


def test_dead_elements_are_counted_in_air_down_to_a_single_one(tmp_path):
    planted = in_air(tmp_path, "\n[sim.scanner_errors]\ndead_elements = [30, 31, 80]\n")
    run = run_test("ultrasound_air", planted, out=tmp_path / "runs", seed=2, tell=lambda _: None)
    assert failed(run) == {"AIR-DIP", "AIR-COUNT"} and run.figures()["dips_n"] == 2.0


def test_a_probe_whose_picture_shows_no_bands_gives_no_number(tmp_path):
    run = run_test("ultrasound_air", bench(tmp_path), out=tmp_path / "runs", tell=lambda _: None)
    assert run.verdict == "NOT EVALUATED" and "is the probe in air" in run.results.verdict.reason
