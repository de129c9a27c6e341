"""A manifest names files below the data root, and nothing else."""

import unicodedata

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.inputs import expand_paths
from mindspore_dpus.data.samples import find_samples
from mindspore_dpus.data.settings import DataSettings
from tests.support import logged


@pytest.fixture
def root(tmp_path):
    """A data root with links that stay inside and links that lead out, beside somebody else's files."""
    (tmp_path / "secret.png").write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.png").write_bytes(b"x")
    root = tmp_path / "data"
    (root / "in").mkdir(parents=True)
    (root / "in" / "a.png").write_bytes(b"x")
    (root / "link.png").symlink_to(root / "in" / "a.png")
    (root / "again").symlink_to(root / "in")
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "away").symlink_to(tmp_path / "elsewhere")
    (root / "chain.png").symlink_to(root / "out.png")
    return root


def read(root, name, **options):
    manifest = root / "manifest.csv"
    manifest.write_text(f"path,label\nin/a.png,normal\n{name},defect\n", encoding="utf-8")
    return find_samples(DataSettings(root=str(root), **options))["path"].tolist()


@pytest.mark.parametrize("name", ["link.png", "again/a.png", "..a.png", "in/..b/c.png", "./missing.png"])
def test_what_stays_inside_is_read(root, name):
    assert read(root, name) == ["in/a.png", name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("{root}/in/a.png", "is an absolute path"),
        ("../secret.png", "climbs with '..'"),
        ("in/../in/a.png", "climbs with '..'"),
        ("out.png", "is a symbolic link that leads to {outside}/secret.png"),
        ("away/c.png", "is a symbolic link that leads to {outside}/elsewhere/c.png"),
        ("chain.png", "is a symbolic link that leads to {outside}/secret.png"),
    ],
)
def test_what_leads_out_is_refused_by_name_unless_allowed(root, name, reason):
    name, reason = (text.format(root=root, outside=root.parent) for text in (name, reason))
    with pytest.raises(UserError) as caught:
        read(root, name)
    assert str(caught.value) == (
        f"data.manifest: {root}/manifest.csv names {name}, which {reason}, so outside data.root may be "
        "read; move the file below data.root, or set data.allow_outside_root to true"
    )
    assert read(root, name, allow_outside_root=True) == ["in/a.png", name]


def test_a_root_that_is_a_link_itself_is_no_way_out(root):
    (root.parent / "alias").symlink_to(root)
    assert read(root.parent / "alias", "link.png") == ["in/a.png", "link.png"]


def test_a_neighbour_whose_name_begins_alike_is_outside(root):
    (root.parent / "data2").mkdir()
    (root / "near.png").symlink_to(root.parent / "data2" / "x.png")
    with pytest.raises(UserError, match="near.png, which is a symbolic link"):
        read(root, "near.png")


@pytest.mark.parametrize("written", ["b.png ", " b.png", "b.png\u00a0", "in\\b.png "])
def test_spaces_around_a_path_are_taken_away_where_only_that_exists(root, written):
    for place in (root / "b.png", root / "in" / "b.png"):
        place.write_bytes(b"x")
    right = "in/b.png" if "in" in written else "b.png"
    (root / "list.csv").write_text(f'path\n"{written}"\n', encoding="utf-8")
    lines = []
    with logged(lines.append):
        assert read(root, f'"{written}"') == ["in/a.png", right]
        assert expand_paths([str(root / "list.csv")]) == [root / right]
    # A space behind a comma is none of a path.
    if not written.startswith(" "):
        assert lines == [
            f"{root}/{name}: spaces around 1 paths were taken away, such as {written!r}"
            for name in ("manifest.csv", "list.csv")
        ]


def test_a_path_that_ends_with_a_space_is_meant_where_it_exists(root):
    (root / "b.png").write_bytes(b"x")
    (root / "b.png ").write_bytes(b"x")
    assert read(root, "b.png ") == ["in/a.png", "b.png "]
    assert read(root, "c.png ") == ["in/a.png", "c.png "]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_umlaut_may_be_one_character_or_two(root, forms):
    there, written = (unicodedata.normalize(form, "Stück.png") for form in forms)
    (root / there).write_bytes(b"x")
    (root / "list.csv").write_text(f"path\n{written} \n", encoding="utf-8")
    lines = []
    with logged(lines.append):
        assert read(root, written) == ["in/a.png", there]
        assert lines == []
        assert expand_paths([str(root / "list.csv")]) == [root / there]
    assert lines == [
        f"{root}/list.csv: spaces around 1 paths were taken away, such as {written + ' '!r}"
    ]
