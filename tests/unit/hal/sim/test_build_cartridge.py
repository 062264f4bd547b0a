"""Pouring a phantom into voxels."""

import numpy as np
import pytest

from hal.phantom.materials import by_label, materials
from hal.phantom.nominal import NominalPhantom, load_phantom
from hal.sim import raster
from hal.sim.build import AsBuilt, BuildErrors, build
from hal.sim.volume import LabelVolume


@pytest.fixture(scope="module")
def nominal() -> NominalPhantom:
    return load_phantom("lumbar_ref")


@pytest.fixture(scope="module")
def designed(nominal: NominalPhantom) -> AsBuilt:
    return build(nominal, 0, BuildErrors.none())


@pytest.fixture(scope="module")
def poured(nominal: NominalPhantom) -> AsBuilt:
    return build(nominal, 5)


def test_labels_of_the_kernels_are_those_of_the_materials_file() -> None:
    names = {
        "skin": raster.SKIN, "fat": raster.FAT, "fascia": raster.FASCIA, "muscle": raster.MUSCLE,
        "ligament": raster.LIGAMENT,
        "intertransverse_ligament": raster.INTERTRANSVERSE, "ligamentum_flavum": raster.FLAVUM,
        "epidural_fat": raster.EPIDURAL_FAT, "csf": raster.CSF, "dura": raster.DURA, "perineural": raster.PERINEURAL,
        "nerve_rim": raster.NERVE_RIM, "nerve_core": raster.NERVE_CORE, "artery": raster.ARTERY, "vein": raster.VEIN,
        "bone": raster.BONE, "disc": raster.DISC, "cartilage": raster.CARTILAGE,
    }  # fmt: skip
    assert {name: materials()[name].label for name in names} == names
    assert materials()["couplant"].label == 0


def test_same_seed_gives_the_same_voxels_and_another_seed_others(nominal: NominalPhantom, poured: AsBuilt) -> None:
    again = build(nominal, 5)
    assert np.array_equal(again.volume.labels, poured.volume.labels)
    assert again.sound_speed_m_s == poured.sound_speed_m_s
    other = build(nominal, 6)
    assert not np.array_equal(other.volume.labels, poured.volume.labels)


def test_every_material_is_in_the_volume(designed: AsBuilt) -> None:
    assert set(np.unique(designed.volume.labels)) == set(by_label()) - {0}
    assert designed.volume.labels.flags.c_contiguous and designed.volume.labels.dtype == np.uint8
    assert designed.volume.labels.nbytes < 100e6


def test_voxels_of_bone_are_the_bones(designed: AsBuilt) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-90, -100, 1], [90, 120, 115], (60000, 3))
    distance = designed.scene.distance_mm(points)
    label = designed.volume.label_at(points)
    clear = np.abs(distance) > 0.9  # half a voxel diagonal and the blending of blocks
    wrong = (label[clear] == raster.BONE) != (distance[clear] < 0)
    # nerves, vessels and gap cartilage are never drawn into bone
    assert wrong.mean() < 2e-4


def test_needle_meets_the_layers_in_their_order(designed: AsBuilt) -> None:
    target = designed.target("L4", "left")
    entry = target.nerve_centre_mm + target.nerve_centre_mm[2] * np.array([np.tan(np.radians(30)), 0.0, -1.0])
    path = entry + np.linspace(0.002, 1, 600)[:, None] * (target.nerve_centre_mm - entry)
    names = [by_label()[int(n)].name for n in designed.volume.label_at(path)]
    order = [names.index(n) for n in ("skin", "fat", "fascia", "muscle", "perineural", "nerve_rim", "nerve_core")]
    assert order == sorted(order)
    assert "intertransverse_ligament" in names and "bone" not in names


def test_aim_points_lie_in_perineural_gel(designed: AsBuilt, poured: AsBuilt) -> None:
    for built in (designed, poured):
        for (level, _side), target in built.targets.items():
            lateral = 1.0 if target.nerve_centre_mm[0] > 0 else -1.0
            direction = np.array([-0.4 * lateral, 0.0, 0.9]) if level != "S1" else target.channel.axis
            assert built.structure_at(target.aim_mm(direction)) in ("perineural", "muscle"), (level, _side)


def test_structures_are_named(designed: AsBuilt, nominal: NominalPhantom) -> None:
    assert designed.structure_at(designed.target("L5", "right").nerve_centre_mm) == "L5_right.nerve"
    assert designed.structure_at(nominal.landmarks["L4.pedicle_centre.left"]) == "L4.pedicle"
    assert designed.structure_at(nominal.landmarks["L4.spinous_tip"] + [0, 0, 2]) == "L4.spinous"
    assert designed.structure_at(np.array([0.0, 0.0, -5.0])) == "couplant"
    artery = next(c for c in designed.vessels if c.kind == "artery" and c.level == "L4" and c.side == "left")
    assert designed.structure_at(artery.line_mm[len(artery.line_mm) // 2]) == "L4_left.artery"


def test_facet_joints_have_a_cartilage_cleft(designed: AsBuilt, nominal: NominalPhantom) -> None:
    joint = nominal.landmarks["L4.facet_below.left"]
    box = joint + np.random.default_rng(2).uniform(-6, 6, (4000, 3))
    labels = designed.volume.label_at(box)
    assert (labels == raster.CARTILAGE).mean() > 0.03
    assert (labels == raster.BONE).mean() > 0.3


def test_pour_departs_from_the_drawing_by_its_build_errors(nominal: NominalPhantom) -> None:
    coarse = BuildErrors(voxel_mm=4.0)
    shifts = []
    for seed in range(30):
        built = build(nominal, seed, coarse)
        for key, target in built.targets.items():
            shifts.append(target.nerve_centre_mm / built.scale - nominal.targets[key].nerve_centre_mm)
    spread = np.std(np.array(shifts), axis=0)
    # vertebra 0.4, nerve 0.3, turn 0.5 deg x ~30 mm = 0.25: about 0.55 per axis
    assert (spread > 0.4).all() and (spread < 0.75).all()


def test_scale_and_speed_follow_age_and_temperature(nominal: NominalPhantom) -> None:
    warm = build(nominal, 1, BuildErrors(voxel_mm=4.0, temperature_c=27.0))
    cool = build(nominal, 1, BuildErrors(voxel_mm=4.0, temperature_c=22.0))
    assert warm.sound_speed_m_s - cool.sound_speed_m_s == pytest.approx(12.5)
    dry = build(nominal, 1, BuildErrors(voxel_mm=4.0, sealed=False, age_days=6.0))
    assert dry.sound_speed_m_s - cool.sound_speed_m_s == pytest.approx(3.0)
    assert 1.0 < cool.scale < 1.007


def test_points_outside_the_volume_are_couplant() -> None:
    volume = LabelVolume(np.full((2, 2, 2), 4, dtype=np.uint8), np.zeros(3), 1.0)
    inside = volume.label_at(np.array([[0.4, 0.4, 0.4], [1.4, 1.4, 1.4], [-0.6, 0, 0], [0, 0, 1.6]]))
    assert inside.tolist() == [4, 4, 0, 0]
    assert volume.label_at_point(0.0, 0.0, 1.0) == 4
