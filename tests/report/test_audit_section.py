"""The report's audit: a line for each kind, pairs to look at, and nothing where there is none."""

from types import SimpleNamespace

import pandas as pd
from jinja2 import Environment, PackageLoader

from mindspore_dpus.report.sections.audit import PAIRS
from mindspore_dpus.report.sections.audit import section as audit_section

COLUMNS = ["kind", "severity", "path", "other", "detail"]


def run_in(folder):
    """What the section reads of a run."""
    return SimpleNamespace(
        path=folder, thumbnail=lambda path, caption: SimpleNamespace(path=path, caption=caption)
    )


def section(folder, *rows):
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "audit.csv", index=False)
    return audit_section(run_in(folder))


def html(audit):
    loader = PackageLoader("mindspore_dpus.report")
    template = Environment(loader=loader, autoescape=True).get_template(audit.template)
    return template.render(audit.context).strip()


NEAR = ("near_duplicates_across_splits", "warning", "v.png", "t.png", "4 of 256 bits differ")


def test_a_run_without_an_audit_has_no_section(tmp_path):
    assert audit_section(run_in(tmp_path)) is None


def test_kinds_are_counted_and_grave_pairs_are_shown(tmp_path):
    note = ("near_duplicates", "note", "a.png", "b.png", "2 of 256 bits differ")
    blank = ("constant_image", "warning", "<w>.png", "", "every pixel is 255")
    made = section(tmp_path, *[NEAR] * 6, blank, note, ("class_count", "note", "", "", "train: 8 x"))
    assert [(row.kind, row.number) for row in made.context["rows"]] == [
        ("near_duplicates_across_splits", 6),
        ("constant_image", 1),
        ("near_duplicates", 1),
    ]
    assert [kind.name for kind in made.context["kinds"]] == ["near_duplicates_across_splits"]
    assert len(made.context["kinds"][0].pairs) == PAIRS
    assert [image.path for image in made.context["kinds"][0].pairs[0]] == ["v.png", "t.png"]
    text = html(made)
    assert text.count('alt="v.png"') == text.count('alt="t.png"') == PAIRS
    assert "<td>6</td>" in text
    assert "&lt;w&gt;.png: every pixel is 255" in text
    assert "a.png and b.png" in text
    assert 'alt="a.png"' not in text


def test_nothing_found_is_said(tmp_path):
    made = section(tmp_path, ("class_count", "note", "", "", "train: 8 normal"))
    assert "Nothing found" in html(made)
