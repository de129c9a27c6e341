"""What the networks say of regions, as a table."""

import numpy as np

from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.deploy.cascade import Scored, detect
from mindspore_dpus.systems.traffic_signs import score_stage


class Frames:
    """Three frames, the last without regions."""

    paths = ("1.png", "007", "none.png")

    def of(self, split):
        return np.array({"val": [0], "test": [1, 2]}[split])


# A class that is called as a column, and one that looks like a number.
CLASSES = ("foreground", "30")


def test_scores_come_back_as_they_were_written(tmp_path):
    first = Scored(
        np.array([[1.25, 2, 30.125, 40], [5, 6, 7, 8]]),
        np.array([0.75, 0.125]),
        np.array([[0.25, 0.75], [np.nan, np.nan]]),
    )
    second = Scored(np.array([[9.0, 9, 19, 19]]), np.array([1.0]), np.array([[1.0, 0.0]]))
    tables = [
        score_stage._as_table(path, scored, CLASSES)
        for path, scored in zip(Frames.paths, (first, second), strict=False)
    ]
    run = RunFolder(tmp_path)
    write_table(score_stage.pd.concat(tables), run / score_stage.TABLE)
    found = score_stage.read_region_scores(run, Frames(), CLASSES)
    assert sorted(found) == [0, 1, 2]
    for scored, expected in ((found[0], first), (found[1], second)):
        np.testing.assert_array_equal(scored.boxes, expected.boxes)
        np.testing.assert_array_equal(scored.foreground, expected.foreground)
        np.testing.assert_array_equal(scored.signs, expected.signs)
    assert found[2].boxes.shape == (0, 4)
    assert found[2].signs.shape == (0, 2)


def test_a_table_without_a_single_region(tmp_path):
    nothing = Scored(np.empty((0, 4)), np.empty(0), np.empty((0, 2)))
    run = RunFolder(tmp_path)
    write_table(score_stage._as_table("1.png", nothing, CLASSES), run / score_stage.TABLE)
    found = score_stage.read_region_scores(run, Frames(), CLASSES)
    assert all(len(found[i].foreground) == 0 for i in range(3))


def test_no_region_reaches_a_threshold_by_being_written(tmp_path):
    # Its probability is below the lowest threshold by less than a digit of the other columns.
    below = Scored(np.array([[1.0, 2, 30, 40]]), np.array([0.0999999]), np.full((1, 2), np.nan))
    run = RunFolder(tmp_path)
    write_table(score_stage._as_table("1.png", below, CLASSES), run / score_stage.TABLE)
    found = score_stage.read_region_scores(run, Frames(), CLASSES)[0]
    assert len(detect(found, background_threshold=0.1, sign_threshold=0.0).boxes) == 0
