"""Loading a phantom, its targets, variants and look-ups."""

from pathlib import Path

import numpy as np
import pytest

from hal.errors import ConfigError
from hal.phantom.materials import by_label, materials
from hal.phantom.nominal import NominalPhantom, load_phantom, nominal_phantom
from hal.phantom.spec import read_spec


@pytest.fixture(scope="module")
def ref() -> NominalPhantom:
    return load_phantom("lumbar_ref")


def _posed(**changes: object) -> NominalPhantom:
    spec = read_spec("lumbar_ref")
    return nominal_phantom(spec.model_copy(update={"anatomy": spec.anatomy.model_copy(update=changes)}))


def test_aim_point_is_1_5_mm_outside_the_nerve_on_the_needle_side(ref: NominalPhantom) -> None:
    target = ref.target("L4", "left")
    direction = np.array([-0.5, 0.0, np.sqrt(0.75)])
    aim = target.aim_mm(direction)
    assert target.gap_mm(aim) == pytest.approx(1.5)
    assert (aim - target.nerve_centre_mm) @ direction < 0
    assert (aim - target.nerve_centre_mm) @ target.nerve_axis == pytest.approx(0.0, abs=1e-9)


def test_a_needle_along_the_nerve_has_no_aim_point(ref: NominalPhantom) -> None:
    target = ref.target("L5", "right")
    with pytest.raises(ConfigError, match="along the nerve"):
        target.aim_mm(target.nerve_axis)


def test_s1_channel_leads_11_mm_down_and_29_degrees_medially(ref: NominalPhantom) -> None:
    channel = ref.target("S1", "left").channel
    assert channel is not None
    depth, offset = channel.depth_and_offset_mm(ref.target("S1", "left").nerve_centre_mm)
    assert depth == pytest.approx(11.0, abs=0.3) and offset == pytest.approx(0.0, abs=1e-6)
    sideways = np.degrees(np.arctan2(-channel.axis[0], np.hypot(*channel.axis[1:])))
    assert sideways == pytest.approx(29.2, abs=2.0)
    assert ref.target("L4", "left").channel is None


@pytest.mark.parametrize("side", ["left", "right"])
def test_s1_channel_is_open_from_the_rim_to_the_root(ref: NominalPhantom, side: str) -> None:
    channel = ref.target("S1", side).channel
    assert channel is not None
    along = channel.rim_mm + np.linspace(0, 1, 30)[:, None] * (channel.inner_mm - channel.rim_mm)
    assert ref.bones().distance_mm(along).min() > 3.0


@pytest.mark.parametrize("index", range(10))
def test_no_root_runs_through_bone(ref: NominalPhantom, index: int) -> None:
    nerve = ref.nerves[index]
    assert (ref.bones().distance_mm(nerve.line_mm) - nerve.radius_mm).min() > 0.2


def test_unknown_target_names_the_known_ones(ref: NominalPhantom) -> None:
    with pytest.raises(ConfigError, match=r"no target 'L9'.*L4"):
        ref.target("L9", "left")


def test_distance_grid_agrees_with_the_shapes(ref: NominalPhantom) -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform([-60, -90, 5], [60, 110, 110], (4000, 3))
    exact = ref.bones().distance_mm(points)
    near = np.abs(exact) < 12.0
    error = ref.bone_distance(points)[near] - exact[near]
    assert np.percentile(np.abs(error), 99) < 0.5


def test_dorsal_points_lie_on_bone_and_carry_names(ref: NominalPhantom) -> None:
    points, names = ref.dorsal_bone_points(4.0)
    assert len(points) == len(names) > 800
    assert np.abs(ref.bones().distance_mm(points)).max() < 0.2
    assert {"L4.lamina", "L4.spinous", "L4.transverse", "sacrum.median_crest", "ilium.iliac_crest"} <= set(names)


def test_bodies_do_not_fuse_across_facets_however_the_chain_is_posed() -> None:
    bent = _posed(lordosis_factor=1.0)
    parts = bent.bones()
    upper = parts.subset(("L4",)).distance_mm
    whole = parts.distance_mm
    rng = np.random.default_rng(1)
    points = rng.uniform([8, -20, 30], [30, 25, 60], (20000, 3))
    gap = (upper(points) > 0.05) & (upper(points) < 1.4)
    own = whole(points)[gap]
    assert gap.sum() > 500
    assert (own > 0).all()


def test_heavier_phantom_is_deeper_everywhere() -> None:
    slim, heavy = _posed(s0_mm=None, bmi=20.0), _posed(s0_mm=None, bmi=32.0)
    deeper = heavy.target("L4", "left").nerve_centre_mm - slim.target("L4", "left").nerve_centre_mm
    np.testing.assert_allclose(deeper, [0, 0, 1.2 * 12.0], atol=0.01)
    assert heavy.layers.fat_mm > slim.layers.fat_mm + 9


def test_sacralised_l5_sits_close_to_the_sacrum() -> None:
    free, fused = _posed(), _posed(variant="sacralised_L5")

    def gap(phantom: NominalPhantom) -> float:
        return float(phantom.landmarks["L5.origin"][1] - phantom.landmarks["S1.endplate_centre"][1])

    assert gap(fused) < gap(free) - 3.0


def test_lumbarised_s1_adds_a_sixth_free_vertebra() -> None:
    phantom = _posed(variant="lumbarised_S1")
    assert [bone.name for bone in phantom.bones().bones] == ["L1", "L2", "L3", "L4", "L5", "S1", "sacrum", "ilium"]
    assert phantom.landmarks["S1.endplate_centre"][1] < _posed().landmarks["S1.endplate_centre"][1] - 20.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\n[anatomy]\nlordosis = 1', "lordosis"),
        ('name = "x"\n[anatomy]\nbmi = 90', "bmi"),
        ("name = ", "not a TOML file"),
        ('name = "x"\n[anatomy]\nvariant = "odd"', "variant"),
    ],
)
def test_bad_phantom_file_is_refused_with_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_phantom(str(path))


def test_unknown_phantom_names_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="lumbar_ref"):
        load_phantom("lumber_ref")


def test_a_users_file_gives_a_phantom(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[anatomy]\nbmi = 30.0\n')
    assert load_phantom(str(path)).layers.fat_mm > 12.0


def test_materials_have_unique_labels_and_the_signatures_of_a_gel_phantom() -> None:
    rows = materials()
    assert sorted(by_label()) == list(range(len(rows)))
    assert rows["nerve_core"].opening_kpa >= 148
    assert 26 <= rows["perineural"].opening_kpa <= 42
    assert rows["epidural_fat"].opening_kpa < 0.5 * rows["ligamentum_flavum"].plateau_kpa
    assert rows["bone"].impedance_mrayl > 3 * rows["muscle"].impedance_mrayl
    assert rows["muscle"].opening_kpa == pytest.approx(5 * rows["muscle"].youngs_kpa / 6 + 0.7, abs=0.5)
