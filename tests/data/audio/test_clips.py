"""The sample table of clips: by DCASE's folders, by manifest, and what is refused."""

import os
from pathlib import Path

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.clips import COLUMNS, find_clips
from mindspore_dpus.data.audio.reading import read_clip
from tests.support import logged

SHARED = Path(__file__).parents[4] / "shared" / "data" / "machine_sound"

HEAD = "path,machine,section,domain,split,label,group"


def touched(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"RIFF")
    return root


def manifest(root, *lines, head=HEAD):
    (root / "manifest.csv").write_text("\n".join([head, *lines]) + "\n")
    return root


def test_folders_of_the_challenge(tmp_path):
    touched(
        tmp_path,
        "dev_data/fan/train/section_00_source_train_normal_0000_m-n_W.wav",
        "dev_data/fan/test/section_00_target_test_anomaly_0001_noAttribute.wav",
        "dev_data/fan/attributes_00.csv",
        "eval_data/fan/test/section_03_test_0000.wav",
    )
    table = find_clips(tmp_path)
    assert list(table) == COLUMNS
    assert table.to_numpy().tolist() == [
        [
            "dev_data/fan/test/section_00_target_test_anomaly_0001_noAttribute.wav",
            *("fan", "00", "target", "test", "anomaly", "", ""),
        ],
        [
            "dev_data/fan/train/section_00_source_train_normal_0000_m-n_W.wav",
            *("fan", "00", "source", "train", "normal", "m-n_W", ""),
        ],
        [
            "eval_data/fan/test/section_03_test_0000.wav",
            *("fan", "03", "unknown", "test", "unknown", "", ""),
        ],
    ]


def test_any_folder_above_the_machines_and_one_machine(tmp_path, monkeypatch):
    touched(tmp_path, "dev_data/fan/train/normal_id_02_00000000.wav")
    for root in (tmp_path, tmp_path / "dev_data", tmp_path / "dev_data/fan"):
        table = find_clips(root)
        assert table[["machine", "section"]].to_numpy().tolist() == [["fan", "02"]]
        assert (root / table["path"][0]).is_file()
    monkeypatch.chdir(tmp_path / "dev_data/fan")
    assert find_clips(Path())["machine"].tolist() == ["fan"]


def test_a_training_split_of_one_class_is_enough(tmp_path):
    touched(tmp_path, *(f"fan/train/section_00_source_train_normal_{i:04d}.wav" for i in range(3)))
    assert find_clips(tmp_path)["label"].tolist() == ["normal"] * 3


def test_a_manifest_orders_and_adds(tmp_path):
    manifest(
        tmp_path,
        "b.wav,fan,0,source,train,normal,day1,5",
        "a.wav,fan,1,,test,anomaly,day2,6",
        "c.wav,outlier,,,train,dog_bark,,7",
        "d.wav,pump,M1,target,,unknown,,8",
        head=f"{HEAD},seconds",
    )
    table = find_clips(tmp_path)
    assert list(table) == [*COLUMNS, "seconds"]
    assert table.to_numpy().tolist() == [
        ["b.wav", "fan", "00", "source", "train", "normal", "", "day1", "5"],
        ["a.wav", "fan", "01", "unknown", "test", "anomaly", "", "day2", "6"],
        ["c.wav", "outlier", "", "unknown", "train", "dog_bark", "", "", "7"],
        ["d.wav", "pump", "M1", "target", "", "unknown", "", "", "8"],
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.wav,fan,0,src,train,normal,", "line 2 has the domain 'src'; allowed are source, target"),
        ("a.wav,fan,0,,train,good,", "line 2 has the label 'good'; allowed are normal, anomaly"),
        ("a.wav,fan,,,train,normal,", "line 2 has an empty section"),
        ("a.wav,,0,,train,normal,", "line 2 has an empty machine"),
        ("a.wav,fan,0,,train,,", "line 2 has an empty label"),
        ("a.wav,fan,0,,dev,normal,", "has the split 'dev'"),
        ("../a.wav,fan,0,,train,normal,", "climbs with '..'"),
    ],
)
def test_what_a_manifest_may_not_say(tmp_path, line, message):
    with pytest.raises(UserError, match=f"manifest.csv {message}|names .* {message}") as caught:
        find_clips(manifest(tmp_path, line))
    assert "\n" not in str(caught.value)


def test_a_manifest_without_a_column(tmp_path):
    with pytest.raises(UserError, match="has no column 'machine'; it needs path, machine"):
        find_clips(manifest(tmp_path, "a.wav,normal", head="path,label"))


def test_files_elsewhere_only_where_that_is_allowed(tmp_path):
    manifest(tmp_path, "../a.wav,fan,0,,train,normal,")
    assert len(find_clips(tmp_path, allow_outside_root=True)) == 1


def test_a_manifest_elsewhere(tmp_path):
    (tmp_path / "lists").mkdir()
    manifest(tmp_path / "lists", "a.wav,fan,0,,train,normal,")
    assert len(find_clips(tmp_path, manifest=tmp_path / "lists/manifest.csv")) == 1
    with pytest.raises(UserError, match="no.csv does not exist"):
        find_clips(tmp_path, manifest=tmp_path / "no.csv")


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match="no clips under .*manifest.csv"):
        find_clips(tmp_path)
    with pytest.raises(UserError, match="gone is not a folder"):
        find_clips(tmp_path / "gone")


def test_a_stray_clip_is_not_passed_over(tmp_path):
    touched(tmp_path, "fan/train/normal_id_00_00000000.wav", "fan/new.wav")
    with pytest.raises(UserError, match="fan/new.wav does not lie in <machine>/"):
        find_clips(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real recordings of ../shared are not here")
def test_real_recordings_by_manifest_and_by_name():
    by_manifest = find_clips(SHARED)
    machines = by_manifest[by_manifest["machine"] != "outlier"]
    by_name = find_clips(SHARED / "dev_data").set_index("path")
    assert len(machines) == len(by_name) > 300
    for row in machines.itertuples():
        named = by_name.loc[row.path.removeprefix("dev_data/")]
        for column in ("machine", "section", "domain", "split", "label"):
            assert named[column] == getattr(row, column), row.path


CLIP = "section_00_source_train_normal_{:04d}_x"


def test_a_folder_is_walked_as_one_of_images(tmp_path):
    """Links are followed, a broken one is a row, and what is passed over is counted."""
    root = tmp_path / "data"
    touched(root, f"fan/train/{CLIP.format(0)}.wav", f"fan/train/{CLIP.format(1)}.WAVE", "fan/notes.txt")
    touched(
        root, *(f"fan/train/{CLIP.format(i)}.mp3" for i in range(2)), "fan/train/a.ogg", "fan/.x.mp3"
    )
    touched(tmp_path / "elsewhere", f"train/{CLIP.format(2)}.flac")
    (root / "valve").symlink_to(tmp_path / "elsewhere")
    (root / "valve/train/ring").symlink_to(root)
    lost = root / f"fan/train/{CLIP.format(3)}.wav"
    lost.symlink_to("/not/mounted.wav")
    lines = []
    with logged(lines.append):
        table = find_clips(root)
    assert table["path"].tolist() == [
        f"fan/train/{CLIP.format(0)}.wav",
        f"fan/train/{CLIP.format(1)}.WAVE",
        f"fan/train/{CLIP.format(3)}.wav",
        f"valve/train/{CLIP.format(2)}.flac",
    ]
    assert set(table["machine"]) == {"fan", "valve"}
    assert lines == [f"{root}: passed over: 2 .mp3, 1 .ogg"]
    with pytest.raises(UserError, match=r"_0003_x\.wav is a link to /not/mounted\.wav, which does not"):
        read_clip(lost, channel="mean", rate=None)


def test_a_broken_link_that_may_be_a_folder_is_not_passed_over(tmp_path):
    touched(tmp_path, f"fan/train/{CLIP.format(0)}.wav")
    (tmp_path / "valve").symlink_to("/not/mounted")
    with pytest.raises(UserError, match="valve"):
        find_clips(tmp_path)
    with pytest.raises(UserError, match="valve is a link to /not/mounted, which does not exist"):
        read_clip(tmp_path / "valve", channel="mean", rate=None)


def test_spaces_around_cells_and_paths_of_windows_are_understood(tmp_path):
    touched(tmp_path, "fan/a.wav", "fan/b.wav")
    manifest(
        tmp_path,
        "fan\\a.wav,fan,00,source,train,normal,",
        "fan/b.wav ,fan ,00 ,source ,test,normal ,g ",
    )
    lines = []
    with logged(lines.append):
        table = find_clips(tmp_path)
    assert table["path"].tolist() == ["fan/a.wav", "fan/b.wav"]
    for name, value in {
        "machine": "fan",
        "section": "00",
        "domain": "source",
        "label": "normal",
    }.items():
        assert table[name].tolist() == [value, value]
        assert any(f"spaces around 1 {name}s were taken away" in line for line in lines)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.wav,Fan,00,,test,normal,", "the machines 'fan' and 'Fan' differ in capitals"),
        ("b.wav,fan,Door  1,,test,normal,", "the sections of fan: 'door 1' and 'Door  1' differ in"),
    ],
)
def test_machines_and_sections_that_look_alike_are_refused(tmp_path, line, message):
    manifest(tmp_path, "a.wav,fan,door 1,,train,normal,", line)
    with pytest.raises(UserError, match=message):
        find_clips(tmp_path)


def test_sections_of_two_machines_may_look_alike(tmp_path):
    manifest(tmp_path, "a.wav,fan,door,,train,normal,", "b.wav,valve,Door,,test,normal,")
    assert find_clips(tmp_path)["section"].tolist() == ["door", "Door"]


def test_a_name_that_no_table_can_hold_is_refused_before_anything_is_computed(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xb7\xe7") / "train"
    folder.mkdir(parents=True)
    (folder / "section_00_source_train_normal_0000.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"/\\udcb7\\udce7/train/section.*not UTF-8.*rename it"):
        find_clips(tmp_path)


def test_a_link_without_an_ending_that_leads_nowhere_is_named(tmp_path):
    touched(tmp_path, "fan/train/section_00_source_train_normal_0000.wav")
    (tmp_path / "fan" / "more").symlink_to("/not/mounted")
    with pytest.raises(
        UserError, match=r"fan/more is a link to /not/mounted, which does not exist: mend"
    ):
        find_clips(tmp_path)
