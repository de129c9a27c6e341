"""The map of embeddings: the machine's sections, clips that are none of its own, and the origin."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA, TruncatedSVD

from mindspore_dpus.core.configuration import parse_file
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.audio.front_end import network_input
from mindspore_dpus.report.sections import sound
from mindspore_dpus.systems.machine_sound import embedding_map
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.evaluation import load_scorer
from mindspore_dpus.systems.machine_sound.run_data import source_of


@pytest.mark.parametrize(
    ("centred", "reference"), [(True, PCA(2)), (False, TruncatedSVD(2, algorithm="arpack"))]
)
def test_the_plane_is_scikit_learns(centred, reference):
    vectors = np.random.default_rng(0).normal(2, 1, (30, 6))
    found = embedding_map.plane(vectors, centred=centred)
    np.testing.assert_allclose(np.abs(found), np.abs(reference.fit_transform(vectors)), rtol=1e-9)
    assert (found.max(axis=0) >= -found.min(axis=0)).all()
    one = embedding_map.plane(vectors[:, :1], centred=centred)
    np.testing.assert_array_equal(one[:, 1], 0)


def test_other_clips_are_those_that_stand_for_anomalies():
    table = pd.DataFrame(
        [
            *[("fan", "test", "normal")] * 3,
            *[("valve", "test", "normal")] * 100,
            ("valve", "test", "anomaly"),
            ("valve", "train", "normal"),
            *[("outlier", "unused", "")] * 2,
        ],
        columns=["machine", "split", "label"],
    )
    found = embedding_map.pseudo_anomalous(table, "fan")
    machines = found["other machine"]
    assert (len(machines), machines[0], machines[-1]) == (40, 3, 102)
    assert found["outlier"].tolist() == [105, 106]
    assert not len(embedding_map.pseudo_anomalous(table[:3], "fan")["outlier"])


def points_of(finished, monkeypatch, **sections):
    """What the map of a run shows."""
    seen = {}
    monkeypatch.setattr(sound, "map_section", lambda *args: seen.update(enumerate(args)))
    config = parse_file(Configuration, finished / "config.yaml")
    embedding_map.map_of(finished.path, source_of(finished, config), config)
    return seen, config


def test_embeddings_of_other_machines_lie_around_an_origin_that_stays(finished, monkeypatch):
    seen, config = points_of(finished, monkeypatch)
    name, machine, points, has_origin = seen.values()
    assert (name, machine, has_origin) == ("transformer", "fan", True)
    table = read_table(finished / "samples.csv")
    test = table[table["split"] == "test"]
    chosen = pd.concat(
        [
            test[test["machine"] == "fan"],
            test[(test["machine"] == "gearbox") & (test["label"] == "normal")],
        ]
    )
    kinds = [row.label if row.machine == "fan" else "other machine" for row in chosen.itertuples()]
    assert points["kind"].tolist() == kinds
    sections = chosen["section"].where(chosen["machine"] == "fan", "")
    assert points["section"].tolist() == sections.tolist()
    scorer, root = load_scorer(finished.path), source_of(finished, config).root
    means = []
    for path in chosen["path"]:
        segments = scorer.front(scorer.front.read(root / path))
        means.append(scorer.embedder.embed("transformer", "fan", network_input(segments)).mean(axis=0))
    expected = TruncatedSVD(2, algorithm="arpack").fit_transform(np.array(means, np.float64))
    np.testing.assert_allclose(np.abs(points[["x", "y"]]), np.abs(expected), atol=1e-4)


def test_the_picture_names_all_that_it_shows():
    points = pd.DataFrame(
        [(1, 2, "00", "normal"), (3, 1, "01", "anomaly"), (0, 0.1, "", "other machine")],
        columns=["x", "y", "section", "kind"],
    )
    section = sound.map_section("transformer", "fan", points, has_origin=True)
    names = re.findall(r"<text[^>]*>(.*?)</text>", section.context["svg"])
    assert {"00 normal", "01 anomaly", "other machine", "origin"} <= set(names)
    assert "outlier" not in names
    assert "Not centred" in section.context["text"]
    section = sound.map_section("simple", "fan", points, has_origin=False)
    assert "origin" not in re.findall(r"<text[^>]*>(.*?)</text>", section.context["svg"])
    assert "Not centred" not in section.context["text"]
