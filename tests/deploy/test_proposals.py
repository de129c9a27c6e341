"""Maps -> boxes."""

import numpy as np
import pytest

from mindspore_dpus.data.boxes.arithmetic import iou
from mindspore_dpus.deploy.anchors import anchor_grid, anchor_shapes
from mindspore_dpus.deploy.proposals import Maps, propose

SIZES, RATIOS, STRIDE = (12.0, 24.0), (0.8, 1.0), 8
WIDTH, HEIGHT = 100, 60
GRID = anchor_grid(anchor_shapes(SIZES, RATIOS), 8, 13, STRIDE)


def random_maps(seed):
    rng = np.random.default_rng(seed)
    return Maps(
        rng.normal(0, 3, (4, 8, 13)).astype(np.float32),
        rng.normal(0, 0.3, (16, 8, 13)).astype(np.float32),
        WIDTH,
        HEIGHT,
    )


def by_loops(maps, grid, pre, post, threshold, min_size):
    """Section 3.3 of Ren et al., in plain Python."""
    found = []
    for a, row, column in np.ndindex(maps.scores.shape):
        x1, y1, x2, y2 = grid[a, row, column]
        tx, ty, tw, th = maps.deltas[4 * a : 4 * a + 4, row, column].astype(np.float64)
        x, y = (x1 + x2) / 2 + tx * (x2 - x1), (y1 + y2) / 2 + ty * (y2 - y1)
        w, h = (x2 - x1) * np.exp(tw), (y2 - y1) * np.exp(th)
        box = [
            min(max(x - w / 2, 0), WIDTH),
            min(max(y - h / 2, 0), HEIGHT),
            min(max(x + w / 2, 0), WIDTH),
            min(max(y + h / 2, 0), HEIGHT),
        ]
        found.append((float(maps.scores[a, row, column]), box))
    found.sort(key=lambda one: -one[0])
    kept = []
    for score, box in found[:pre]:
        if min(box[2] - box[0], box[3] - box[1]) < max(min_size, 1e-12):
            continue
        if all(iou([box], [other])[0, 0] <= threshold for _, other in kept):
            kept.append((score, box))
    return kept[:post]


@pytest.mark.parametrize(
    ("pre", "post", "threshold", "min_size"),
    [(None, None, 0.5, 0), (150, 40, 0.7, 0), (60, 1000, 0.3, 8), (10, 3, 1.0, 0)],
)
def test_proposals_against_loops(pre, post, threshold, min_size):
    maps = random_maps(0)
    expected = by_loops(maps, GRID, pre, post, threshold, min_size)
    found = propose(
        maps,
        GRID,
        pre_nms_top_k=pre,
        post_nms_top_k=post,
        nms_threshold=threshold,
        min_size=min_size,
    )
    assert found.scores.tolist() == [score for score, _ in expected]
    np.testing.assert_allclose(found.boxes, [box for _, box in expected], rtol=0, atol=1e-9)


def test_maps_and_anchors_of_different_networks_are_refused():
    with pytest.raises(ValueError, match="not of one network"):
        propose(random_maps(0), GRID[:2], pre_nms_top_k=5, post_nms_top_k=5, nms_threshold=0.5)
