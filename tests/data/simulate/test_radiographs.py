"""Simulated radiographs: physics in numbers, flaws in their boxes, files byte for byte."""

import dataclasses
import errno
import typing

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.simulate.radiograph_settings import (
    MATERIALS,
    RadiographSettings,
    check_radiographs,
)
from mindspore_dpus.data.simulate.radiographs import (
    FLAWS,
    SUBPOPULATIONS,
    expose,
    part,
    radiograph,
    simulate,
)
from tests.support import parse_config

FEW = RadiographSettings(enabled=True, train=(3, 2), val=(1, 1), test=(1, 1), size=16)
# As good as no noise, and no scatter: what is left is the part itself.
CLEAN = RadiographSettings(size=64, bits=16, photons=1e12, scatter=0.0)
TOP = 2**16 - 1
# Per mm at 80 keV, and the wall as a multiple of aluminium's.
MU = {"magnesium": 0.034, "aluminium": 0.054, "titanium": 0.184}
WALLS = {"magnesium": 1.4, "aluminium": 1.0, "titanium": 0.33}
MU_IRON = 0.47
SLAB_MM = 10.0


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def transmission(attenuation, rng=0, **changes):
    config = dataclasses.replace(CLEAN, **changes)
    return expose(np.random.default_rng(rng), attenuation, config) * 1.1 / TOP


@pytest.fixture
def slab(monkeypatch):
    """Every part is a slab of 10 mm, and every flaw a square of one depth in its middle."""
    square = np.zeros((CLEAN.size, CLEAN.size))
    square[24:40, 24:40] = 1.0
    module = "mindspore_dpus.data.simulate.radiographs"
    monkeypatch.setattr(f"{module}.part", lambda rng, size, *_: np.full((size, size), SLAB_MM))
    monkeypatch.setattr(f"{module}.flaw_shape", lambda *_: square)


def slab_image(material, flaw=None, contrast=0.5):
    """A clean radiograph of the slab as (attenuation around the flaw, in its middle, facts)."""
    config = dataclasses.replace(CLEAN, flaw_contrast=(contrast, contrast))
    image, facts = radiograph(np.random.default_rng(0), config, "plain", material, flaw)
    attenuation = -np.log(image * 1.1 / TOP)
    around = np.concatenate([attenuation[:20].ravel(), attenuation[44:].ravel()])
    return around, attenuation[28:36, 28:36], facts


def test_equal_seeds_give_equal_files_and_others_do_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert simulate(FEW, tmp_path / name, seed) == tmp_path / name / "manifest.csv"
    a, b, c = (files(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert all(a[path] != c[path] for path in a)


def test_the_manifest_describes_every_file(castings):
    table = pd.read_csv(castings / "manifest.csv")
    facts = ["flaw_size", "flaw_depth_mm", "box_x", "box_y", "box_w", "box_h"]
    kinds = ["subpopulation", "material", "flaw"]
    assert list(table) == ["path", "label", "split", "group", *kinds, *facts]
    assert set(table["path"]) == {
        path.relative_to(castings).as_posix() for path in castings.rglob("*.png")
    }
    assert table.groupby(["split", "label"]).size().to_dict() == {
        ("train", "normal"): 24,
        ("train", "defect"): 8,
        ("val", "normal"): 6,
        ("val", "defect"): 6,
        ("test", "normal"): 6,
        ("test", "defect"): 6,
    }
    assert (
        table["path"].str.split("/").str[:2].str.join("/") == table["split"] + "/" + table["label"]
    ).all()
    assert set(table["subpopulation"]) == set(SUBPOPULATIONS)
    assert set(table["material"]) == set(MU)
    defects = table[table["label"] == "defect"]
    assert set(defects["flaw"]) <= set(FLAWS)
    assert table["flaw"][table["label"] == "normal"].isna().all()
    assert table[facts][table["label"] == "normal"].isna().all(axis=None)
    assert (defects[["box_x", "box_y"]] >= 0).all(axis=None)
    assert (defects["box_x"] + defects["box_w"] <= 32).all()
    assert (defects["box_y"] + defects["box_h"] <= 32).all()
    assert (defects["flaw_size"] == defects[["box_w", "box_h"]].max(axis=1)).all()


def test_the_written_images_have_the_size_asked_for(castings):
    for path in castings.rglob("*.png"):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert (image.shape, image.dtype) == ((32, 32), np.uint8)


def test_a_folder_filled_again_holds_the_new_manifest(tmp_path):
    simulate(FEW, tmp_path, 0)
    simulate(dataclasses.replace(FEW, train=(1, 1)), tmp_path, 0)
    assert len(pd.read_csv(tmp_path / "manifest.csv")) == 6


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.csv", "path,label\nnormal/a.png,normal\n"),
        ("manifest.csv", ""),
        ("normal/a.png", "x"),
        ("train/normal/a.png", "x"),
        ("train/crack/000000.png", "x"),
        ("notes.txt", "x"),
    ],
)
def test_a_folder_with_files_of_the_user_is_refused_and_left_alone(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    before = files(tmp_path)
    with pytest.raises(UserError) as caught:
        simulate(FEW, tmp_path, 0)
    named = {"normal/a.png": "normal", "train/crack/000000.png": "train/crack"}.get(name, name)
    assert str(caught.value) == (
        f"{tmp_path} holds {named}, which no simulation has written; choose an empty folder"
    )
    assert files(tmp_path) == before


def test_a_file_is_no_folder_to_fill(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"notes\.txt is a file; choose an empty folder"):
        simulate(FEW, tmp_path / "notes.txt", 0)


def test_an_interrupted_simulation_is_filled_again(tmp_path):
    simulate(FEW, tmp_path / "whole", 0)
    for name in ("train/normal/000000.png", "val/defect/.000006.77.tmp.png", ".manifest.77.tmp.csv"):
        path = tmp_path / "torn" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"torn")
    simulate(FEW, tmp_path / "torn", 0)
    torn = {name: data for name, data in files(tmp_path / "torn").items() if ".tmp." not in name.name}
    assert torn == files(tmp_path / "whole")


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("subpopulation", SUBPOPULATIONS)
@pytest.mark.parametrize("material", MU)
def test_the_box_holds_the_flaw_and_nothing_else_changes(flaw, subpopulation, material):
    for seed in range(5):
        image, facts = radiograph(np.random.default_rng(seed), CLEAN, subpopulation, material, flaw)
        without, none = radiograph(np.random.default_rng(seed), CLEAN, subpopulation, material, None)
        assert none == {}
        change = np.log(image / without)
        # The detector's unsharpness carries a flaw's edge a little farther.
        box = np.zeros(image.shape, bool)
        rows = slice(max(facts["box_y"] - 2, 0), facts["box_y"] + facts["box_h"] + 2)
        columns = slice(max(facts["box_x"] - 2, 0), facts["box_x"] + facts["box_w"] + 2)
        box[rows, columns] = True
        strongest = np.unravel_index(np.abs(change).argmax(), change.shape)
        assert box[strongest]
        assert (change[strongest] < 0) == (flaw == "inclusion")
        assert np.abs(change[~box]).max() < 0.1 * np.abs(change[box]).max()
        # mu T: nowhere has more been taken away than the manifest says.
        mu = MU_IRON - MU[material] if flaw == "inclusion" else MU[material]
        # The manifest rounds to 0.001 mm.
        assert np.abs(change).max() <= mu * (facts["flaw_depth_mm"] + 0.0005) * 1.01


def test_sixteen_bits_hold_more_than_eight():
    config = RadiographSettings(size=32, bits=16)
    image, _ = radiograph(np.random.default_rng(0), config, "bright", "aluminium", None)
    assert image.dtype == np.uint16
    assert len(np.unique(image)) > 256
    assert image.max() > 255


def test_subpopulations_come_in_their_proportions(tmp_path):
    shares = np.array([0.1, 0.3, 0.6])
    config = RadiographSettings(
        train=(200, 0), val=(0, 0), test=(0, 0), size=16, proportions=tuple(shares)
    )
    table = pd.read_csv(simulate(config, tmp_path, 0))
    counts = table["subpopulation"].value_counts().reindex(SUBPOPULATIONS)
    assert np.all(np.abs(counts - 200 * shares) < 3 * np.sqrt(200 * shares * (1 - shares)))


@pytest.mark.parametrize("material", MU)
def test_each_material_has_its_coefficient(slab, material):
    around, middle, facts = slab_image(material)
    assert facts == {}
    assert around == pytest.approx(MU[material] * 10, abs=2e-4)
    assert middle == pytest.approx(MU[material] * 10, abs=2e-4)


@pytest.mark.parametrize("contrast", [0.2, 0.5])
@pytest.mark.parametrize("flaw", ["void", "shrinkage", "crack"])
@pytest.mark.parametrize("material", MU)
def test_air_takes_away_its_depth_of_the_material(slab, material, flaw, contrast):
    around, middle, facts = slab_image(material, flaw, contrast)
    assert facts["flaw_depth_mm"] == contrast * SLAB_MM
    assert around == pytest.approx(MU[material] * 10, abs=2e-4)
    assert middle == pytest.approx(MU[material] * (10 - contrast * 10), abs=2e-4)


# Iron that absorbs 5 mm of the material more than what it replaces: 5 mu / (0.47 - mu).
@pytest.mark.parametrize(
    ("material", "iron_mm"), [("magnesium", 0.390), ("aluminium", 0.649), ("titanium", 3.217)]
)
def test_an_inclusion_is_so_many_mm_of_iron_in_place_of_the_material(slab, material, iron_mm):
    around, middle, facts = slab_image(material, "inclusion")
    assert facts["flaw_depth_mm"] == iron_mm
    assert around == pytest.approx(MU[material] * 10, abs=2e-4)
    expected = MU[material] * (10 - iron_mm) + MU_IRON * iron_mm
    assert middle == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("subpopulation", SUBPOPULATIONS)
@pytest.mark.parametrize("material", MU)
def test_the_same_part_absorbs_about_alike_in_every_material(material, subpopulation):
    for seed in range(5):
        own, aluminium = (
            part(np.random.default_rng(seed), 32, subpopulation, name)
            for name in (material, "aluminium")
        )
        assert np.allclose(own, WALLS[material] * aluminium, rtol=1e-12)
        ratio = MU[material] * own / (MU["aluminium"] * aluminium)
        assert ratio == pytest.approx(1, abs=0.15)


def test_the_manifest_names_the_material_that_was_radiographed(tmp_path, slab):
    config = dataclasses.replace(CLEAN, train=(12, 0), val=(0, 0), test=(0, 0), size=16)
    table = pd.read_csv(simulate(config, tmp_path, 0))
    assert set(table["material"]) == set(MU)
    for name, material in zip(table["path"], table["material"], strict=True):
        image = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
        assert np.allclose(image * 1.1 / TOP, np.exp(-MU[material] * 10), rtol=2e-3)


@pytest.mark.parametrize("materials", [list(MU), ["titanium", "magnesium"], ["aluminium"]])
def test_parts_are_of_the_materials_asked_for_equally_often(tmp_path, materials):
    config = RadiographSettings(train=(200, 0), val=(0, 0), test=(0, 0), size=16, materials=materials)
    table = pd.read_csv(simulate(config, tmp_path, 0))
    counts = table["material"].value_counts()
    assert set(counts.index) == set(materials)
    share = 1 / len(materials)
    assert np.all(np.abs(counts - 200 * share) <= 3 * np.sqrt(200 * share * (1 - share)))
    # The draw of the material does not follow that of the sub-population.
    assert len(table.groupby(["subpopulation", "material"])) == 3 * len(materials)


def test_the_configuration_offers_the_materials_of_the_simulator():
    literal, _ = typing.get_args(typing.get_type_hints(RadiographSettings)["materials"])
    assert list(typing.get_args(literal)) == list(MATERIALS) == list(RadiographSettings().materials)
    assert {name: tuple(material) for name, material in MATERIALS.items()} == {
        name: (MU[name], WALLS[name]) for name in MU
    }


def test_materials_are_taken_from_a_file_and_from_options(tmp_path):
    (tmp_path / "given.yaml").write_text("simulate: {enabled: true, materials: [titanium]}")
    config = parse_config(["--config", str(tmp_path / "given.yaml")])
    assert config.simulate.materials == ("titanium",)
    given = parse_config(["--simulate.enabled=true", "--simulate.materials=[magnesium,titanium]"])
    assert given.simulate.materials == ("magnesium", "titanium")


@pytest.mark.parametrize("value", ["tin", "[tin]", "[aluminium,tin]", "[Aluminium]"])
def test_an_unknown_material_is_refused(value):
    with pytest.raises(UserError) as caught:
        parse_config(["--simulate.enabled=true", f"--simulate.materials={value}"])
    message = str(caught.value)
    assert message.startswith("configuration: ")
    assert "simulate.materials" in message
    assert "\n" not in message


def test_no_material_at_all_is_refused():
    settings = RadiographSettings(enabled=True, materials=())
    message = "configuration: simulate.materials is []; it must name at least one"
    with pytest.raises(UserError) as caught:
        check_radiographs(settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("material", MU)
def test_thin_parts_are_brighter_than_thick_ones(material):
    config = RadiographSettings(size=32)
    bright, rough, plain = (
        np.mean(
            [
                radiograph(np.random.default_rng(seed), config, kind, material, None)[0].mean()
                for seed in range(12)
            ]
        )
        for kind in ("bright", "rough", "plain")
    )
    assert bright > 1.5 * rough
    assert rough > 1.3 * plain


def test_transmission_follows_beer_and_lambert():
    attenuation = np.tile(np.linspace(0.5, 0.52, 32), (32, 1))
    once, twice = transmission(attenuation, size=32), transmission(2 * attenuation, size=32)
    assert np.allclose(once, np.exp(-attenuation), rtol=2e-3)
    assert np.allclose(twice, once**2, rtol=2e-3)


@pytest.mark.parametrize("photons", [100.0, 1000.0, 10000.0])
def test_noise_is_that_of_the_photons_and_the_read_out(photons):
    image = transmission(np.full((64, 64), 0.5), photons=photons)
    expected = np.sqrt(photons * np.exp(-0.5) + 2.0**2) / photons
    assert image.std() == pytest.approx(expected, rel=0.05)
    assert image.mean() == pytest.approx(np.exp(-0.5), rel=0.01)


def test_scatter_hides_its_share_of_fine_detail_and_keeps_the_mean():
    stripes = np.tile([0.2, 0.2, 1.0, 1.0], (32, 8))
    sharp, hazy = (transmission(stripes, size=32, scatter=s) for s in (0.0, 0.3))
    assert hazy[8:-8, 8:-8].std() == pytest.approx(0.7 * sharp[8:-8, 8:-8].std(), rel=0.01)
    assert hazy.mean() == pytest.approx(sharp.mean(), rel=1e-3)


def test_a_full_disk_is_an_error_and_leaves_no_torn_image(tmp_path, small_disk):
    config = RadiographSettings(train=(20, 8), val=(1, 1), test=(1, 1), size=64)
    with pytest.raises(OSError, match=r"disk|space") as caught:
        simulate(config, small_disk / "data", 0)
    assert caught.value.errno == errno.ENOSPC
    assert not (small_disk / "data/manifest.csv").exists()
    for path in small_disk.rglob("*.png"):
        assert read_image(path).values.shape == (64, 64)
