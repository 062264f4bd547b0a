"""One wrong line in a file that is right: refused with the key, the value, what is allowed and the line."""

import re

import pytest

from experiments.fits import misfits
from experiments.protocol.study import load_study
from experiments.protocol.technique import load_technique, shipped
from hal.errors import ConfigError
from hal.phantom.nominal import load_phantom
from hal.phantom.spec import phantom_file
from rig.config import load_config, parse_config

RIG = "[rig]\nname = 't'\nsimulated = true\n[devices.holder]\ndriver = 'grblhal_holder'\nurl = 'rigsim://holder'\n"
STUDY = """[study]
id = "one"
title = "t"
objective = "o"
[design]
techniques = ["L4_LM", "L4_IP_T"]
[[criteria]]
id = "C"
text = "c"
metric = "tte_mm"
statistic = "median"
comparison = "<="
limit = 3.0
"""


def changed(text: str, line: str) -> str:
    """The text with one key set: in place where it stands, else below the header of its table."""
    table, _, pair = line.rpartition("|")
    key = pair.split(" = ")[0]
    head = ("\n" + text).index(f"\n[{table}]") if table else 0
    end = text.find("\n[", head + 1) if table else text.index("\n[")
    part = text[head : end if end > 0 else len(text)]
    now, n = re.subn(rf"(?m)^{key} = .*$", pair, part, count=1)
    if not n:
        first = part.index("\n") + 1
        now = part[:first] + pair + "\n" + part[first:]
    return text[:head] + now + text[head + len(part) :]


def refused(load, path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(str(path))
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("injection|volume_ml = 500", "injection.volume_ml = 500: must lie between 0.01 and 20"),
        ("injection|rate_ml_min = 60", "injection.rate_ml_min = 60: must lie between 0.05 and 20"),
        ("injection|test_total_max_ml = 0.1", "test_total_max_ml = 0.1: must not be less than one test injection"),
        ("advance|confirm_order = []", "advance.confirm_order"),
        ('advance|confirm_order = ["fluid", "fluid"]', "names a way of confirming twice"),
        ("acceptance|radius_mm = -5", "acceptance.radius_mm = -5: must lie between 0.5 and 20"),
        ("acceptance|strict_mm = 6.0", "acceptance.strict_mm = 6.0: must not be above radius_mm = 5"),
        ("acceptance|gap_lo_mm = 4.0", "acceptance.gap_lo_mm = 4.0: must be below gap_hi_mm = 3"),
        ("acceptance|channel_radius_mm = 4.2", "a channel has both a radius and a depth"),
        ("path|bone_clearance_mm = -10", "path.bone_clearance_mm = -10: must lie between 0 and 20"),
        ("path|depth_beyond_mm = nan", "path.depth_beyond_mm = nan: must be a finite number and lie between 0 and 20"),
        ("advance|speed_mm_s = inf", "advance.speed_mm_s = inf: must be a finite number"),
        ("path|lateral_deg = { preferred = 0.66, lo = 0.49, hi = 0.8 }", "narrower than 2 deg; is it in radians?"),
        ("path|lateral_deg = { preferred = 80, lo = 70, hi = 85 }", "must lie between -65 and 65"),
        ("advance|fan_tilt_deg = 0.3", "is it in radians?"),
        ("scan|sweep_y_mm = [87.0, -95.0]", "must end at least one step"),
        ("scan|sweep_step_mm = 0.001", "must lie between 1 and 50"),
        ("scan|longitudinal_x_mm = []", "scan.longitudinal_x_mm"),
        ("scan|indentation_mm = 30", "scan.indentation_mm = 30: must lie between 0 and 10"),
        ("advance|time_max_s = -1", "advance.time_max_s = -1: must lie between 1 and 7200"),
        ("advance|superficial_mm = 300", "advance.superficial_mm = 300: must lie between 0 and 60"),
        ("advance|near_bone_zone_mm = 150", "must lie between 5 and 110: the needle 22G_quincke_120 reaches 110 mm"),
        ("[checklist]|wait_s = -5", "wait_s = -5: must lie between 0 and 7200"),
        ('[checklist]|id = "PRE2"', "another item of this checklist has the same id"),
        ('|id = "../L4"', "id = '../L4': must be 1 to 64 of the characters"),
        ('|needle = "22G_quincke_12"', "did you mean 22G_quincke_120"),
    ],
)
def test_a_wrong_line_of_a_technique_is_refused(tmp_path, line, says):
    path = tmp_path / "wrong.toml"
    text = changed(shipped()["L4_IP_T"].read_text(), line)
    message = refused(load_technique, path, text)
    assert says in message, message
    value = line.rpartition("|")[2]
    (number,) = {int(n) for n in re.findall(r"line (\d+): ", message)}
    assert text.splitlines()[number - 1] == value or value.split(" = ")[0] in text.splitlines()[number - 1]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("landmark|depth_mm = 115", "must lie between 5 and 110: the needle 22G_quincke_120 reaches 110 mm"),
        ("landmark|depth_mm = 500", "landmark.depth_mm = 500: must lie between 5 and 250"),
        ("landmark|lateral_deg = 0.35", "is it in radians?"),
        ('landmark|palpate = "L9.spinous"', "landmark.palpate = 'L9.spinous'"),
        ('|needle = "23G_short_60"', "reaches 50 mm"),
    ],
)
def test_a_wrong_line_of_a_landmark_technique_is_refused(tmp_path, line, says):
    assert says in refused(load_technique, tmp_path / "x.toml", changed(shipped()["L4_LM"].read_text(), line))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("study|seed = -1", "study.seed = -1: must lie between 0 and 4294967295"),
        ("study|seed = 1.5", "must be a whole number"),
        ('study|id = "../../escaped"', "study.id = '../../escaped': must be 1 to 64"),
        ('study|id = ".hidden"', "not begin with a dot"),
        ("design|repeats = 1000000", "design.repeats = 1000000: must lie between 1 and 1000"),
        ('design|sides = ["left", "left"]', "named twice: left"),
        ("design|sides = []", "design.sides"),
        ('design|techniques = ["L4_LM", "L4_LM"]', "named twice: L4_LM"),
        ("design|techniques = []", "design.techniques"),
        ("design|cartridge_age_h = -1", "cartridge_age_h = -1: must lie between 0 and 8760"),
        ("[criteria]|limit = nan", "criteria[0].limit = nan: must be a finite number"),
        ("[criteria]|limit = 3000.0", "must lie between -200 and 200 mm"),
        ('[criteria]|unit = "cm"', "criteria[0].unit = 'cm': criterion C: the unit of tte_mm is 'mm'"),
        ('[criteria]|unit = ""', "the unit of tte_mm is 'mm'"),
        ('[criteria]|select = { outcome = "success" }', "outcome is a result"),
        ('[criteria]|select = { end_reason = "", level_correct = "True" }', "level_correct is a result"),
        ('[criteria]|select = { plane = ["landmark", "in_plan"] }', "'in_plan': criterion C: select chooses no trial"),
    ],
)
def test_a_wrong_line_of_a_study_is_refused(tmp_path, line, says):
    message = refused(load_study, tmp_path / "study.toml", changed(STUDY, line))
    assert says in message, message
    assert re.search(r"study\.toml, line \d+: ", message)


def test_a_share_above_one_is_no_limit_of_a_yes_no_column(tmp_path):
    text = STUDY.replace("tte_mm", "success").replace("median", "success_lower_95").replace("<=", ">=")
    assert "limit = 3.0: criterion C: must lie between 0 and 1" in refused(load_study, tmp_path / "s.toml", text)


def test_one_technique_under_two_names_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_text(shipped()["L4_LM"].read_text())
    text = STUDY.replace('"L4_IP_T"', '"mine.toml"')
    assert "have the same id, L4_LM" in refused(load_study, tmp_path / "s.toml", text)


def test_the_unit_left_out_is_that_of_the_column(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(STUDY)
    assert load_study(str(path)).criteria[0].unit == "mm"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("anatomy|bmi = 38", "anatomy.s0_mm = 12.0: bmi = 38 means 28.2 mm"),
        ("box|high_mm = [95.0, 125.0, 55.0]", "the target L2 left at X"),
        ("box|high_mm = [-95.0, 125.0, 120.0]", "X ends at -95 mm, which is not 50 mm beyond where it begins, -95 mm"),
        ("box|low_mm = [-95.0, -105.0, 3.0]", "Z begins at 0, the skin"),
        ('[fiducial]|name = "F2"', "another fiducial has the same name"),
        ("[fiducial]|at_mm = [-88.0, -95.0, 400.0]", "Z = 400 lies off the box"),
        ("[fiducial]|at_mm = [88.0, -95.0, 1.0]", "lies within 5 mm of F1"),
        ('|name = "a/b"', "name = 'a/b': must be 1 to 64"),
        ("layers|skin_mm = inf", "layers.skin_mm = inf: must be a finite number and lie between 0.2 and 5"),
    ],
)
def test_a_wrong_line_of_a_phantom_is_refused(tmp_path, line, says):
    message = refused(load_phantom, tmp_path / "p.toml", changed(phantom_file("lumbar_ref").read_text(), line))
    assert says in message, message


def fits(tmp_path, technique: str, line: str, rig: str = "", phantom: str = "") -> str:
    path = tmp_path / "t.toml"
    path.write_text(changed(shipped()[technique].read_text(), line) if line else shipped()[technique].read_text())
    designed = load_phantom()
    if phantom:
        (tmp_path / "p.toml").write_text(changed(phantom_file("lumbar_ref").read_text(), phantom))
        designed = load_phantom(str(tmp_path / "p.toml"))
    return "\n".join(misfits({str(path): load_technique(str(path))}, parse_config(RIG + rig), designed))


@pytest.mark.parametrize(
    ("technique", "line", "says"),
    [
        (
            "L4_IP_T",
            "injection|volume_ml = 6",
            "injection.volume_ml = 6.0: is more than limits.volume.injection_ml = 5",
        ),
        ("L4_IP_T", "injection|rate_ml_min = 8", "is more than limits.volume.rate_ml_min = 6"),
        ("L4_IP_T", "injection|test_total_max_ml = 2", "is more than limits.volume.test_total_ml = 1"),
        ("L4_IP_T", "advance|speed_mm_s = 6", "is more than limits.motion.needle_speed_mm_s = 5"),
        ("L4_IP_T", "scan|speed_mm_s = 40", "is more than limits.motion.probe_speed_mm_s = 30"),
        ("L4_IP_T", "scan|sweep_y_mm = [-200.0, 87.0]", "-200 is beside the phantom lumbar_ref"),
        ("S1_OOP", "advance|superficial_mm = 55.0", "is beyond the target"),
        ("L4_IP_T", '|needle = "23G_short_60"', "the shortest path to L4 of lumbar_ref is"),
    ],
)
def test_what_contradicts_rig_or_phantom_is_found_before_anything_moves(tmp_path, technique, line, says):
    message = fits(tmp_path, technique, line)
    assert says in message and "t.toml, line " in message, message


def test_a_landmark_depth_below_the_floor_is_found(tmp_path):
    message = fits(tmp_path, "L4_LM", "landmark|depth_mm = 105", phantom="box|high_mm = [95.0, 125.0, 90.0]")
    assert "the phantom lumbar_ref is 90 mm deep" in message


@pytest.mark.parametrize("rig", ["simulated", "core", "freehand", "bench_example"])
def test_the_shipped_study_fits_every_shipped_rig(rig):
    study = load_study("lumbar")
    assert misfits(study.loaded(), load_config(rig), load_phantom(study.design.phantom)) == []
