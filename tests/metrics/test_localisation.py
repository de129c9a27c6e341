"""Peaks and heat against boxes, by hand and against SciPy's and brute-force references."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.localisation import boxed, covered, energy, inside, summarise


def samples(**columns):
    table = {"path": ["a", "b"], "box_x": ["", "1"], "box_y": ["", "2"]}
    return pd.DataFrame(table | {"box_w": ["", "3"], "box_h": ["", "4"]} | columns)


def test_images_without_a_box_are_left_out_and_text_becomes_numbers():
    rows = boxed(samples())
    assert rows["path"].tolist() == ["b"]
    assert rows.index.tolist() == [1]
    assert rows[["box_x", "box_y", "box_w", "box_h"]].to_numpy(float).tolist() == [[1, 2, 3, 4]]


def test_missing_numbers_are_no_box_either():
    numbers = {name: [np.nan, 5.0] for name in ("box_x", "box_y", "box_w", "box_h")}
    assert boxed(samples(**numbers))["path"].tolist() == ["b"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"box_x": ["", "left"]}, "box of b is no box: box_x 'left', box_y '2'"),
        ({"box_h": ["", ""]}, "box of b is no box"),
        ({"box_w": ["", "0"]}, "box of b is no box"),
        ({name: ["", ""] for name in ("box_x", "box_y", "box_w", "box_h")}, "no image .* has a box"),
    ],
)
def test_what_is_no_box_is_named(columns, message):
    with pytest.raises(UserError, match=message):
        boxed(samples(**columns))


def test_a_missing_column_is_named():
    with pytest.raises(UserError, match="no column 'box_h'; it needs box_x, box_y, box_w, box_h"):
        boxed(samples().drop(columns="box_h"))


def test_a_box_holds_its_first_pixel_and_not_the_one_after_its_last():
    box = np.array([10, 20, 5, 2])
    peaks = np.array([[10, 20], [14, 21], [15, 21], [14, 22], [9, 20], [10, 19], [np.nan, np.nan]])
    assert inside(peaks, box).tolist() == [True, True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((2, 1, 4, 3), 12 / 80),
        ((-3, -2, 5, 4), 4 / 80),  # cut by the left and upper edge
        ((8, 6, 100, 100), 4 / 80),  # by the right and lower one
        ((-5, -5, 100, 100), 1.0),
        ((12, 0, 5, 5), 0.0),
        ((-9, 0, 5, 5), 0.0),
    ],
)
def test_a_box_covers_what_lies_in_the_image(box, share):
    assert covered(np.array(box), height=8, width=10) == share
    # All pixels are alike: the heat inside is the share of the image.
    assert energy(np.ones((8, 10), np.float32), np.array(box)) == pytest.approx(share)


def test_energy_is_the_share_of_the_heat():
    heatmap = np.zeros((4, 6), np.float32)
    heatmap[1, 2], heatmap[3, 5] = 3, 1
    assert energy(heatmap, np.array([2, 1, 1, 1])) == 0.75
    assert np.isnan(energy(np.zeros((4, 6)), np.array([2, 1, 1, 1])))


def random_table(n=40):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"width": rng.integers(50, 200, n), "height": rng.integers(50, 200, n)})
    for side, extent in (("x", "width"), ("y", "height")):
        table[f"box_{side}"] = (rng.uniform(0, 0.6, n) * table[extent]).astype(int)
        table[f"box_{extent[0]}"] = (0.4 * table[extent]).astype(int)
        table[f"peak_{side}"] = (rng.uniform(0, 1, n) * table[extent]).astype(int)
    table.loc[3, ["peak_x", "peak_y"]] = np.nan
    table["covered"] = rng.uniform(size=n)
    table["energy"] = rng.uniform(size=n)
    table.loc[3, "energy"] = np.nan
    return table


def test_the_summary_counts_and_compares():
    table = random_table()
    found = summarise(table, 0.95)
    hits = 0
    exchanged = []
    for i, a in table.iterrows():
        for j, b in table.iterrows():
            x = (b["peak_x"] + 0.5) / b["width"] * a["width"]
            y = (b["peak_y"] + 0.5) / b["height"] * a["height"]
            hit = a["box_x"] <= x < a["box_x"] + a["box_w"] and a["box_y"] <= y < a["box_y"] + a["box_h"]
            if i == j:
                hits += hit
            else:
                exchanged.append(hit)
    n = len(table)
    assert 0 < hits < n
    assert (found["images"], found["hits"], found["without_peak"]) == (n, hits, 1)
    assert found["share"] == hits / n
    assert found["exchanged"] == pytest.approx(np.mean(exchanged))
    assert found["chance"] == pytest.approx(table["covered"].mean())
    assert found["energy"] == pytest.approx(table["energy"].mean())
    # Clopper and Pearson 1934, by quantiles of the beta distribution.
    assert found["low"] == pytest.approx(beta.ppf(0.025, hits, n - hits + 1))
    assert found["high"] == pytest.approx(beta.ppf(0.975, hits + 1, n - hits))


def test_peaks_in_a_favourite_place_are_no_better_when_exchanged():
    table = random_table()
    table["peak_x"], table["peak_y"] = table["box_x"] + 1, table["box_y"] + 1
    found = summarise(table, 0.95)
    assert found["share"] == 1 > found["exchanged"]
    table["width"] = table["height"] = 100
    table[["box_x", "box_y", "box_w", "box_h"]] = (40, 40, 20, 20)
    table["peak_x"] = table["peak_y"] = 50
    found = summarise(table, 0.95)
    assert found["share"] == found["exchanged"] == 1


def test_one_image_has_no_others():
    with np.errstate(all="raise"):
        found = summarise(random_table().head(1), 0.95)
    assert found["images"] == 1
    assert np.isnan(found["exchanged"])
