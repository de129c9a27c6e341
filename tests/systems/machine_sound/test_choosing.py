"""Ensembles of each domain's systems: chosen in that domain, averaged, and then Eq. 8."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mindspore_dpus import systems
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.deploy.onnx_sound import OnnxSoundPredictor
from mindspore_dpus.deploy.sound import sound_row
from mindspore_dpus.detectors.systems import Model, System
from mindspore_dpus.systems.machine_sound import evaluation
from mindspore_dpus.systems.machine_sound.choosing import choose, limited, scores_of_test
from tests.support import logged
from tests.systems.machine_sound.conftest import tiny

pytest.importorskip("onnxruntime", reason="exports need it")

CLIP = ["path", "machine", "section", "domain", "label"]
SYSTEMS = [
    System(Model("simple", "knn", size, domain), "mean")
    for domain in ("source", "target")
    for size in (1, 2, 4)
]


def name(domain, size):
    return f"simple knn-{size} {domain} mean"


def clips(n=20):
    """Clips of two machines and both domains; how well each system tells anomalies apart depends on the
    domain: KNN(1) is best of the source domain on fans, KNN(4) of the target domain, whatever else it does."""
    rows = [
        (f"{machine}{domain}{label}{i}", machine, "00", domain, label)
        for machine in ("fan", "valve")
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for i in range(n)
    ]
    table = pd.DataFrame(rows, columns=CLIP)
    rng = np.random.default_rng(0)
    strength = {("source", 1): 4, ("source", 2): 2, ("source", 4): 0}
    strength |= {("target", 1): 0, ("target", 2): 2, ("target", 4): 4}
    other_machine = {1: 4, 2: 1, 4: 2}
    for system in SYSTEMS:
        size, anomalous = system.model.size, table["label"] == "anomaly"
        s = np.array([strength[d, size] for d in table["domain"]])
        of_valves = np.where(table["domain"] == "source", other_machine[4 // size], other_machine[size])
        s = np.where(table["machine"] == "valve", of_valves, s)
        table[system.name] = rng.normal(size=len(table)) + s * anomalous
    return table


# Of each domain the best two, by the strengths above.
FAN = {
    "source": (name("source", 1), name("source", 2)),
    "target": (name("target", 4), name("target", 2)),
}


@pytest.mark.parametrize("select_by", ["test_labels", "pseudo"])
def test_each_domains_systems_are_chosen_in_that_domain(tmp_path, select_by):
    table = clips()
    keys = {"ensemble__select_by": select_by, "ensemble__size": 2, "ensemble__scope": "per_machine"}
    config = tiny(tmp_path / "run", **keys)
    pseudo = table.assign(vectors="simple", logit=0.0)
    scores = table if select_by == "test_labels" else table.assign(label="unknown")
    chosen = choose(config, "specialised", SYSTEMS, scores, pseudo)
    assert {domain: s.members["fan"] for domain, s in chosen.items()} == FAN
    for domain, best in (("source", 4), ("target", 1)):
        assert chosen[domain].members["valve"][0] == name(domain, best)


def test_equation_8_comes_after_the_means_of_each_domain(tmp_path):
    table = clips()
    config = tiny(tmp_path / "run", ensemble__select_by="test_labels", ensemble__size=2)
    chosen = choose(config, "specialised", SYSTEMS, table, table)
    logit = np.random.default_rng(1).normal(size=len(table)) / 5
    found = scores_of_test(chosen, SYSTEMS, table, {"simple": logit}, 0.15)
    fan = (table["machine"] == "fan").to_numpy()
    p = expit(logit / 0.15)
    means = {d: table[list(names)].mean(axis=1).to_numpy() for d, names in FAN.items()}
    expected = (1 - p) * means["source"] + p * means["target"]
    assert np.abs(found - expected)[fan].max() < 1e-12
    assert np.abs(found - expected)[~fan].max() > 0.1
    best = scores_of_test(chosen, SYSTEMS, table, {"simple": logit}, 0.15, n=1)
    one = {d: table[names[0]].to_numpy() for d, names in FAN.items()}
    assert np.allclose(best[fan], ((1 - p) * one["source"] + p * one["target"])[fan], atol=1e-12)


def test_anomalies_of_a_domain_are_stood_for_by_that_domain_where_it_has_some():
    def rows(*places):
        columns = ["machine", "section", "domain"]
        return pd.DataFrame([("fan", *p) for p in places], columns=columns)

    normal = rows(("00", "source"), ("00", "target"), ("01", "source"), ("02", "target"))
    other = rows(("00", "source"), ("00", "target"), ("01", "source"), ("02", "source"))
    own, against = limited(normal, other, "target")
    assert own.index.tolist() == [1, 3]
    assert against.index.tolist() == [1, 3]
    own, against = limited(normal, other, "source")
    assert own.index.tolist() == [0, 2]
    assert against.index.tolist() == [0, 2]
    assert [part.index.tolist() for part in limited(normal, other, "both")] == [[0, 1, 2, 3]] * 2


def simple_run(folder, root, lines=None, **changes):
    keys = {"simulate__enabled": False, "data__root": root, "decision__rule": "quantile"}
    keys |= {"extractors__networks": "[]", "extractors__options": "{}", "evaluation__n_bootstrap": 0}
    with logged((lines if lines is not None else []).append):
        return systems.train(tiny(folder / "run", **keys | changes), ["metrics"])


def check_export(run, root, folder):
    """An export gives test clips the scores that they have in the run."""
    assert evaluation.export(run.path, folder)[1] < 1e-9
    model = OnnxSoundPredictor(folder)
    for row in read_table(run / "scores.csv").iloc[::6].itertuples():
        found = sound_row(model, root / row.path, None, None)
        assert found["score"] == pytest.approx(float(row.score), abs=1e-6)


def test_target_detectors_are_of_every_size_that_their_normals_bear(finished, tmp_path):
    """Three target-domain clips of three segments: six to learn from while one clip is held out."""
    lines = []
    keys = {"detectors__sizes": "[1,4,16]", "ensemble__size": 3, "ensemble__product": "specialised"}
    run = simple_run(tmp_path, finished / "data", lines, **keys)
    (line,) = [line for line in lines if "left out" in line]
    assert line.startswith("  note: 4 of 12 systems of the target domain are left out (systems.csv says")
    assert "size 16 needs at least 16 normals, there are 6" in line
    errors = read_table(run / "systems.csv").set_index("system")["error"]
    assert {s for s in errors.index if errors[s]} == {
        f"simple knn-16 target {a}" for a in ("mean", "max", "median", "mean_above_median")
    }
    chosen = read_json(run / "selection.json")["specialised"]
    table, scores = read_table(run / "system_scores.csv"), read_table(run / "scores.csv")
    logit = read_table(run / "domains.csv").set_index("path")["logit"].loc[table["path"]]
    for machine, rows in table.groupby("machine").groups.items():
        means = [
            table.loc[rows, chosen[domain]["members"][machine]].astype(float).mean(axis=1)
            for domain in ("source", "target")
        ]
        assert all(len(chosen[domain]["members"][machine]) == 3 for domain in chosen)
        p = expit(logit.to_numpy()[rows] / 0.15)
        expected = (1 - p) * means[0] + p * means[1]
        assert np.abs(scores.loc[rows, "score"].astype(float) - expected).max() < 1e-9
    pseudo = read_table(run / "pseudo_scores.csv")
    for key, part in pseudo[pseudo["label"] == "normal"].groupby(["machine", "section"]):
        p = expit(part["logit"].astype(float) / 0.15)
        means = [
            part[chosen[domain]["members"][key[0]]].astype(float).mean(axis=1)
            for domain in ("source", "target")
        ]
        own = scores[(scores["machine"] == key[0]) & (scores["section"] == key[1])]
        expected = np.quantile((1 - p) * means[0] + p * means[1], 0.9)
        assert own["threshold"].astype(float).iloc[0] == pytest.approx(expected, abs=1e-9)
    check_export(run, finished / "data", tmp_path / "model")


@pytest.fixture
def recordings(finished, tmp_path):
    """Recordings, of which target-domain normals for training are taken away."""
    shutil.copytree(finished / "data" / "dev_data", tmp_path / "data" / "dev_data")

    def without(n, pattern="*"):
        for folder in (tmp_path / "data" / "dev_data").iterdir():
            for section in ("00", "01"):
                wanted = sorted(folder.glob(f"train/section_{section}_target*"))
                for clip in wanted[n:]:
                    if clip.match(f"{folder.name}/train/{pattern}"):
                        clip.unlink()
        return tmp_path / "data"

    return without


def test_with_one_target_clip_a_section_a_line_says_why_rows_are_missing(recordings, tmp_path):
    lines = []
    run = simple_run(tmp_path, recordings(1), lines)
    reason = "fan section 00: 1 normal clip of the target domain to learn from; held-out scores need"
    assert any("systems of the target domain are left out" in line and reason in line for line in lines)
    (line,) = [line for line in lines if "no rows specialised" in line]
    assert reason in line
    errors = read_table(run / "systems.csv").set_index("system")["error"]
    assert all(reason in errors[s] for s in errors.index if " target " in s)
    rows = set(read_table(run / "rows.csv").columns) - set(CLIP)
    assert rows == {"simple features", "generalised, best one", "generalised, ensemble"}
    lines.clear()
    with pytest.raises(UserError, match="no specialised system can be fitted"):
        simple_run(tmp_path / "b", tmp_path / "data", lines, ensemble__product="specialised")


def test_sections_without_a_target_domain_have_their_source_systems_score(recordings, tmp_path):
    root = recordings(0, "section_01_*")
    run = simple_run(tmp_path, root, ensemble__product="specialised", ensemble__size=1)
    table, scores = read_table(run / "system_scores.csv"), read_table(run / "scores.csv")
    chosen = read_json(run / "selection.json")["specialised"]
    for machine in ("fan", "gearbox"):
        source, target = (chosen[d]["members"][machine][0] for d in ("source", "target"))
        rows = (table["machine"] == machine) & (table["section"] == "01")
        assert (table.loc[rows, target] == "").all()
        assert (table.loc[~rows & (table["machine"] == machine), target] != "").all()
        found = scores.loc[rows, "score"].astype(float)
        assert np.abs(found - table.loc[rows, source].astype(float)).max() < 1e-12
    check_export(run, root, tmp_path / "model")
