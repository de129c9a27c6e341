"""What is planned: each piece of work once, ours before torch's, and nothing of torch without it."""

import dataclasses

import numpy as np
import pytest
from benchmarking.image_files import FILES, READERS, read
from benchmarking.parts import PARTS, Settings, all_work, only_lines, plan
from benchmarking.workloads import FORWARD_BATCH

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
    assert {work.side for work in all_work(rows, comparisons)} == {"ours", "files"}


def test_reading_is_compared_with_opencv_and_where_it_can_with_tifffile():
    for with_imagecodecs, expected in ((False, 8), (True, 14)):
        settings = dataclasses.replace(SETTINGS, with_imagecodecs=with_imagecodecs)
        rows, comparisons = plan(["reading"], settings)
        than = [dict(comparison.than.options)["reader"] for comparison in comparisons]
        assert than.count("OpenCV") == len(rows) == len(FILES)
        assert than.count("tifffile") == expected
        for one in comparisons:
            assert dict(one.ours.options) | {"reader": ""} == dict(one.than.options) | {"reader": ""}


@pytest.mark.parametrize(
    "kind", ["PNG, 16 bits", "JPEG, colour", "TIFF, Deflate, colour of 16 bits", "TIFF, JPEG, 8 bits"]
)
def test_every_reader_of_the_benchmark_reads_the_same_pixels(tmp_path, kind):
    pixels = {}
    for reader in READERS:
        if reader == "tifffile" and (not kind.startswith("TIFF") or "JPEG" in kind):
            continue
        read(tmp_path, kind, reader).call()
        pixels[reader] = READERS[reader](tmp_path / f"0{FILES[kind][0]}")
    if FILES[kind][1]:
        pixels["OpenCV"] = pixels["OpenCV"][..., ::-1]
    assert all(np.array_equal(found, pixels["product"]) for found in pixels.values())


def test_chosen_lines_and_what_is_between_them():
    rows, comparisons = plan(["step", "extract"], SETTINGS)
    names = ["training step, resnet18", "training step, resnet18, fast_kernels none"]
    kept, between = only_lines(rows, comparisons, names)
    assert [row.name for row in kept] == names
    assert [one.name for one in between] == ["fast_kernels loops / none, resnet18"]
    assert only_lines(rows, comparisons, names[:1])[1] == []


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
