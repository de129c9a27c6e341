"""The report's section on the worst errors: test images, and where the ensemble sees a class in them."""

from pathlib import Path
from types import SimpleNamespace

from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.metrics.fusion import FUSED
from mindspore_dpus.metrics.predictions import worst_errors
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.page import Section
from mindspore_dpus.report.thumbnails import data_uri, small

WORST = 12
HEATMAPS = "heatmaps/test.csv"


def section(run: ClassifierRun) -> Section:
    """Test images that the fused ensemble gets wrong, the surest first, by true class."""
    heatmaps = _heatmaps(run.path)
    parts = []
    for label, part in worst_errors(run.predictions, run.classes).items():
        images = []
        for _, row in part.head(WORST).iterrows():
            caption = f"{row['predicted']} {row[f'{FUSED}:{row.predicted}']:.2f}"
            image = run.thumbnail(row["path"], caption)
            file = heatmaps.get(row["path"])
            image.heatmap = data_uri(small(read_image(file).values)) if file else None
            images.append(image)
        parts.append(
            SimpleNamespace(title=f"{label} taken for another class", count=len(part), images=images)
        )
    positive = run.positive if run.positive_index is not None else "the predicted class"
    return Section("errors.html.j2", {"parts": parts, "heat_of": positive, "method": run.heatmap_method})


def _heatmaps(run: Path) -> dict[str, Path]:
    """Image -> picture with heat over it, for the errors that have one."""
    if not (run / HEATMAPS).exists():
        return {}
    table = read_table(run / HEATMAPS)
    folder = (run / HEATMAPS).with_suffix("")
    files = {path: folder / name for path, name in zip(table["path"], table["heatmap"], strict=True)}
    return {path: file for path, file in files.items() if file.exists()}
