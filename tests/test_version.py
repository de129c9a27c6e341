"""One version, wherever it stands; a README that stays short; links that lead somewhere."""

import re
from pathlib import Path

import pytest
import yaml

import mindspore_dpus

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_package_citation_and_changelog_have_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    first = re.search(r"^## (\S+) . (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert first is not None
    assert first.groups() == (mindspore_dpus.__version__, str(citation["date-released"]))
    assert str(citation["version"]) == mindspore_dpus.__version__


def test_the_readme_is_at_most_120_lines():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_links_lead_to_files_that_are_there(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#|mailto:", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    results = (ROOT / "docs" / "reproduction" / "results.md").read_text(encoding="utf-8")
    for page in PAGES:
        place = page.relative_to(ROOT).parts
        # Tables that a grid has written lie deeper.
        if place[0] != "docs" or page.name == "README.md" or len(place) > 4:
            continue
        listed = results if page.parent.name == "results" else index
        assert f"({'/'.join(place[-2:])})" in listed or f"({page.name})" in listed, page
