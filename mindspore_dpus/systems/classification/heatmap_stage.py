"""fused predictions -> where the ensemble sees a class: heatmaps of its errors, peaks in known boxes."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.images.preparing import load_prepared
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.sample_table import read_samples
from mindspore_dpus.metrics import localisation
from mindspore_dpus.metrics.predictions import json_numbers, shown_classes, worst_errors
from mindspore_dpus.report.overlays import peak, to_heatmap
from mindspore_dpus.report.sections.errors import HEATMAPS, WORST
from mindspore_dpus.stages.member_stages import load_ensemble
from mindspore_dpus.systems.classification.configuration import Configuration
from mindspore_dpus.systems.classification.run_data import source_of
from mindspore_dpus.systems.classification.scorer import RunScorer, training_of

EXPLAINED_AT_A_TIME = 256


def make_heatmaps(run: RunFolder, config: Configuration, members_key: str) -> None:
    """``heatmaps/test.csv`` and a picture for each error on test that the report shows."""
    from mindspore_dpus.models.gradcam import NoMapError
    from mindspore_dpus.systems.classification.heatmaps import write_heatmaps

    folder = (run / HEATMAPS).with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    table, classes, _ = read_samples(run / "samples.csv")
    predictions = read_table(run / "predictions_test.csv")
    errors = [part.head(WORST) for part in worst_errors(predictions, classes).values()]
    written = pd.DataFrame(columns=["path", "heatmap", "peak_x", "peak_y"])
    if errors:
        shown, source = pd.concat(errors), source_of(run, config)
        images = source.open(table)[pd.Index(table["path"]).get_indexer(shown["path"])]
        asked = shown_classes(shown, classes, config.data.positive)
        ensemble = load_ensemble(run.path, source, training_of(config), members_key)
        try:
            written = write_heatmaps(
                *(ensemble, config.heatmaps, config.images, images, asked),
                *(shown["path"].tolist(), folder, source.root),
            )
        except NoMapError as error:
            # Not what the run is for: the report goes without.
            warnings.warn(f"no heatmaps: {error}", stacklevel=1)
    write_table(written, run / HEATMAPS)


def heatmap_artefacts(run: RunFolder) -> list[str]:
    """What ``make_heatmaps`` leaves: the table and its pictures."""
    folder = HEATMAPS.removesuffix(".csv")
    return [HEATMAPS, *(f"{folder}/{name}" for name in read_table(run / HEATMAPS)["heatmap"])]


def explain_predictions(scorer: RunScorer, predictions: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """A picture of every image that is called: with two classes the positive ones, with more all.

    Args:
        scorer: the run that predicted.
        predictions: ``path, error, predicted``: the table of ``deploy.scoring``.
        folder: for the pictures, and for ``heatmaps.csv`` (path, heatmap, peak_x, peak_y).

    Returns:
        What ``heatmaps.csv`` holds.

    Raises:
        UserError: the backbone has no map of places, or an image has vanished since it was scored.
    """
    from mindspore_dpus.systems.classification.heatmaps import write_heatmaps

    shown = predictions[predictions["error"].fillna("") == ""]
    if scorer.positive is not None:
        shown = shown[shown["predicted"] == scorer.classes[scorer.positive]]
    written = [pd.DataFrame(columns=["path", "heatmap", "peak_x", "peak_y"])]
    for first in range(0, len(shown), EXPLAINED_AT_A_TIME):
        part = shown.iloc[first : first + EXPLAINED_AT_A_TIME]
        paths = part["path"].tolist()
        images = np.stack([load_prepared(path, scorer.spec) for path in paths])
        asked = shown_classes(part, scorer.classes, scorer.config.data.positive)
        written.append(
            write_heatmaps(
                scorer.ensemble, scorer.config.heatmaps, scorer.spec, images, asked, paths, folder
            )
        )
    table = pd.concat(written[1:] or written, ignore_index=True)
    write_table(table, folder / "heatmaps.csv")
    return table


def check_boxes(
    scorer: RunScorer,
    images: np.ndarray,
    boxed: pd.DataFrame,
    classes: list[str],
    root: Path,
    output: Path,
) -> dict:
    """Hold the heatmaps of annotated images against their boxes.

    Args:
        scorer: the run's.
        images: (N, H, W, C) prepared images.
        boxed: rows of a sample table that have a box (``metrics.localisation.boxed``), indexed by
            their place in ``images``.
        classes: names in the order of the outputs. Each image is asked about its true class.
        root: the data root.
        output: CSV to write: for each image its peak, whether that lies inside, the shares of the image
            that the box covers and of the heat that lies in it.

    Returns:
        As ``metrics.localisation.summarise``, as JSON values.

    Raises:
        UserError: a box outside its image, or a backbone without a map.
    """
    from mindspore_dpus.systems.classification.heatmaps import evidence

    sizes = [
        read_image(root / path, max_pixels=scorer.spec.max_pixels).values.shape[:2]
        for path in boxed["path"]
    ]
    boxes = boxed[localisation.BOX].to_numpy(float)
    places = [localisation.covered(box, *size) for box, size in zip(boxes, sizes, strict=True)]
    if min(places) == 0:
        first = places.index(0)
        height, width = sizes[first]
        raise UserError(
            f"localisation: the box of {boxed['path'].iloc[first]} lies outside its image of "
            f"{width} x {height} pixels"
        )
    maps = evidence(
        scorer.ensemble,
        scorer.config.heatmaps,
        images[boxed.index],
        boxed["label"].map(classes.index).to_numpy(),
    )
    found = []
    for one, box, (height, width), share in zip(maps, boxes, sizes, places, strict=True):
        pixel = peak(one, height, width) or (np.nan, np.nan)
        found.append(
            {
                "height": height,
                "width": width,
                "peak_x": pixel[0],
                "peak_y": pixel[1],
                "inside": bool(localisation.inside(np.array(pixel), box)),
                "covered": share,
                "energy": localisation.energy(to_heatmap(one, height, width), box),
            }
        )
    own = boxed[["path", "label", *localisation.BOX]].reset_index(drop=True)
    result = pd.concat([own, pd.DataFrame(found)], axis=1)
    write_table(result.round(6), output)
    return json_numbers(localisation.summarise(result, scorer.config.evaluation.confidence))
