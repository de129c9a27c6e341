"""What is planned: each piece of work once, ours before torch's, and nothing of torch without it."""

import dataclasses

import pytest
from benchmarking.inputs import FORWARD_BATCH
from benchmarking.parts import PARTS, Settings, all_work, plan

from tests.support import configuration

SETTINGS = Settings(32, 4, (1280, 2000), "CPU", "loops", with_torch=True, with_onnx=True)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_lines_of_its_own(part):
    rows, _ = plan([part], SETTINGS)
    assert {row.part for row in rows} == {part}
    assert len({row.name for row in rows}) == len(rows)


def test_equal_work_is_measured_once_and_the_sides_take_turns():
    works = all_work(*plan(["step", "members"], SETTINGS))
    assert [(w.side, w.processes, dict(w.options)["backbone"]) for w in works] == [
        ("ours", 1, "resnet18"),
        ("torch", 1, "resnet18"),
        ("ours", 1, "mobilenet_v2"),
        ("torch", 1, "mobilenet_v2"),
        ("ours", 1, "resnet50"),
        ("torch", 1, "resnet50"),
        ("ours", 1, "resnet18"),  # fast_kernels none
        ("ours", 1, "mobilenet_v2"),
        ("ours", 1, "resnet18"),  # fast_kernels onednn
        ("ours", 1, "mobilenet_v2"),
        ("ours", 2, "resnet18"),
        ("torch", 2, "resnet18"),
        ("ours", 2, "mobilenet_v2"),
        ("torch", 2, "mobilenet_v2"),
    ]


def test_the_input_pipeline_is_compared_with_a_step_that_no_line_shows():
    rows, comparisons = plan(["input"], SETTINGS)
    assert {c.than.name for c in comparisons} == {"step"}
    assert "step" in {work.name for work in all_work(rows, comparisons)}


def test_without_torch_nothing_is_torchs():
    rows, comparisons = plan(list(PARTS), dataclasses.replace(SETTINGS, with_torch=False))
    assert {work.side for work in all_work(rows, comparisons)} == {"ours"}


def test_without_onnx_no_graph_is_run():
    without = dataclasses.replace(SETTINGS, with_onnx=False)
    graphs = [
        [work.name for work in all_work(*plan(["fuse"], settings)) if work.name == "graph"]
        for settings in (SETTINGS, without)
    ]
    assert graphs == [["graph"], []]


def test_both_sides_are_given_the_products_own_batches():
    from mindspore_dpus.training.inference import PREDICT_BATCH

    assert configuration().features.batch_size == PREDICT_BATCH == FORWARD_BATCH
