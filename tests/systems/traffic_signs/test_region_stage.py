"""Regions that both networks learn from: how much background beside the signs."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus import systems
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.boxes.annotations import EDGES, Found, check
from mindspore_dpus.data.boxes.registry import write_boxes
from mindspore_dpus.systems.traffic_signs.region_stage import make_regions

FRAMES = {"train": 30, "val": 4, "test": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Frames with two signs each, and proposals: two of each sign, and 60 all over the frame."""
    run = RunFolder(tmp_path_factory.mktemp("regions"))
    rng = np.random.default_rng(0)
    frames, boxes, proposals = [], [], []
    for split, number in FRAMES.items():
        for i in range(number):
            path = f"{split}/{i}.png"
            frames.append({"path": path, "width": 400, "height": 200, "split": split})
            for j, label in enumerate(("stop", "bend")):
                x = 40 + 200 * j
                box = dict(zip(EDGES, (x, 50, x + 30, 80), strict=True))
                boxes.append({"path": path, "place": "", "label": label} | box)
                proposals += [{"path": path, "score": 1.0, **box, "x1": x - k} for k in (1, 2)]
            start = rng.integers(100, 170, 60)
            others = pd.DataFrame({"x1": start % 40 + 100, "y1": start - 50})
            others = others.assign(x2=others["x1"] + np.arange(60) + 10, y2=others["y1"] + 25)
            proposals += others.assign(path=path, score=0.0).to_dict("records")
    found = check(Found(boxes, frames, {"stop": 0, "bend": 1}), None, strict=True)
    write_boxes(found, run / "boxes.csv", "boxes")
    write_table(pd.DataFrame(proposals), run / "proposals" / "proposals.csv")
    return run


def regions(run, *more):
    args = ["--system=traffic_signs", "--data.root=frames", "--place.enabled=false", *more]
    make_regions(run, systems.parse_config([*args, "--regions.background_per_frame=20"]))
    table = pd.read_csv(run / "background" / "samples.csv")
    counts = table.groupby(["split", "label"]).size()
    written = pd.read_csv(run / "regions.csv", index_col="split")
    for split in FRAMES:
        assert written.loc[split, "background"] == counts[split, "background"]
        assert written.loc[split, ["true boxes", "mined signs", "crops"]].sum() == counts[split, "sign"]
    # What both networks are measured on does not depend on how training background is drawn.
    measured = table[table["split"] != "train"]
    return counts["train", "background"], counts["train", "sign"], measured.to_numpy().tolist()


def test_the_dice_balances_and_a_strategy_draws_from_all(run):
    balanced, signs, measured = regions(run)
    # Two true boxes and four proposals of them in each of 30 frames.
    assert signs == 180
    assert balanced == pytest.approx(180, abs=45)  # Four standard errors.
    everything, same_signs, same = regions(run, "--background.sampling.strategy=dpus")
    assert same_signs == signs
    assert same == measured
    assert everything == pytest.approx(600, abs=80)


def test_training_background_may_be_a_number_or_balanced_for_any_strategy(run):
    all_of_it = regions(run, "--regions.train_background=20")[0]
    assert all_of_it == regions(run, "--background.sampling.strategy=dpus")[0]
    dpus = ["--background.sampling.strategy=dpus", "--regions.train_background=balanced"]
    assert regions(run, *dpus)[0] == regions(run)[0]
