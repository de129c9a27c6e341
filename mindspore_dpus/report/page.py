"""One self-contained HTML page: a title, some numbers, and sections, each a template and what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader

from mindspore_dpus.core.files import read_json, write_text


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        template: file name in ``report/templates``.
        context: what the template shows.
    """

    template: str
    context: dict


@dataclass(frozen=True)
class Card:
    """A number at the top of the page, as text."""

    title: str
    value: str
    note: str


@dataclass(frozen=True)
class Page:
    """What stands above the sections.

    Args:
        title: of the page.
        subtitle: one line of what was run.
        cards: the most important numbers.
        verdict: one sentence of what came out.
    """

    title: str
    subtitle: str
    cards: Sequence[Card] = field(default_factory=list)
    verdict: str = ""


def write_page(run: Path, page: Page, sections: Sequence[Section | None]) -> None:
    """Write ``report.html`` into a run folder.

    Args:
        run: the folder, with ``config.yaml``, ``environment.json`` and ``stages.json``.
        page: what stands at the top.
        sections: in the order in which they are shown; None: nothing to show.
    """
    templates = Environment(loader=PackageLoader("mindspore_dpus.report"), autoescape=True)
    parts = [
        templates.get_template(section.template).render(section.context)
        for section in sections
        if section is not None
    ]
    html = templates.get_template("page.html.j2").render(
        title=page.title,
        subtitle=page.subtitle,
        cards=page.cards,
        verdict=page.verdict,
        sections=parts,
        stages=read_json(run / "stages.json"),
        config_text=(run / "config.yaml").read_text(encoding="utf-8"),
        environment_text=(run / "environment.json").read_text(encoding="utf-8"),
    )
    write_text(run / "report.html", html)
