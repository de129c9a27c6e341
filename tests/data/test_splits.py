"""Splits in exact numbers, whole groups, and imbalance that nests."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data import splits
from mindspore_dpus.data.settings import SplitSettings
from mindspore_dpus.data.splits import as_number, assign_splits, hold_out, make_imbalance

TWENTY_EACH = SplitSettings(val_size=20, test_size=20)


def make_table(normal=160, defect=40, split="", group=""):
    """A shuffled sample table; split and group: one value, or one for each row before shuffling."""
    labels = ["normal"] * normal + ["defect"] * defect
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(len(labels))], "label": labels})
    table["split"], table["group"] = split, group
    return table.sample(frac=1, random_state=1).reset_index(drop=True)


def in_groups_of(size, total=200):
    return [f"g{i // size}" for i in range(total)]


def counts(table):
    return pd.crosstab(table["split"], table["label"])[["normal", "defect"]].T.to_dict("list")


def test_splits_are_stratified_to_the_sample():
    table = assign_splits(make_table(), TWENTY_EACH, 0)
    assert counts(table) == {"test": [16, 4], "train": [128, 32], "val": [16, 4]}


@pytest.mark.parametrize(("size", "number"), [(0.15, 30), (0.1, 20), (50, 50), (1.5, 2)])
def test_a_size_up_to_one_is_a_share_and_above_a_number(size, number):
    assert as_number(size, 200) == number
    table = make_table()
    held_out, unused = hold_out(table["label"].to_numpy(), None, number, False, 0)
    assert len(held_out) == number
    assert len(unused) == 0
    assert (table["label"][held_out] == "defect").sum() == round(number / 5)


@pytest.mark.parametrize("order", ["val_size", "test_size"])
def test_a_share_is_one_of_all_images_whatever_the_other_split_takes(order):
    other = {"val_size": "test_size", "test_size": "val_size"}[order]
    table = assign_splits(make_table(), SplitSettings(**{order: 0.6, other: 0.3}), 0)
    names = {"val_size": "val", "test_size": "test"}
    assert counts(table) == {names[order]: [96, 24], names[other]: [48, 12], "train": [16, 4]}


def test_a_balanced_share_is_one_of_the_smallest_class_whatever_the_other_split_takes():
    table = assign_splits(make_table(), SplitSettings(val_size=0.5, test_size=0.4, balanced=True), 0)
    assert counts(table) == {"test": [16, 16], "train": [124, 4], "val": [20, 20]}


def test_a_share_of_what_is_left_is_no_number_when_the_rest_is_small():
    # 0.6 of 200 is more than the 100 that the test split leaves: an error, not one image.
    with pytest.raises(UserError, match="120 of 100 images cannot be held out"):
        assign_splits(make_table(), SplitSettings(val_size=0.6, test_size=100), 0)


@pytest.mark.parametrize(("size", "number"), [(0.2, 8), (5, 5)])
def test_balanced_splits_hold_equally_many_and_the_rest_is_train(size, number):
    table = assign_splits(make_table(), SplitSettings(val_size=5, test_size=size, balanced=True), 0)
    rest = [160 - 5 - number, 40 - 5 - number]
    assert counts(table) == {"test": [number] * 2, "train": rest, "val": [5, 5]}


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("group", ["", in_groups_of(5)], ids=["single", "grouped"])
def test_equal_seeds_give_equal_splits_and_others_do_not(balanced, group):
    table = make_table(group=group)

    def split(seed):
        return assign_splits(table, SplitSettings(balanced=balanced), seed)["split"].tolist()

    assert split(3) == split(3)
    assert split(3) != split(4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("balanced", [False, True])
def test_no_group_is_in_two_splits(seed, balanced):
    group = np.random.default_rng(seed).integers(0, 50, 200).astype(str)
    table = assign_splits(make_table(group=group), SplitSettings(balanced=balanced), seed)
    assert set(counts(table)) == {"train", "val", "test"} | ({"unused"} if balanced else set())
    splits = table[table["split"] != "unused"].groupby("group")["split"].nunique()
    assert splits.max() == 1
    in_train = table["group"][table["split"] == "train"]
    assert not set(in_train) & set(table["group"][table["split"] == "unused"])
    for name in ("val", "test"):
        normal, defect = counts(table)[name]
        assert (normal == defect) if balanced else 20 <= normal + defect <= 45


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1, 2, 7])
def test_balanced_whole_groups_hold_the_number_of_a_rare_class(seed, size):
    # One defect in ten; in whole groups, that is a tenth of the images and half of the split.
    table = make_table(normal=1800, defect=200)
    table["group"] = in_groups_of(size, 2000)
    table = assign_splits(table, SplitSettings(val_size=50, test_size=50, balanced=True), seed)
    found = counts(table)
    assert found["test"] == found["val"] == [50, 50]
    # A group of the last few defects may bring some more.
    assert found.get("unused", [0, 0])[1] < 2 * size
    groups = table[table["split"] != "unused"].groupby("group")["split"].nunique()
    assert groups.max() == 1


def test_the_last_group_brings_as_few_too_many_as_it_can():
    labels = np.array(["defect"] * 30 + ["normal"] * 30)
    groups = np.array(["a"] * 2 + ["b"] * 25 + ["c"] * 3 + [f"n{i}" for i in range(30)])
    for seed in range(5):
        held_out, unused = hold_out(labels, groups, 3, True, seed)
        assert set(groups[held_out[labels[held_out] == "defect"]]) <= {"a", "c"}
        assert len(held_out) == 6
        assert len(unused) <= 2


def test_balanced_whole_groups_leave_every_class_a_group():
    labels = np.array(["defect"] * 6 + ["normal"] * 20)
    groups = np.array(["a"] * 3 + ["b"] * 3 + [f"n{i}" for i in range(20)])
    held_out, _ = hold_out(labels, groups, 5, True, 0)
    assert pd.Series(labels[held_out]).value_counts().to_dict() == {"defect": 3, "normal": 3}
    with pytest.raises(UserError, match="21 groups cannot be split so that every class"):
        hold_out(labels, np.where(labels == "defect", "a", groups), 5, True, 0)


@pytest.mark.parametrize(("share", "number"), [(0.4, 400), (0.3, 300), (0.5, 500), (0.05, 50)])
def test_whole_groups_hold_the_share_that_is_asked_for(share, number):
    labels = np.tile(["normal"] * 4 + ["defect"], 200)
    groups = np.array(in_groups_of(5, 1000))
    held_out, _ = hold_out(labels, groups, number, False, 0)
    assert len(held_out) == pytest.approx(1000 * share, abs=10)
    assert (labels[held_out] == "defect").mean() == pytest.approx(0.2, abs=0.01)
    assert not set(groups[held_out]) & set(np.delete(groups, held_out))


def test_images_without_a_group_are_each_on_their_own():
    group = ["a"] * 5 + ["b"] * 5 + [""] * 190
    table = assign_splits(make_table(group=group), TWENTY_EACH, 0)
    assert table.groupby("group")["split"].nunique()[["a", "b"]].tolist() == [1, 1]
    for name in ("val", "test"):
        assert 15 <= sum(counts(table)[name]) <= 25


def test_one_group_for_all_is_no_group():
    table = make_table(group="batch 1")
    assert counts(assign_splits(table, TWENTY_EACH, 0))["test"] == [16, 4]


def test_a_group_that_is_left_over_is_not_parted():
    # Once either group is the test split, the other is the only one: it is still one.
    table = make_table(group=["a"] * 80 + ["b"] * 80 + ["a"] * 20 + ["b"] * 20)
    with pytest.raises(UserError, match="1 groups cannot be split"):
        assign_splits(table, SplitSettings(val_size=0.2, test_size=0.5), 0)


@pytest.mark.parametrize(
    ("splits", "found"),
    [
        (("train", "val"), "train and val"),
        (("val", "test"), "test and val"),
        (("train", "test", "val"), "test and train and val"),
        (("", "val"), "no split and val"),
        (("test", ""), "no split and test"),
    ],
)
def test_named_splits_that_part_a_group_are_refused(splits, found):
    named = ["train", "val", "test", ""] * 50
    group = [f"g-{name}-{i // 40}" for i, name in enumerate(named)]
    for i, split in enumerate(splits):
        named[4 * i], group[4 * i] = split, "casting 7"
    with pytest.raises(UserError) as caught:
        assign_splits(make_table(split=named, group=group), SplitSettings(), 0)
    assert str(caught.value) == (
        f"split: the group 'casting 7' is in {found}; give the whole group one split"
    )


@pytest.mark.parametrize("splits", [("train", ""), ("train", "unused"), ("unused", "val")])
def test_a_group_may_be_partly_unnamed_train_or_unused(splits):
    named = ["train", "val", "test", ""] * 50
    group = [f"g-{name}-{i // 40}" for i, name in enumerate(named)]
    for i, split in enumerate(splits):
        named[4 * i], group[4 * i] = split, "casting 7"
    table = make_table(split=named, group=group)
    result = assign_splits(table, SplitSettings(), 0)
    assert result["split"].tolist() == table["split"].replace("", "train").tolist()


def test_named_splits_are_kept():
    names = ["train", "val", "test", "unused"] * 50
    table = make_table(split=names)
    assert assign_splits(table, SplitSettings(), 0)["split"].tolist() == table["split"].tolist()


def test_unnamed_images_are_train_where_the_others_are_named():
    table = make_table(split=["val", "test", "", ""] * 50)
    result = assign_splits(table, SplitSettings(), 0)
    assert counts(result) == {"test": [40, 10], "train": [80, 20], "val": [40, 10]}


@pytest.mark.parametrize(("named", "missing"), [("test", "val"), ("val", "test")])
def test_a_missing_split_is_taken_from_train_only(named, missing):
    table = make_table(split=[named, "train", "train", "unused"] * 50)
    result = assign_splits(table, TWENTY_EACH, 0)
    assert counts(result) == {
        named: [40, 10],
        missing: [16, 4],
        "train": [64, 16],
        "unused": [40, 10],
    }
    kept = table["split"].isin([named, "unused"])
    assert (result["split"][kept] == table["split"][kept]).all()


def test_the_table_itself_is_left_alone():
    table = make_table()
    before = table.copy()
    result = assign_splits(table, SplitSettings(), 0)
    pd.testing.assert_frame_equal(table, before)
    pd.testing.assert_frame_equal(result.drop(columns="split"), before.drop(columns="split"))


def test_imbalance_thins_the_smallest_class_in_nested_subsets():
    labels = make_table(normal=50, defect=40)["label"].to_numpy()
    normals = set(np.flatnonzero(labels == "normal"))
    previous = set(range(90))
    for fraction, left in [(1, 40), (1 / 2, 20), (1 / 4, 10), (1 / 8, 5), (1 / 16, 2), (1e-9, 1)]:
        kept = make_imbalance(labels, fraction, random_state=0)
        assert np.all(np.diff(kept) > 0)
        assert len(kept) == 50 + left
        assert normals < set(kept) <= previous
        previous = set(kept)


def test_imbalance_thins_train_and_nothing_else():
    table = make_table()
    full = assign_splits(table, TWENTY_EACH, 0)
    thin = assign_splits(table, SplitSettings(val_size=20, test_size=20, minority_fraction=1 / 8), 0)
    assert counts(thin) == {"test": [16, 4], "train": [128, 4], "unused": [0, 28], "val": [16, 4]}
    changed = full["split"] != thin["split"]
    assert set(full["split"][changed]) == {"train"}
    assert set(full["label"][changed]) == {"defect"}


@pytest.mark.parametrize(
    ("table", "config", "message"),
    [
        (make_table(), {"test_size": 199}, r"change split\.val_size or split\.test_size"),
        (make_table(), {"test_size": 0.001}, r"Change split\.val_size or split\.test_size"),
        (
            make_table(),
            {"test_size": 40, "balanced": True},
            "40 images of each class cannot be held out; the class 'defect' has 40",
        ),
        (make_table(), {"test_size": 0.001, "balanced": True}, "0 images of each class"),
        (
            make_table(group=["a"] * 160 + ["b"] * 40),
            {},
            "2 groups cannot be split so that every class is on both sides",
        ),
        (
            make_table(normal=10, defect=10, group=[f"g{i}" for i in range(20)]),
            {"test_size": 0.05},
            "20 groups cannot be split so that every class is on both sides",
        ),
        (
            make_table(split=["val"] * 160 + ["train"] * 40),
            {"test_size": 10},
            "split train: no image of the class 'normal'",
        ),
        (
            make_table(split=["train"] * 120 + ["val"] * 40 + ["train"] * 40),
            {"test_size": 10},
            "split val: no image of the class 'defect'",
        ),
    ],
)
def test_impossible_splits_are_refused(table, config, message):
    with pytest.raises(UserError, match=message):
        assign_splits(table, SplitSettings(**config), 0)


def dealt(table, contents, **options):
    options = {"val_size": 30, "test_size": 30} | options
    return assign_splits(table, SplitSettings(**options), 0, contents)


@pytest.mark.parametrize("split", ["", "train"])
def test_copies_of_one_image_come_into_one_split(split):
    table = make_table(split=split)
    contents = np.array([f"content {i // 4}" for i in range(len(table))])
    made = dealt(table, contents, val_size=0.15, test_size=0.15)
    assert (made.groupby(contents)["split"].nunique() == 1).all()
    assert made["split"].value_counts().to_dict() == {"train": 136, "val": 32, "test": 32}
    assert made["path"].tolist() == table["path"].tolist()


def test_without_copies_contents_change_nothing():
    table = make_table()
    contents = [*map(str, range(len(table) - 2)), "", ""]
    pd.testing.assert_frame_equal(dealt(table, contents), dealt(table, None))


def test_copies_do_not_unbalance_a_split():
    table = make_table()
    contents = np.arange(len(table)).astype(str)
    contents[100:] = contents[:100]
    made = dealt(table, contents, val_size=5, test_size=5, balanced=True)
    assert made["split"].value_counts()[["val", "test"]].to_dict() == {"val": 10, "test": 10}
    held_out = set(contents[made["split"].isin(["val", "test"])])
    assert not held_out & set(contents[made["split"] == "train"])
    assert (made["split"] == "unused").sum() == len(held_out)


def test_copies_in_named_splits_and_groups_stay_where_they_are():
    table = make_table(split=["train", "val", "test", "train"] * 50)
    pd.testing.assert_frame_equal(dealt(table, ["same"] * 200), table)
    grouped = make_table(group=in_groups_of(10))
    pd.testing.assert_frame_equal(dealt(grouped, ["same"] * 200), dealt(grouped, None))


def test_a_parted_group_may_be_allowed():
    table = make_table(split=["train", "val", "test", "train"] * 50, group=in_groups_of(10))
    with pytest.raises(UserError, match="give the whole group one split"):
        assign_splits(table, TWENTY_EACH, 0)
    made = assign_splits(table, TWENTY_EACH, 0, allow_parted_groups=True)
    assert made["split"].tolist() == table["split"].tolist()


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("error")
def test_a_rare_class_may_be_missing_from_a_held_out_split_but_not_from_train(seed, grouped):
    labels = ["a"] * 30 + ["b"] * 30 + ["rare", "single"]
    groups = [f"g{i // 3}" for i in range(60)] + ["r", "s"]
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(62)], "label": labels, "split": ""})
    table["group"] = groups if grouped else ""
    with pytest.raises(UserError):
        assign_splits(table, SplitSettings(), seed)
    split = assign_splits(table, SplitSettings(every_class=False), seed)
    train = split[split["split"] == "train"]
    assert set(train["label"]) == set(labels)
    for name in ("val", "test"):
        part = split[split["split"] == name]
        assert 6 <= len(part) <= 12
        assert {"a", "b"} <= set(part["label"])
    if grouped:
        assert (split.groupby("group")["split"].nunique() == 1).all()


# What is enough by hand, for the default shares: of n normal and m defective images, round(0.15 (n + m))
# are test, and as many are val; both, and train, need one that is defective.
@pytest.mark.parametrize(("number", "words"), [(1, "1 image"), (2, "2 images"), (4, "4 images")])
def test_too_few_images_of_a_class_are_said_with_how_many_are_needed(number, words):
    with pytest.raises(UserError) as caught:
        assign_splits(make_table(normal=12, defect=number), SplitSettings(), 0)
    assert str(caught.value) == (
        f"split: the class 'defect' has {words}, and split.test_size 0.15 and split.val_size 0.15 need at "
        "least 5 of each class. Add images of it, change split.val_size or split.test_size, or set "
        "split.every_class false"
    )


@pytest.mark.parametrize("normal", [3, 12, 80, 300])
@pytest.mark.parametrize(
    "config", [{}, {"balanced": True}, {"val_size": 20}, {"test_size": 40, "balanced": True}]
)
def test_the_number_needed_is_enough_and_one_less_is_not(normal, config):
    config = SplitSettings(**config)
    with pytest.raises(UserError, match=r"need at least \d+ of each class") as caught:
        assign_splits(make_table(normal=normal, defect=1), config, 0)
    needed = int(str(caught.value).split("at least ")[1].split()[0])
    assign_splits(make_table(normal=max(normal, needed), defect=needed), config, 0)
    with pytest.raises(UserError):
        assign_splits(make_table(normal=max(normal, needed - 1), defect=needed - 1), config, 0)


def test_only_splits_that_are_made_are_spoken_of():
    split = ["train"] * 20 + ["test"] * 9 + ["train"] * 1 + ["test"] * 2
    with pytest.raises(UserError, match=r"has 1 image, and split\.val_size 0\.15 needs at least 4 of"):
        assign_splits(make_table(normal=29, defect=3, split=split), SplitSettings(), 0)


def test_copies_count_once_where_there_are_too_few():
    table = make_table(normal=20, defect=5)
    contents = [
        path if label == "normal" else "same" for path, label in table[["path", "label"]].to_numpy()
    ]
    with pytest.raises(UserError, match=r"has 1 image, .* \(copies of one image count once\)"):
        assign_splits(table, SplitSettings(), 0, contents)


def test_a_class_in_too_few_groups_is_named():
    groups = [f"g{i}" for i in range(20)] + ["one"] * 5
    with pytest.raises(UserError, match="the class 'defect' is in 1 of them"):
        assign_splits(make_table(normal=20, defect=5, group=groups), SplitSettings(), 0)


def test_without_every_class_nobody_is_told_of_groups_that_are_none():
    with pytest.raises(UserError, match="the class 'normal' has 3 images, and .* need at least 5 of"):
        assign_splits(make_table(normal=3, defect=3), SplitSettings(every_class=False), 0)


def dealt_by(table, config, seed):
    try:
        return assign_splits(table, config, seed)["split"].tolist()
    except UserError:
        return None


def with_and_without_other_seeds(monkeypatch, table, config, seeds):
    """By the seed alone, and as it is now; None where it cannot be done."""
    monkeypatch.setattr(splits, "MOST_TRIED", 0)  # how many would be enough takes long to find
    now = [dealt_by(table, config, seed) for seed in seeds]
    with monkeypatch.context() as patch:
        patch.setattr(splits, "OTHER_SEEDS", ())
        return [dealt_by(table, config, seed) for seed in seeds], now


# Of these, some depended on the seed, others never could be split, or always.
SIZES = [
    (2, 9),
    (3, 7),
    (3, 8),
    (4, 10),
    (4, 11),
    (5, 5),
    (7, 10),
    (20, 80),
    (3, 5, 18, 26),
    (5, 5, 6, 40),
]


@pytest.mark.parametrize(
    "config",
    [
        SplitSettings(),
        SplitSettings(val_size=2, test_size=3),
        SplitSettings(every_class=False),
        SplitSettings(val_size=0.2, test_size=0.25),
    ],
)
def test_whether_a_set_can_be_split_is_no_matter_of_the_seed(monkeypatch, config):
    depended = 0
    for counts in SIZES:
        labels = [f"c{i}" for i, n in enumerate(counts) for _ in range(n)]
        table = pd.DataFrame({"path": map(str, range(len(labels))), "label": labels})
        table[["split", "group"]] = ""
        before, now = with_and_without_other_seeds(monkeypatch, table, config, range(3))
        depended += len({result is None for result in before}) > 1
        assert len({result is None for result in now}) == 1, counts
        # What the seed could split, it splits as ever.
        assert all(old in (None, new) for old, new in zip(before, now, strict=True)), counts
    assert depended


@pytest.mark.parametrize(
    ("balanced", "numbers"), [(False, (0, 1, 2, 119, 139, 206)), (True, (0, 1, 2, 43, 61, 184))]
)
def test_whether_groups_can_be_split_is_no_matter_of_the_seed(monkeypatch, balanced, numbers):
    depended = 0
    for number in numbers:
        rng = np.random.default_rng(number)
        n = int(rng.integers(6, 16))
        table = pd.DataFrame(
            {"path": map(str, range(n)), "label": rng.choice(["a", "b"], n, p=[0.7, 0.3])}
        )
        table["group"] = [f"g{i}" for i in rng.integers(0, int(rng.integers(4, 9)), n)]
        table["split"] = ""
        config = SplitSettings(balanced=balanced)
        before, now = with_and_without_other_seeds(monkeypatch, table, config, range(4))
        depended += len({result is None for result in before}) > 1
        assert len({result is None for result in now}) == 1
        assert all(old in (None, new) for old, new in zip(before, now, strict=True))
    assert depended == 3
