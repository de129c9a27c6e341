"""The whole way through with six classes: drawn by clusters, rate by range test, unfrozen step by step."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.training.lr_range import suggest_rate
from tests.support import parse_config, train

COUNTS = {"a": 30, "b": 26, "c": 24, "d": 22, "e": 20, "f": 14}
COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (240, 240, 20), (20, 240, 240), (240, 20, 240)]


@pytest.fixture(scope="module")
def waste(tmp_path_factory):
    """Six classes of noisy 32-pixel images, each of a colour of its own."""
    root, rng = tmp_path_factory.mktemp("waste"), np.random.default_rng(0)
    for (label, number), colour in zip(COUNTS.items(), COLOURS, strict=True):
        (root / label).mkdir()
        for i in range(number):
            image = np.clip(rng.normal(colour, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / label / f"{i:02d}.png"), image)
    return root


@pytest.fixture(scope="module")
def run(waste, tmp_path_factory):
    options = {
        "data.root": waste,
        "output": tmp_path_factory.mktemp("runs") / "six",
        "images.size": 32,
        "images.channels": 3,
        "split.val_size": 18,
        "split.test_size": 18,
        "features.backbone": "mobilenet_v2_035",
        "features.pretrained": "null",
        "features.n_components": 3,
        "sampling.n_clusters": 2,
        "sampling.n_subsets": 1,
        "model.backbone": "lenet5",
        "model.pretrained": "null",
        "model.fine_tuning": "gradual",
        "model.unfreeze_parts": 1,
        "training.epochs": 2,
        "training.optimizer": "radam",
        "training.lr_schedule": "one_cycle",
        "training.learning_rate": "auto",
        "training.lr_range.steps": 30,
        "training.lr_range.low": 1e-4,
        "training.select_by": "accuracy",
        "loss.options.label_smoothing": 0.1,
        "evaluation.n_bootstrap": 0,
        "device.target": "CPU",
        "device.processes": 1,
    }
    config = parse_config([f"--{key}={value}" for key, value in options.items()])
    found = train(config, targets=["lr_range"])
    assert found.ran[-1] == "lr_range"
    rate = suggest_rate(pd.read_csv(found / "lr_range.csv"))
    return train(config), rate


def test_every_larger_class_is_drawn_and_the_smallest_is_whole(run):
    samples = pd.read_csv(run[0] / "samples.csv").set_index("path")
    counts = samples["label"][samples["split"] == "train"].value_counts().to_dict()
    drawn = samples["label"][pd.read_csv(run[0] / "subsets.csv")["path"]].value_counts().to_dict()
    target = int(np.ceil(1.1 * counts["f"]))
    assert drawn == {label: min(n, target) for label, n in counts.items()}
    assert drawn["f"] == counts["f"] < target
    assert set(pd.read_csv(run[0] / "clusters.csv")["label"]) == set("abcde")


def test_the_members_train_with_the_rate_that_the_range_test_found(run):
    folder, rate = run
    ran = ["diagnostics", "members", "predictions", "metrics", "heatmaps", "decision", "report"]
    assert folder.ran == ran
    assert rate == suggest_rate(pd.read_csv(folder / "lr_range.csv"))
    report = (folder / "report.html").read_text()
    assert "Learning-rate range test" in report
    assert "Each class against the rest" in report


def test_metrics_are_those_of_six_classes(run):
    metrics = json.loads((run[0] / "metrics.json").read_text())["test"]
    table = pd.read_csv(run[0] / "predictions_test.csv")
    assert metrics["classes"] == list("abcdef")
    assert metrics["counts"] == [metrics["per_class"][c]["support"] for c in "abcdef"]
    fused = metrics["models"]["fused"]
    assert fused["accuracy"]["value"] == pytest.approx(
        (table["label"] == table["predicted"]).mean(), abs=1e-6
    )
    assert fused["top2_accuracy"]["value"] >= fused["accuracy"]["value"]
