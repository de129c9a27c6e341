"""What draws preserve, over a grid."""

import pandas as pd
import pytest

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.preserved import write_preserved
from tests.support import configuration


def finished(folder, K, seed, energies=None, labels=("normal",)):
    """The files of a finished run that are read: two draws and two random ones of each class."""
    case = Case(f"{K}-{seed}", {"K": K}, seed, configuration(output=str(folder / f"{K}-{seed}")))
    if energies is None:
        return case
    groups = [(f"{i}.png", label, group) for label in labels for i, group in enumerate([0, 0, 0, 1])]
    write_table(pd.DataFrame(groups, columns=["path", "label", "cluster"]), case.folder / "clusters.csv")
    rows = [
        (kind, share, energy, label)
        for label in labels
        for kind, share, energy in zip(
            ["drawn", "drawn", "random", "random"], [0, 0, 0.1, 0.3], energies, strict=True
        )
    ]
    columns = ["kind", "share_deviation", "energy", "label"]
    write_table(pd.DataFrame(rows, columns=columns), case.folder / "diagnostics.csv")
    return case


def test_draws_by_groups_are_held_against_random_ones(tmp_path):
    cases = [
        finished(tmp_path, "1", 0),
        finished(tmp_path, "5", 0, [0.1, 0.3, 0.4, 0.4]),
        finished(tmp_path, "5", 1, [0.2, 0.2, 0.1, 0.3], labels=("a", "b")),
    ]
    table = write_preserved(cases, tmp_path)
    assert table.columns.tolist() == [
        *("K", "seed", "largest cluster"),
        *("share_deviation", "share_deviation random", "share_deviation / random"),
        *("energy", "energy random", "energy / random"),
    ]
    assert table[["K", "seed"]].to_numpy().tolist() == [["5", 0], ["5", 1]]
    assert table["largest cluster"].tolist() == [0.75, 0.75]
    assert table["energy"].tolist() == pytest.approx([0.2, 0.2])
    assert table["energy / random"].tolist() == pytest.approx([0.5, 1.0])
    assert table["share_deviation / random"].tolist() == [0, 0]
    written = pd.read_csv(tmp_path / "preserved.csv", dtype={"K": str})
    pd.testing.assert_frame_equal(written, table, check_dtype=False)
    lines = (tmp_path / "preserved.md").read_text().splitlines()
    assert lines[0] == "| K | largest cluster | share_deviation / random | energy / random |"
    assert lines[2] == "| 5 | 0.7500 ± 0.0000 | 0.0000 ± 0.0000 | 0.7500 ± 0.3536 |"
    assert len(lines) == 3


def test_where_nothing_is_drawn_by_groups_there_is_no_table(tmp_path):
    (tmp_path / "preserved.csv").write_text("of an earlier part of the grid")
    assert write_preserved([finished(tmp_path, "1", 0)], tmp_path).empty
    assert not list(tmp_path.glob("preserved.*"))
