"""The report of a machine-sound run: its sections, and the numbers at the top."""

from pathlib import Path

from mindspore_dpus.core.files import read_json
from mindspore_dpus.data.source import Source
from mindspore_dpus.report.numbers import value_and_interval
from mindspore_dpus.report.page import Card, Page, write_page
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.metrics_stage import FUSED


def write_report(path: Path, source: Source, config: Configuration) -> None:
    """Write ``report.html`` into a run folder."""
    models = read_json(path / "metrics.json")["test"]["models"]
    page = Page(
        title=path.resolve().name,
        subtitle=f"machine sound, {', '.join(config.extractors.networks) or 'simple features alone'}, "
        f"seed {config.seed}",
        cards=_cards(models),
    )
    write_page(path, page, [])


def _cards(models: dict) -> list[Card]:
    if FUSED not in models:
        return []
    cards = []
    for name, title in {"official": "official score", "auc": "AUC", "pauc": "pAUC"}.items():
        value, interval = value_and_interval(models[FUSED][name])
        cards.append(Card(title, value, f"test, {interval}" if interval else "test"))
    return cards
