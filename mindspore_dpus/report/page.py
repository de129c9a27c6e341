"""One self-contained HTML file from a run folder: it reads that folder, and images for examples."""

import base64
import dataclasses
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader

from mindspore_dpus.config import Config
from mindspore_dpus.core.configuration import load_config
from mindspore_dpus.core.run_folder import read_json, write_text
from mindspore_dpus.data.images.preparing import ImageSpec, load_prepared
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.samples import SPLITS, UNUSED, class_names, read_table
from mindspore_dpus.metrics.classification import METRICS, MULTI_CLASS_METRICS
from mindspore_dpus.metrics.predictions import positive_index, read_predictions, worst_errors
from mindspore_dpus.report import plots
from mindspore_dpus.report.sections.audit import audit_section
from mindspore_dpus.report.sections.clusters import groups_section
from mindspore_dpus.report.sections.decision import decision_section
from mindspore_dpus.report.sections.groups import by_group_section

WORST = 12
HEATMAPS = "heatmaps/test.csv"
THUMBNAIL = 128
SHOWN = (*METRICS, *MULTI_CLASS_METRICS)


def write_report(run: Path, root: Path) -> None:
    """Write ``report.html`` into a run folder.

    Args:
        run: the folder, filled up to ``metrics.json``.
        root: the data root, for example images.
    """
    config = load_config(run / "config.yaml")
    samples = read_table(run / "samples.csv")
    subsets = read_table(run / "subsets.csv")
    metrics = read_json(run / "metrics.json")
    classes = class_names(samples)
    positive = positive_index(classes, config)
    thumbnails = _Thumbnails(root, config)
    labels, outputs = read_predictions(run / "predictions_test.csv", classes)
    predictions = read_table(run / "predictions_test.csv")
    models = metrics["test"]["models"]
    members = [name for name in models if name not in (plots.FUSED, plots.BASELINE)]
    histories = _histories(run, [*members, plots.BASELINE])
    template = Environment(loader=PackageLoader("mindspore_dpus.report"), autoescape=True).get_template(
        "report.html.j2"
    )
    html = template.render(
        name=run.resolve().name,
        config=config,
        n_members=len(members),
        classes=classes,
        positive=config.data.positive if positive is not None else None,
        has_baseline=plots.BASELINE in models,
        cards=_cards(models),
        verdict=_verdict(models, members),
        data=_data(samples, classes),
        audit=audit_section(run, thumbnails),
        member_counts=_member_counts(samples, subsets),
        groups=groups_section(run, subsets, thumbnails),
        training=plots.training_curves(histories),
        halvings={name: n for name, table in histories.items() if (n := table["halvings"].max())},
        lr_range=_lr_range(run, config),
        metric_names=[m for m in SHOWN if m in models[plots.FUSED]],
        per_class=_per_class(metrics["test"]),
        results=[_results(split, metrics[split]) for split in ("test", "val")],
        fusion=_fusion(run),
        curves=_curves(labels, outputs, classes, positive),
        confusion=plots.confusion(np.array(metrics["test"]["confusion_matrix"]), classes),
        by_group=by_group_section(run, samples, predictions, classes),
        decision=decision_section(run),
        errors=_errors(predictions, classes, thumbnails, _heatmaps(run)),
        heat_of=config.data.positive if positive is not None else "the predicted class",
        stages=read_json(run / "stages.json"),
        config_text=(run / "config.yaml").read_text(encoding="utf-8"),
        environment_text=(run / "environment.json").read_text(encoding="utf-8"),
    )
    write_text(run / "report.html", html)


class _Thumbnails:
    """Example images as data URIs."""

    def __init__(self, root: Path, config: Config) -> None:
        self.root = root
        spec = ImageSpec.from_config(config.data)
        # Shown as the networks see them, but for the size.
        self.spec = dataclasses.replace(spec, size=min(THUMBNAIL, spec.size), bits=16)

    def __call__(self, path: str, caption: str = "") -> SimpleNamespace:
        image = (load_prepared(self.root / path, self.spec) >> 8).astype(np.uint8)
        return SimpleNamespace(path=path, uri=_data_uri(image), caption=caption)


def _format(metric: dict) -> tuple[str, str]:
    if metric["value"] is None:
        return "n/a", ""
    low, high = metric.get("low"), metric.get("high")
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
    return f"{metric['value']:.3f}", interval


def _cards(models: dict) -> list[SimpleNamespace]:
    cards = []
    titles = {"auc": "AUC, fused", "recall": "recall, fused", "precision": "precision, fused"}
    for name, title in titles.items():
        value, interval = _format(models[plots.FUSED][name])
        cards.append(
            SimpleNamespace(title=title, value=value, note=f"test, {interval}" if interval else "test")
        )
    if plots.BASELINE in models:
        value, interval = _format(models[plots.BASELINE]["auc"])
        cards.append(
            SimpleNamespace(title="AUC, one under-sampled model", value=value, note=f"test, {interval}")
        )
    return cards


def _verdict(models: dict, members: list[str]) -> str:
    """What fusion brought, in one sentence; whatever it is."""
    fused = models[plots.FUSED]["auc"]["value"]
    single = [models[name]["auc"]["value"] for name in members]
    if fused is None:
        return "The test split lacks a class, so there is no AUC."
    text = (
        f"Fused, the {len(members)} members reach a test AUC of {fused:.3f}; alone they reach "
        f"{min(single):.3f} to {max(single):.3f} (mean {np.mean(single):.3f})."
    )
    if plots.BASELINE in models:
        baseline = models[plots.BASELINE]["auc"]["value"]
        text += f" One model on a random under-sample of the same size reaches {baseline:.3f}."
    return text


def _data(samples: pd.DataFrame, classes: list[str]) -> list[SimpleNamespace]:
    rows = []
    for split in (*SPLITS, UNUSED):
        labels = samples["label"][samples["split"] == split]
        if len(labels):
            rows.append(SimpleNamespace(split=split, counts=[int((labels == c).sum()) for c in classes]))
    return rows


def _member_counts(samples: pd.DataFrame, subsets: pd.DataFrame) -> dict[str, int]:
    first = subsets[subsets["member"] == subsets["member"].iloc[0]]
    return first.merge(samples[["path", "label"]])["label"].value_counts().to_dict()


def _histories(run: Path, names: list[str]) -> dict[str, pd.DataFrame]:
    files = {name: run / "members" / name / "history.csv" for name in names}
    return {name: pd.read_csv(path) for name, path in files.items() if path.exists()}


def _lr_range(run: Path, config: Config) -> str:
    """The figure of the learning-rate range test, where the members follow it."""
    if config.training.learning_rate != "auto":
        return ""
    return (run / "lr_range.svg").read_text(encoding="utf-8")


def _results(name: str, split: dict) -> SimpleNamespace:
    models = []
    for model, values in split["models"].items():
        cells = [
            SimpleNamespace(value=value, interval=interval)
            for value, interval in (_format(values[m]) for m in SHOWN if m in values)
        ]
        models.append(SimpleNamespace(name=model, cells=cells))
    return SimpleNamespace(name=name, n=sum(split["counts"]), models=models)


def _per_class(split: dict) -> list[SimpleNamespace]:
    """Precision, recall, F1 and support of each class; of two, the metrics already say it."""
    if len(split["classes"]) == 2:
        return []
    rows = []
    for name, values in split["per_class"].items():
        cells = [_format({"value": values[m]})[0] for m in ("precision", "recall", "f1")]
        rows.append(SimpleNamespace(name=name, cells=[*cells, values["support"]]))
    return rows


def _curves(
    labels: np.ndarray, outputs: dict[str, np.ndarray], classes: list[str], positive: int | None
) -> str:
    """ROC and precision-recall of each class against the rest; two classes: of the positive one."""
    figures = []
    for index in [positive] if positive is not None else range(len(classes)):
        scores = {name: output[:, index] for name, output in outputs.items()}
        # The fused curve is drawn last, on top.
        ordered = {n: scores[n] for n in sorted(scores, key=lambda n: n == plots.FUSED)}
        figures.append(plots.curves(labels == index, ordered, classes[index]))
    return "\n".join(figures)


def _fusion(run: Path) -> str:
    """AUC against the number of fused members; of one member there is no curve."""
    tables = {split: read_table(run / f"fusion_{split}.csv") for split in ("test", "val")}
    return plots.fusion(tables) if len(tables["test"]) > 1 else ""


def _heatmaps(run: Path) -> dict[str, Path]:
    """Image -> picture with heat over it, for the errors that have one."""
    if not (run / HEATMAPS).exists():
        return {}
    table = read_table(run / HEATMAPS)
    folder = (run / HEATMAPS).with_suffix("")
    files = {path: folder / name for path, name in zip(table["path"], table["heatmap"], strict=True)}
    return {path: file for path, file in files.items() if file.exists()}


def _errors(
    predictions: pd.DataFrame,
    classes: list[str],
    thumbnails: _Thumbnails,
    heatmaps: dict[str, Path],
) -> list[SimpleNamespace]:
    """Test images that the fused ensemble gets wrong, the surest first, by true class."""
    parts = []
    for label, part in worst_errors(predictions, classes).items():
        images = []
        for _, row in part.head(WORST).iterrows():
            caption = f"{row['predicted']} {row[f'{plots.FUSED}:{row.predicted}']:.2f}"
            image = thumbnails(row["path"], caption)
            file = heatmaps.get(row["path"])
            image.heatmap = _data_uri(_small(read_image(file).values)) if file else None
            images.append(image)
        parts.append(
            SimpleNamespace(title=f"{label} taken for another class", count=len(part), images=images)
        )
    return parts


def _small(image: np.ndarray) -> np.ndarray:
    """An image as large as a thumbnail, square as those are."""
    return cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)


def _data_uri(image: np.ndarray) -> str:
    """An 8-bit image, grey (H, W, 1) or RGB (H, W, 3), as a JPEG inside the page."""
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
