"""The paper's tables: its numbers as printed, ours beside them."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.tables import read_table
from mindspore_dpus.systems.machine_sound.metrics_stage import paper_artefacts
from mindspore_dpus.systems.machine_sound.paper_tables import (
    ALL,
    MACHINES,
    PAPER,
    paper_tables,
    write_paper_tables,
)


def results(*rows):
    columns = ["row", "definition", "machine", "section", "domain", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


NONE = pd.DataFrame(columns=["vectors", "machine", "section", "auc"])


def test_the_papers_means_are_those_of_its_own_cells():
    """A mistyped cell would show. (The official baselines' means are not those of their cells, as printed.)"""
    for name in ("table1", "table2", "table3"):
        for title, (*cells, mean) in PAPER[name].items():
            assert len(cells) == len(MACHINES)
            expected = len(cells) / sum(1 / cell for cell in cells)
            assert mean == pytest.approx(expected, rel=0.04 if "Official" in title else 2e-4), title
    *cells, mean = PAPER["table4"]["domain classifier"]
    assert mean == pytest.approx(np.mean(cells), abs=0.01)


def test_ours_stand_below_the_row_that_they_repeat():
    row = "generalised, ensemble"
    table = paper_tables(
        results(
            (row, "together", "fan", "00", "both", "auc", "0.8"),
            (row, "together", "fan", "00", "both", "pauc", "0.5"),
            (row, "together", "valve", "00", "both", "auc", "1.0"),
            (row, "together", "fan", "", "both", "mean", "0.1"),
            (row, "domain", "fan", "00", "source", "auc", "0.3"),
            ("simple features", "together", "pump", "00", "both", "auc", "0.6"),
        ),
        NONE,
        "common",
    )["table3"]
    titles = table["row"].tolist()
    place = titles.index("Domain generalization")
    assert titles[place + 1] == row
    assert table["whose"][place : place + 2].tolist() == ["paper", "ours"]
    ours = table.iloc[place + 1]
    assert ours["fan"] == pytest.approx(100 * 2 / (1 / 0.8 + 1 / 0.5))
    assert ours["valve"] == pytest.approx(100)
    assert ours[ALL] == pytest.approx(100 * 3 / (1 / 0.8 + 1 / 0.5 + 1))
    assert np.isnan(ours["bearing"])
    assert titles[-1] == "simple features"
    assert table.iloc[-1]["pump"] == pytest.approx(60)


def test_the_scope_decides_which_row_an_ensemble_repeats():
    rows = results(
        ("specialised, ensemble (test data leak in)", "together", "fan", "00", "both", "auc", 1)
    )
    for scope, title in (
        ("common", "Domain specialization"),
        ("per_machine", "Domain specialization per machine"),
    ):
        titles = paper_tables(rows, NONE, scope)["table3"]["row"].tolist()
        assert titles[titles.index(title) + 1] == "specialised, ensemble (test data leak in)"


def test_table_4_is_the_mean_auc_of_domains():
    columns = ["vectors", "machine", "section", "auc"]
    domains = pd.DataFrame(
        [
            ("simple", "fan", "00", "0.9"),
            ("simple", "fan", "01", "0.7"),
            ("simple", "valve", "00", "0.5"),
        ],
        columns=columns,
    )
    table = paper_tables(results(), domains, "common")["table4"]
    assert table["row"].tolist() == ["domain classifier", "by simple"]
    assert table.iloc[1][["fan", "valve", ALL]].tolist() == pytest.approx([80, 50, 70])


def test_files(tmp_path):
    write_paper_tables(tmp_path / "tables", paper_tables(results(), NONE, "common"))
    assert all((tmp_path / name).exists() for name in paper_artefacts(True))
    assert paper_artefacts(False) == []
    table = read_table(tmp_path / "tables" / "table1.csv")
    assert float(table.set_index("row").loc["Official autoencoder", "ToyCar"]) == 90.41
    text = (tmp_path / "tables" / "table1.md").read_text().splitlines()
    assert text[2].startswith("| Official autoencoder | paper | 54.42 | 78.59 |")
