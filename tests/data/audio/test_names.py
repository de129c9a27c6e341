"""Names of four years of DCASE, written down by hand."""

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.names import parse_attributes, parse_name, section_name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # 2020
        ("dev_data/fan/train/normal_id_00_00000000.wav", "fan 00 unknown train normal -"),
        ("dev_data/pump/test/anomaly_id_06_00000142.wav", "pump 06 unknown test anomaly -"),
        ("eval_data/ToyCar/test/id_07_00000001.wav", "ToyCar 07 unknown test unknown -"),
        # 2021
        (
            "dev_data/fan/train/section_00_source_train_normal_0000_strength_1_ambient.wav",
            "fan 00 source train normal strength_1_ambient",
        ),
        (
            "dev_data/fan/target_test/section_02_target_test_anomaly_0099.wav",
            "fan 02 target test anomaly -",
        ),
        ("fan/source_test/section_03_source_test_0000.wav", "fan 03 source test unknown -"),
        # 2022
        (
            "dev_data/bearing/test/section_01_target_test_normal_0049_vel_6_loc_A.wav",
            "bearing 01 target test normal vel_6_loc_A",
        ),
        (
            "dev_data/ToyCar/train/section_05_source_train_normal_0989_noAttribute.flac",
            "ToyCar 05 source train normal -",
        ),
        ("eval_data/valve/test/section_03_test_0199.wav", "valve 03 unknown test unknown -"),
        # 2023
        ("bandsaw/test/section_00_0012.wav", "bandsaw 00 unknown test unknown -"),
        (
            "grinder/train/section_00_source_train_normal_0001_grindstone_1_plate_2.wav",
            "grinder 00 source train normal grindstone_1_plate_2",
        ),
    ],
)
def test_names_of_four_years(path, expected):
    assert [value or "-" for value in parse_name(path)] == expected.split()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("fan/train/recording 1.wav", "is not named as DCASE names its clips"),
        ("fan/train/section_00_source_train_weird_0000.wav", "is not named as DCASE"),
        ("fan/train/section_x_source_train_normal_0000.wav", "is not named as DCASE"),
        ("fan/section_00_source_train_normal_0000.wav", "does not lie in <machine>/"),
        ("fan/good/section_00_source_train_normal_0000.wav", "does not lie in <machine>/"),
        ("train/section_00_source_train_normal_0000.wav", "does not lie in <machine>/"),
        ("section_00_source_train_normal_0000.wav", "does not lie in <machine>/"),
        (
            "fan/test/section_00_source_train_normal_0000.wav",
            "is of the split train by its name, but lies in test",
        ),
        (
            "fan/source_test/section_00_target_test_normal_0000.wav",
            "is of the domain target by its name, but lies in source_test",
        ),
    ],
)
def test_other_names_are_refused(path, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_name(path)
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("noAttribute", {}),
        ("vel_6_loc_A", {"vel": "6", "loc": "A"}),
        ("strength_1_ambient", {"strength": "1", "ambient": ""}),
        ("m-n_W", {"m-n": "W"}),
        ("vel_300_ac_0.03", {"vel": "300", "ac": "0.03"}),
        ("0_g_25_mm_2000_mV_none", {"g": "0", "mm": "25", "mV": "2000", "none": ""}),
        ("pattern_00_no_pump", {"pattern": "00", "no": "pump"}),
        ("A1Spd28VMic1", {"A1Spd28VMic1": ""}),
        ("7", {"7": ""}),
        ("1_2", {"1": "2"}),
    ],
)
def test_attributes(text, expected):
    assert parse_attributes(text) == expected


def test_an_attribute_twice_is_refused():
    with pytest.raises(UserError, match="'vel_6_vel_7' name 'vel' twice"):
        parse_attributes("vel_6_vel_7")


def test_one_spelling_of_sections():
    names = ("0", "00", "7", "12", "123", "M1", "")
    assert [section_name(s) for s in names] == ["00", "00", "07", "12", "123", "M1", ""]
