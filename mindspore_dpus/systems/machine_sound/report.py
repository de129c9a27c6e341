"""The report of a machine-sound run: its sections, and the numbers at the top."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.audio.names import ANOMALY, NORMAL
from mindspore_dpus.data.findings import summarise
from mindspore_dpus.data.source import Source
from mindspore_dpus.report.numbers import value_and_interval
from mindspore_dpus.report.page import Card, Page, Section, write_page
from mindspore_dpus.report.sections import sound
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.embedding_map import map_of
from mindspore_dpus.systems.machine_sound.leaks import find_row, mark
from mindspore_dpus.systems.machine_sound.metrics_stage import FUSED
from mindspore_dpus.systems.machine_sound.run_data import read_clips

# Clips that are shown.
SHOWN = 4


def write_report(path: Path, source: Source, config: Configuration) -> None:
    """Write ``report.html`` into a run folder."""
    metrics = read_json(path / "metrics.json")["test"]
    models = {name: values for name, values in metrics["models"].items() if name != FUSED}
    scores = read_table(path / "scores.csv")
    scores = scores[scores["error"] == ""].astype({"score": float})
    labelled = scores[scores["label"].isin((NORMAL, ANOMALY))]
    audit = path / "audit.csv"
    findings = summarise(read_table(audit)) if audit.exists() else None
    sections: list[Section | None] = [sound.data_section(read_clips(path), findings)]
    if models:
        product = find_row(models, f"{config.ensemble.product}, ensemble")
        results = read_table(path / "results.csv")
        leak = mark(config, True)
        sections.append(sound.results_section(models, results, product, leak))
        sections.append(sound.roc_section(labelled, leak))
    sections.append(_most_anomalous(path, source, config, scores))
    sections.append(map_of(path, source, config))
    page = Page(
        title=path.resolve().name,
        subtitle=f"machine sound, {', '.join(config.extractors.networks) or 'simple features alone'}, "
        f"seed {config.seed}",
        cards=_cards(metrics["models"], mark(config, True)),
    )
    write_page(path, page, sections)


def _cards(models: dict, leak: str) -> list[Card]:
    if FUSED not in models:
        return []
    cards = []
    for name, title in {"official": "official score", "auc": "AUC", "pauc": "pAUC"}.items():
        value, interval = value_and_interval(models[FUSED][name])
        note = f"test, {interval}" if interval else "test"
        cards.append(Card(title, value, note + leak))
    return cards


def _most_anomalous(
    path: Path, source: Source, config: Configuration, scores: pd.DataFrame
) -> Section | None:
    """Where in time the highest scores come from; None where no clip can be scored alone."""
    if config.standardise.by == "test" or scores.empty:
        return None
    # Here: it imports this package's other modules, which the report stands beside.
    from mindspore_dpus.systems.machine_sound.evaluation import scorer_of

    scorer = scorer_of(RunFolder.open(path), config)
    clips = []
    for row in scores.sort_values("score", ascending=False).head(SHOWN).itertuples():
        waveform = scorer.front.read(source.root / row.path)
        found = scorer.score(waveform, row.machine, row.section)
        title = f"{row.machine} {row.section}, {row.domain}, {row.label}: {found.score:.2f}"
        clips.append(
            (title, _whole(scorer.front(waveform), found.starts, config), found.starts, found.segments)
        )
    return sound.clips_section(clips, config.audio.segment_seconds)


def _whole(segments: np.ndarray, starts: np.ndarray, config: Configuration) -> np.ndarray:
    """The clip's picture, put together from its segments."""
    places = np.rint(starts / config.audio.hop_seconds).astype(int)
    n_frames = segments.shape[2]
    picture = np.zeros((segments.shape[1], places[-1] + n_frames), np.float32)
    for place, segment in zip(places, segments, strict=True):
        picture[:, place : place + n_frames] = segment
    return picture
