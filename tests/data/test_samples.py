"""Folders and manifests become one table; what is wrong with them is said in the user's words."""

from pathlib import Path

import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.sample_table import COLUMNS, class_names
from mindspore_dpus.data.samples import find_samples, read_manifest, scan_folders
from mindspore_dpus.data.settings import DataSettings, SplitSettings
from mindspore_dpus.data.splits import assign_splits
from tests.support import logged


def make_files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def make_manifest(folder, text):
    path = folder / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


def make_table(**columns):
    return pd.DataFrame(columns, dtype=str)


def test_a_folder_a_class(tmp_path):
    make_files(tmp_path, *(f"many/{i}.bmp" for i in (7, 3, 9, 1, 5, 8, 2, 6, 4)))
    make_files(tmp_path, "normal/b.png", "normal/deep/er/a.TIF", "defect/c.jpeg", "defect/notes.txt")
    table = scan_folders(tmp_path)
    assert list(table) == COLUMNS
    assert table.to_numpy().tolist() == [
        ["defect/c.jpeg", "defect", "", ""],
        *([f"many/{i}.bmp", "many", "", ""] for i in range(1, 10)),
        ["normal/b.png", "normal", "", ""],
        ["normal/deep/er/a.TIF", "normal", "", ""],
    ]


def test_a_folder_a_split_with_a_folder_a_class(tmp_path):
    make_files(tmp_path, "train/normal/a.png", "test/defect/b.png", "other/c.txt", ".old/c.png")
    assert scan_folders(tmp_path).to_numpy().tolist() == [
        ["train/normal/a.png", "normal", "train", ""],
        ["test/defect/b.png", "defect", "test", ""],
    ]


@pytest.mark.parametrize("image", ["valid/normal/c.png", "valid/c.png"])
def test_a_folder_of_images_beside_the_splits_is_refused(tmp_path, image):
    make_files(tmp_path, "train/normal/a.png", "test/defect/b.png", image)
    with pytest.raises(UserError) as caught:
        scan_folders(tmp_path)
    assert str(caught.value) == (
        f"data.root: {tmp_path}/valid holds images, but 'valid' is not a split; "
        "call it train, val or test, or move it elsewhere"
    )


@pytest.mark.parametrize(
    ("images", "place"),
    [
        (["b.png", "a.png"], "<class>/"),
        (["normal/c.png", "b.png", "a.png"], "<class>/"),
        (["train/normal/c.png", "b.png", "a.png"], "<split>/<class>/"),
        (["train/normal/c.png", "train/b.png", "train/a.png"], "train/<class>/"),
    ],
)
def test_images_outside_class_folders_are_refused(tmp_path, images, place):
    make_files(tmp_path, *images)
    with pytest.raises(UserError) as caught:
        scan_folders(tmp_path)
    assert str(caught.value) == (
        f"data.root: {tmp_path}/{images[-1]} lies in no class folder; "
        f"move it to {tmp_path}/{place}, or write a manifest.csv"
    )


@pytest.mark.parametrize("hidden", [".a.png", ".cache/a.png", "normal/._b.png", "normal/.tmp/c.png"])
def test_hidden_files_and_folders_are_no_samples(tmp_path, hidden):
    make_files(tmp_path, "normal/b.png", hidden)
    assert scan_folders(tmp_path)["path"].tolist() == ["normal/b.png"]


def test_a_root_without_images_shows_what_is_expected(tmp_path):
    make_files(tmp_path, "normal/a.txt")
    with pytest.raises(UserError, match=r"data\.root: no images under .*<class>/\*\.png"):
        scan_folders(tmp_path)


def test_a_manifest_gets_the_missing_columns_and_keeps_the_others(tmp_path):
    path = make_manifest(tmp_path, "size,path,label\n007,a.png,NA\n,b.png,1\n")
    table = read_manifest(path)
    assert list(table) == [*COLUMNS, "size"]
    assert table.to_numpy().tolist() == [["a.png", "NA", "", "", "007"], ["b.png", "1", "", "", ""]]


def test_a_manifest_names_splits_and_groups(tmp_path):
    rows = "a.png,x,train,01\nb.png,y,val,01\nc.png,x,test,\nd.png,y,unused,2\ne.png,y,,2\n"
    table = read_manifest(make_manifest(tmp_path, "path,label,split,group\n" + rows))
    assert table["split"].tolist() == ["train", "val", "test", "unused", ""]
    assert table["group"].tolist() == ["01", "01", "", "2", "2"]


def test_the_byte_order_mark_of_a_spreadsheet_is_no_part_of_a_name(tmp_path):
    assert read_manifest(make_manifest(tmp_path, "\ufeffpath,label\na.png,x\n"))["path"].tolist() == [
        "a.png"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it needs the columns path, label"),
        ("path,label\n", "has no rows"),
        ("path:label\na.png:x\n", "has no column 'path'; it needs path, label; it has the column '"),
        ("path,split\na.png,train\n", "has no column 'label'"),
        ("path,label\na.png,x\n,y\n", "line 3 has an empty path"),
        ("path,label\na.png,\n", "line 2 has an empty label"),
        ("path,label\na.png,x\nb.png,x\na.png,y\n", r"names a\.png more than once"),
        ("path,label,split\na.png,x,valid\n", "has the split 'valid'; allowed are train, val, test"),
        ('path,label\n"a.png,x\n', "is not a CSV table"),
    ],
)
def test_a_bad_manifest_is_named_with_its_fault(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"manifest\.csv {message}"):
        read_manifest(make_manifest(tmp_path, text))


@pytest.mark.parametrize(
    ("rows", "number"),
    [("a.png,x,\nb.png,y,\n", "3 cells"), ("a.png,x,3\nb.png,y,4\n", "3 cells"), ("a.png\n", "1 cell")],
)
def test_more_and_fewer_cells_than_the_header_are_refused(tmp_path, rows, number):
    with pytest.raises(UserError, match=f"line 2 has {number}; the header has 2"):
        read_manifest(make_manifest(tmp_path, "path,label\n" + rows))


def test_binary_is_no_manifest(tmp_path):
    (tmp_path / "manifest.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(UserError, match="is not a CSV table"):
        read_manifest(tmp_path / "manifest.csv")


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.csv does not exist"):
        read_manifest(tmp_path / "no.csv")


def test_a_folder_is_no_manifest(tmp_path):
    with pytest.raises(UserError, match=tmp_path.name):
        read_manifest(tmp_path)


def test_the_manifest_in_the_root_goes_before_the_folders(tmp_path):
    make_files(tmp_path, "normal/a.png", "defect/b.png")
    assert len(find_samples(DataSettings(root=str(tmp_path)))) == 2
    make_manifest(tmp_path, "path,label\n1.png,normal\n2.png,defect\n3.png,defect\n")
    assert len(find_samples(DataSettings(root=str(tmp_path)))) == 3


def test_a_manifest_elsewhere_goes_before_the_one_in_the_root(tmp_path):
    make_manifest(tmp_path, "path,label\n1.png,normal\n2.png,defect\n")
    other = tmp_path / "other.csv"
    other.write_text("path,label\n7.png,normal\n8.png,defect\n")
    table = find_samples(DataSettings(root=str(tmp_path), manifest=str(other)))
    assert table["path"].tolist() == ["7.png", "8.png"]


def test_a_root_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"data\.root: .*nowhere is not a folder"):
        find_samples(DataSettings(root=str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (["normal", "normal"], {}, "only the class 'normal' was found; at least two"),
        (["ok", "defect"], {}, r"data\.majority is 'normal', but .* 'defect' and 'ok'"),
        (["normal", "bad"], {}, r"data\.positive is 'defect', but .* set data\.positive"),
        (["ok", "bad"], {"positive": "bad", "majority": "good"}, r"data\.majority is 'good'"),
    ],
)
def test_unfit_classes_are_refused_unless_they_are_not_learnt_from(tmp_path, labels, settings, message):
    rows = "".join(f"{i}.png,{label}\n" for i, label in enumerate(labels))
    make_manifest(tmp_path, "path,label\n" + rows)
    config = DataSettings(root=str(tmp_path), **settings)
    with pytest.raises(UserError, match=message):
        find_samples(config)
    assert len(find_samples(config, check=False)) == 2


def test_three_classes_need_no_positive_one(tmp_path):
    make_manifest(tmp_path, "path,label\n1.png,glass\n2.png,paper\n3.png,can\n")
    assert class_names(find_samples(DataSettings(root=str(tmp_path)))) == ["can", "glass", "paper"]


@pytest.mark.parametrize("column", ["path", "label", "member", "predicted"])
@pytest.mark.parametrize("text", ["01", "NA", ""])
def test_text_stays_text_in_the_run_folder(tmp_path, column, text):
    write_table(make_table(**{"path": ["a.png"], column: [text]}), tmp_path / "table.csv")
    assert read_table(tmp_path / "table.csv")[column].tolist() == [text]


def test_only_some_classes(tmp_path):
    make_files(tmp_path, "a/1.png", "b/2.png", "c/3.png", "normal/4.png", "defect/5.png")
    table = find_samples(DataSettings(root=str(tmp_path), classes=["a", "c", "normal"]))
    assert table["path"].tolist() == ["a/1.png", "c/3.png", "normal/4.png"]
    assert table.index.tolist() == [0, 1, 2]
    with pytest.raises(UserError, match=r"data.classes names 'x', but .* a, b, c, defect, normal"):
        find_samples(DataSettings(root=str(tmp_path), classes=["a", "x"]))
    with pytest.raises(UserError, match=r"data.positive is 'defect', but .* 'a' and 'c'"):
        find_samples(DataSettings(root=str(tmp_path), classes=["a", "c"]))
    other = DataSettings(root=str(tmp_path), classes=["a", "x"])
    assert find_samples(other, check=False)["label"].tolist() == ["a"]


@pytest.mark.parametrize("content", [b"", b"path,label\n\xff\xfe,x\n", b'path,label\n"a'])
def test_a_torn_table_is_named(tmp_path, content):
    (tmp_path / "samples.csv").write_bytes(content)
    with pytest.raises(
        UserError, match="samples.csv is damaged or no CSV table .*; delete it"
    ) as caught:
        read_table(tmp_path / "samples.csv")
    assert "\n" not in str(caught.value)


def put_images(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def counts(table):
    return table["label"].value_counts().to_dict()


def test_spaces_around_labels_are_taken_away_and_said(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "path,label,split\na.png,normal,train\nb.png,normal ,Train \nc.png, defect,TEST\nd.png,defect,\n"
    )
    lines = []
    with logged(lines.append):
        table = find_samples(DataSettings(root=str(tmp_path)))
    assert counts(table) == {"normal": 2, "defect": 2}
    assert table["split"].tolist() == ["train", "train", "test", ""]
    assert lines == [
        f"{tmp_path}/manifest.csv: spaces around 1 labels were taken away, such as 'normal '"
    ]


INVISIBLE = ["\u200b", "\ufeff", "\u00ad", "\u00a0", "\u2060"]


@pytest.mark.parametrize("character", INVISIBLE)
def test_what_shows_nothing_around_labels_is_taken_away_and_said(tmp_path, character):
    make_manifest(tmp_path, f"path,label\na.png,normal\nb.png,normal{character}\nc.png,defect\n")
    lines = []
    with logged(lines.append):
        table = find_samples(DataSettings(root=str(tmp_path)))
    assert counts(table) == {"normal": 2, "defect": 1}
    assert lines == [
        f"{tmp_path}/manifest.csv: spaces around 1 labels were taken away, such as {'normal' + character!r}"
    ]
    assert ascii(character)[1:-1] in lines[0]


def test_a_label_that_shows_nothing_is_refused(tmp_path):
    make_manifest(tmp_path, "path,label\na.png,normal\nb.png,\u200b\n")
    with pytest.raises(UserError, match=r"has a label that shows nothing: '\\u200b'"):
        find_samples(DataSettings(root=str(tmp_path)))


@pytest.mark.parametrize("character", INVISIBLE)
def test_what_shows_nothing_within_a_label_makes_no_class(tmp_path, character):
    inner = "no flaw" if character.isspace() else "noflaw"
    make_manifest(tmp_path, f"path,label\na.png,{inner}\nb.png,no{character}flaw\nc.png,defect\n")
    with pytest.raises(UserError, match="give them one name"):
        find_samples(DataSettings(root=str(tmp_path)))


def test_letters_of_two_characters_are_letters(tmp_path):
    make_manifest(tmp_path, "path,label\na.png,R\u00fc\nb.png,Ru\u0308\nc.png,defect\n")
    with pytest.raises(UserError, match="give them one name"):
        find_samples(DataSettings(root=str(tmp_path)))


def test_class_folders_may_end_with_a_space_and_it_is_said(tmp_path):
    put_images(tmp_path, "normal /a.png", "normal/c.png", "defect/b.png")
    lines = []
    with logged(lines.append):
        table = find_samples(DataSettings(root=str(tmp_path)))
    assert counts(table) == {"normal": 2, "defect": 1}
    assert lines == [f"{tmp_path}: spaces around names of classes were taken away: 'normal '"]


@pytest.mark.parametrize(
    ("one", "other"), [("normal", "Normal"), ("no flaw", "no  flaw"), ("Riß", "RISS")]
)
def test_classes_that_look_alike_are_refused(tmp_path, one, other):
    put_images(tmp_path, f"{one}/a.png", f"{other}/b.png", "defect/c.png")
    for check in (True, False):
        with pytest.raises(UserError, match="differ in capitals or spaces only; give them one name"):
            find_samples(DataSettings(root=str(tmp_path)), check)


@pytest.mark.parametrize("names", [("defect", "normal"), ("defect", "normal", "third")])
def test_a_class_of_the_configuration_that_looks_like_another_is_refused(tmp_path, names):
    put_images(tmp_path, *(f"{name}/a.png" for name in names))
    words = "data.positive is 'Defect', but .* holds the class 'defect'; set --data.positive to that"
    with pytest.raises(UserError, match=words):
        find_samples(DataSettings(root=str(tmp_path), positive="Defect"))


def test_splits_may_have_capitals(tmp_path):
    put_images(
        tmp_path, "Train/normal/a.png", "Train/defect/b.png", "VAL/normal/c.png", "Test/defect/d.png"
    )
    table = find_samples(DataSettings(root=str(tmp_path)))
    assert counts(table) == {"normal": 2, "defect": 2}
    assert table["split"].tolist() == ["train", "train", "val", "test"]
    put_images(tmp_path, "train/normal/e.png")
    with pytest.raises(UserError, match="are both the split 'train'"):
        find_samples(DataSettings(root=str(tmp_path)))


def test_classes_may_be_numbers(tmp_path):
    put_images(tmp_path, "0/a.png", "1/b.png", "0/c.png")
    config = DataSettings(root=str(tmp_path), positive="1", majority="0")
    assert counts(find_samples(config)) == {"0": 2, "1": 1}
    (tmp_path / "manifest.csv").write_text("path,label\n0/a.png,0\n1/b.png,1\n0/c.png,0\n")
    assert counts(find_samples(config)) == {"0": 2, "1": 1}
    write_table(find_samples(config), tmp_path / "samples.csv")
    assert read_table(tmp_path / "samples.csv")["label"].tolist() == ["0", "1", "0"]


def test_files_of_other_kinds_are_counted(tmp_path):
    put_images(
        tmp_path, "normal/a.png", "defect/b.jfif", "normal/x.docx", "defect/y.docx", "defect/z.webp"
    )
    lines = []
    with logged(lines.append):
        find_samples(DataSettings(root=str(tmp_path)))
    assert lines == [f"{tmp_path}: passed over: 2 .docx, 1 .webp"]


def test_a_link_in_a_class_folder_to_a_folder_above_is_a_ring(tmp_path, monkeypatch):
    root = make_files(
        tmp_path / "set", *(f"{s}/{c}/a.png" for s in ("train", "test") for c in ("ok", "bad"))
    )
    make_files(tmp_path, "set/train/ok/b.png", "elsewhere.png")
    for i, up in enumerate((tmp_path, root, root / "train", "..")):
        (root / f"train/ok/up{i}").symlink_to(up)
    monkeypatch.chdir(root / "train")
    for place in (root, Path(".."), Path()):
        table = scan_folders(place)
        assert [p for p, label in zip(table["path"], table["label"], strict=True) if label == "ok"] == [
            str((root / name).relative_to(place.resolve()))
            for name in ("train/ok/a.png", "train/ok/b.png", "test/ok/a.png")
            if place != Path() or name.startswith("train")
        ]


def test_a_broken_link_is_a_row(tmp_path):
    put_images(tmp_path, "normal/a.png", "defect/b.png")
    (tmp_path / "normal" / "lost.png").symlink_to("/not/mounted/lost.png")
    assert find_samples(DataSettings(root=str(tmp_path)))["path"].tolist() == [
        "defect/b.png",
        "normal/a.png",
        "normal/lost.png",
    ]


def test_a_link_without_an_ending_is_a_row_too(tmp_path):
    put_images(tmp_path, "normal/a.png", "defect/b.png")
    for name in ("folder", "1.2.840.113"):
        (tmp_path / "normal" / name).symlink_to("/not/mounted/there")
    (tmp_path / "normal" / "notes.txt").symlink_to("/not/mounted/notes.txt")
    assert find_samples(DataSettings(root=str(tmp_path)))["path"].tolist() == [
        *("defect/b.png", "normal/1.2.840.113", "normal/a.png", "normal/folder")
    ]


@pytest.mark.parametrize("name", ["b", "lost.png", "train/b"])
def test_a_link_in_the_place_of_a_class_must_lead_somewhere(tmp_path, name):
    above = "train/" if "/" in name else ""
    put_images(tmp_path, f"{above}normal/a.png", f"{above}defect/b.png")
    (tmp_path / name).symlink_to("/not/mounted")
    with pytest.raises(UserError) as caught:
        find_samples(DataSettings(root=str(tmp_path)))
    assert str(caught.value) == (
        f"data.root: {tmp_path}/{name} is a link to /not/mounted, which does not exist; mend it or remove it"
    )


@pytest.mark.parametrize("split", ["", "train/"])
def test_files_beside_the_class_folders_are_counted(tmp_path, split):
    put_images(tmp_path, f"{split}normal/a.png", f"{split}defect/b.png", f"{split}defect/c.docx")
    put_images(tmp_path, "foo.docx", f"{split}foo.webp", f"{split}notes.txt", f"{split}.hidden")
    lines = []
    with logged(lines.append):
        find_samples(DataSettings(root=str(tmp_path)))
    assert lines == [f"{tmp_path}: passed over: 2 .docx, 1 .webp"]


def test_a_class_folder_without_images_is_named(tmp_path):
    put_images(tmp_path, "normal/a.png", "defect/b.png", "third/c.txt")
    lines = []
    with logged(lines.append):
        find_samples(DataSettings(root=str(tmp_path)))
    assert lines == [f"{tmp_path}: no images in third"]


@pytest.mark.parametrize("names", [("training", "validation", "testing"), ("Valid ", "Dev")])
@pytest.mark.parametrize("above", ["", "train/"])
def test_splits_in_the_place_of_classes_are_refused(tmp_path, names, above):
    put_images(tmp_path, *(f"{above}{name}/{label}/a.png" for name in names for label in "xy"))
    with pytest.raises(UserError, match=r"its folders are called like splits: .*; call them train, val"):
        find_samples(DataSettings(root=str(tmp_path)))


def test_splits_below_classes_are_said_to_be_none(tmp_path):
    put_images(
        tmp_path, *(f"{label}/{s}/a.png" for label in ("normal", "defect") for s in ("train", "test"))
    )
    put_images(tmp_path, "third/test/a.png", "third/more/b.png")
    lines = []
    with logged(lines.append):
        find_samples(DataSettings(root=str(tmp_path)))
    assert lines == [
        f"{tmp_path}/{label}: the folders test, train are no splits here, but parts of the class {label!r}; "
        f"splits are above classes ({tmp_path}/<split>/<class>/)"
        for label in ("defect", "normal")
    ]


@pytest.mark.parametrize("key", ["positive", "majority"])
def test_a_class_that_was_chosen_must_be_there_however_many_there_are(tmp_path, key):
    put_images(tmp_path, *(f"{name}/a.png" for name in ("glass", "paper", "can")))
    with pytest.raises(UserError) as caught:
        find_samples(DataSettings(root=str(tmp_path), **{key: "zz"}))
    assert str(caught.value) == (
        f"data.{key} is 'zz', but {tmp_path} holds the classes 'can', 'glass' and 'paper'; set data.{key}"
    )


def test_spaces_around_groups_are_taken_away_and_said(tmp_path):
    text = "path,label,split,group\na.png,normal,train,part1\nb.png,normal,test,part1 \nc.png,defect,,\n"
    make_manifest(tmp_path, text)
    lines = []
    with logged(lines.append):
        table = find_samples(DataSettings(root=str(tmp_path)))
    assert table["group"].tolist() == ["part1", "part1", ""]
    assert lines == [
        f"{tmp_path}/manifest.csv: spaces around 1 groups were taken away, such as 'part1 '"
    ]
    with pytest.raises(UserError, match="the group 'part1' is in test and train"):
        assign_splits(table, SplitSettings(), 0)


@pytest.mark.parametrize("other", ["Part 1", "part  1", "part\u00ad 1"])
def test_groups_that_look_alike_are_refused(tmp_path, other):
    make_manifest(tmp_path, f"path,label,group\na.png,normal,part 1\nb.png,defect,{other}\n")
    with pytest.raises(UserError, match="the groups 'part 1' and .* give them one name"):
        find_samples(DataSettings(root=str(tmp_path)))


def test_the_manifest_may_have_capitals_but_there_is_one(tmp_path):
    make_manifest(tmp_path, "path,label\na.png,normal\nb.png,defect\n").rename(tmp_path / "Manifest.CSV")
    put_images(tmp_path, "other/c.png")
    assert find_samples(DataSettings(root=str(tmp_path)))["path"].tolist() == ["a.png", "b.png"]
    make_manifest(tmp_path, "path,label\na.png,normal\n")
    with pytest.raises(UserError, match=r"Manifest\.CSV and .*manifest\.csv are both the manifest"):
        find_samples(DataSettings(root=str(tmp_path)))


def test_a_name_that_is_not_utf8_is_refused_in_one_line(tmp_path):
    put_images(tmp_path, "normal/a\udcff\n.png", "defect/b.png")
    with pytest.raises(UserError) as caught:
        find_samples(DataSettings(root=str(tmp_path)))
    assert str(caught.value) == (
        f"{tmp_path}/normal/a\\udcff\\n.png has a name that is not UTF-8, as tables need it: rename it"
    )


@pytest.mark.parametrize(
    "name", ["manifest.csv.csv", "Manifest.csv.txt", "manifest (1).csv", " manifest.csv"]
)
def test_a_manifest_whose_name_a_program_has_changed_is_not_passed_over(tmp_path, name):
    make_files(tmp_path, "normal/a.png", "defect/b.png", name)
    with pytest.raises(
        UserError, match="is not read as the manifest; call it manifest.csv, name it with"
    ):
        find_samples(DataSettings(root=str(tmp_path)))
    make_manifest(tmp_path, "path,label\nnormal/a.png,normal\ndefect/b.png,defect\n")
    assert len(find_samples(DataSettings(root=str(tmp_path)))) == 2


def test_a_manifest_that_is_no_file_is_not_passed_over(tmp_path):
    make_files(tmp_path, "normal/a.png", "defect/b.png")
    manifest = tmp_path / "Manifest.csv"
    manifest.symlink_to("/not/mounted.csv")
    with pytest.raises(
        UserError, match=r"Manifest.csv is a link to /not/mounted.csv, which does not exist;"
    ):
        find_samples(DataSettings(root=str(tmp_path)))
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(UserError, match="Manifest.csv is no regular file; mend it or remove it"):
        find_samples(DataSettings(root=str(tmp_path)))


@pytest.mark.parametrize(
    ("one", "other"), [("normal", "\uff4e\uff4frmal"), ("0", "0.0"), ("7", "007"), ("1", "\uff11.00")]
)
def test_letters_of_other_width_and_equal_numbers_are_alike(tmp_path, one, other):
    for column in ("label", "group"):
        rows = [
            ("a.png", one, one),
            ("b.png", other if column == "label" else one, other),
            ("c.png", "x", "y"),
        ]
        manifest = make_manifest(
            tmp_path, "path,label,group\n" + "".join(",".join(r) + "\n" for r in rows)
        )
        with pytest.raises(
            UserError, match="are one number, or differ in the width or form of letters only"
        ):
            find_samples(DataSettings(root=str(tmp_path), manifest=str(manifest)), check=False)


def test_parts_with_numbers_of_two_levels_are_two(tmp_path):
    manifest = make_manifest(
        tmp_path, "path,label,group\na.png,x,1.1\nb.png,y,1.10\nc.png,y,11\nd.png,y,-1\n"
    )
    assert list(read_manifest(manifest)["group"]) == ["1.1", "1.10", "11", "-1"]


def test_folders_of_systems_are_no_classes(tmp_path):
    make_files(
        tmp_path,
        "normal/a.png",
        "defect/b.png",
        "@eaDir/c.png",
        "normal/@eaDir/a.png",
        "lost+found/d.png",
    )
    assert list(scan_folders(tmp_path)["path"]) == ["defect/b.png", "normal/a.png"]
