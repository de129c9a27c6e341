"""Simulated recordings: DCASE's layout and names, equal seeds, faults and shifts that can be heard."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.clips import find_clips
from mindspore_dpus.data.audio.logmel import LogMel
from mindspore_dpus.data.audio.names import parse_attributes
from mindspore_dpus.data.audio.segments import standardise
from mindspore_dpus.data.simulate.machine_parts import KINDS, NOISES
from mindspore_dpus.data.simulate.machines import (
    COLUMNS,
    SHIFTS,
    TRUTH,
    section_shift,
    simulate_machines,
)

COUNTS = {"source_train": 3, "target_train": 1, "test_normal": 2, "test_anomaly": 4}
FEW = {"machines": ("fan", "gearbox"), "sections": 2, "seconds": 0.5, **COUNTS}


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def truth(folder):
    return pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few") / "machines"
    assert simulate_machines(folder, seed=0, severity=0.6, **FEW) == folder / "manifest.csv"
    return folder


def test_equal_seeds_give_equal_files_and_others_do_not(few, tmp_path):
    simulate_machines(tmp_path / "again", seed=0, severity=0.6, **FEW)
    simulate_machines(tmp_path / "other", seed=1, severity=0.6, **FEW)
    first, again, other = (files(folder) for folder in (few, tmp_path / "again", tmp_path / "other"))
    assert first == again
    assert not set(first.values()) & set(other.values())
    # No two clips of a set are alike either.
    assert len(set(first.values())) == len(first)


def test_a_clip_does_not_depend_on_what_else_is_made(few, tmp_path):
    fewer = {**FEW, "machines": ("gearbox",), "sections": 1, "source_train": 1}
    simulate_machines(tmp_path, seed=0, severity=0.6, **fewer)
    all_of_them = files(few)
    for path, content in files(tmp_path).items():
        assert path.name == "manifest.csv" or all_of_them[path] == content


def test_severity_changes_anomalies_only(few, tmp_path):
    simulate_machines(tmp_path, seed=0, severity=0.3, **FEW)
    graver = files(few)
    for path, content in files(tmp_path).items():
        if path.suffix == ".wav":
            assert (graver[path] == content) == ("_normal_" in path.name)


def test_names_say_what_the_manifest_says(few):
    by_name, by_manifest = find_clips(few / "dev_data"), find_clips(few)
    by_name["path"] = "dev_data/" + by_name["path"]
    both = [table[COLUMNS].sort_values("path", ignore_index=True) for table in (by_name, by_manifest)]
    pd.testing.assert_frame_equal(*both)
    assert list(by_manifest) == COLUMNS + TRUTH


def test_the_numbers_are_those_asked_for(few):
    counts = truth(few).groupby(["machine", "section", "domain", "split", "label"]).size()
    assert len(counts) == 4 * 6
    for section in counts.groupby(level=[0, 1]):
        assert section[1].droplevel([0, 1]).to_dict() == {
            ("source", "train", "normal"): 3,
            ("target", "train", "normal"): 1,
            **{(domain, "test", "normal"): 2 for domain in ("source", "target")},
            **{(domain, "test", "anomaly"): 4 for domain in ("source", "target")},
        }


def test_faults_take_turns_and_their_severity_is_known(few):
    table = truth(few)
    anomalies = table[table["label"] == "anomaly"]
    assert set(anomalies["severity"]) == {"0.6"}
    for (machine, *_), rows in anomalies.groupby(["machine", "section", "domain"]):
        assert rows["fault"].tolist() == [*KINDS[machine].faults, KINDS[machine].faults[0]]
    assert set(table.loc[table["label"] == "normal", ["fault", "severity"]].to_numpy().ravel()) == {""}


def test_sections_shift_by_one_condition_each(few):
    table = truth(few)
    assert [section_shift(i) for i in range(4)] == ["speed", "load", "noise", "speed"]
    given = table["attributes"].map(parse_attributes).apply(pd.Series)
    assert list(given) == ["rpm", "load", "noise"]
    assert set(given["noise"]) <= set(NOISES)
    table = pd.concat([table, given], axis=1)
    for (_, section), rows in table.groupby(["machine", "section"]):
        source, target = (rows[rows["domain"] == name] for name in ("source", "target"))
        rpm = [part["rpm"].astype(int) for part in (source, target)]
        load = [part["load"].astype(int) for part in (source, target)]
        assert (rpm[0].max() < rpm[1].min()) == (section == "00")
        assert (load[0].max() < load[1].min()) == (section == "01")
    assert SHIFTS["noise"].noise != "A"


def test_few_training_clips_cover_the_speeds(few):
    table = truth(few)
    rows = table[(table["split"] == "train") & (table["domain"] == "source")]
    assert (rows.groupby(["machine", "section"])["attributes"].nunique() == 3).all()
    rpm = rows["attributes"].map(lambda text: parse_attributes(text)["rpm"])
    assert (rpm.groupby([rows["machine"], rows["section"]]).nunique() == 3).all()


def test_recordings_are_16_bits_and_not_clipped(few):
    for name in truth(few)["path"]:
        info = soundfile.info(few / name)
        assert (info.samplerate, info.frames, info.channels) == (16000, 8000, 1)
        assert info.subtype == "PCM_16"
        values, _ = soundfile.read(few / name)
        assert 0.02 < values.std() < 0.15
        assert np.abs(values).max() < 1


def features(folder, table):
    """Mean and deviation of every mel band."""
    logmel = LogMel(rate=16000, n_mels=96)
    spectra = [logmel(standardise(soundfile.read(folder / name, dtype="float32")[0])) for name in table]
    return np.array([np.concatenate([x.mean(1), x.std(1)]) for x in spectra])


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Severity -> the truth of one set, and standardised simple features."""
    sets = {}
    size = {"machines": ("gearbox",), "sections": 3, "seconds": 2.0}
    numbers = {"source_train": 16, "target_train": 3, "test_normal": 6, "test_anomaly": 6}
    for severity in (0.02, 1.0):
        folder = tmp_path_factory.mktemp("graded")
        simulate_machines(folder, seed=3, severity=severity, **size, **numbers)
        table = truth(folder)
        sets[severity] = table, features(folder, table["path"])
    return sets


def by_section(table, found):
    """Standardised features of training clips and of test clips, and the rows of both."""
    for _, rows in table.groupby(["machine", "section"]):
        train, test = rows[rows["split"] == "train"], rows[rows["split"] == "test"]
        mean, deviation = found[train.index].mean(0), found[train.index].std(0) + 1e-6
        yield (
            train,
            test,
            (found[train.index] - mean) / deviation,
            (found[test.index] - mean) / deviation,
        )


def anomaly_auc(table, found):
    values = []
    for _, test, known, new in by_section(table, found):
        score = NearestNeighbors(n_neighbors=1).fit(known).kneighbors(new)[0][:, 0]
        values.append(roc_auc_score(test["label"] == "anomaly", score))
    return float(np.mean(values))


def test_simple_features_hear_grave_faults_better(graded):
    slight, grave = (anomaly_auc(*graded[severity]) for severity in (0.02, 1.0))
    assert grave > 0.85
    assert slight < grave - 0.15


def test_simple_features_tell_the_domains_apart(graded):
    for train, test, known, new in by_section(*graded[0.02]):
        model = LogisticRegression(C=0.01, class_weight="balanced").fit(known, train["domain"])
        assert roc_auc_score(test["domain"] == "target", model.decision_function(new)) > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"machines": ("fan", "car")}, "names the machine 'car'; there are fan, gearbox, pump, drive"),
        ({"machines": ()}, "names no machine"),
        ({"severity": 0.0}, "severity is 0; a fault has more"),
        ({"seconds": 0.0}, "must be above 0"),
        ({"sections": 0}, "must be above 0"),
        ({"source_train": 0}, "must be above 0"),
        ({"test_anomaly": -1}, "0 or more"),
    ],
)
def test_what_cannot_be(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        simulate_machines(tmp_path / "x", **({"seed": 0, "severity": 1.0} | FEW | options))
    assert not (tmp_path / "x").exists()


def test_a_folder_with_something_else_is_left_alone(few, tmp_path):
    foreign = tmp_path / "dev_data/fan/train/normal_id_00_00000000.wav"
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    with pytest.raises(UserError, match="holds dev_data/fan/train/normal_id_00.* choose an empty"):
        simulate_machines(tmp_path, seed=0, severity=1.0, **FEW)
    (tmp_path / "manifest.csv").write_text("path,label\n")
    with pytest.raises(UserError, match="holds manifest.csv, which no simulation"):
        simulate_machines(tmp_path, seed=0, severity=1.0, **FEW)
    with pytest.raises(UserError, match="manifest.csv is a file"):
        simulate_machines(tmp_path / "manifest.csv", seed=0, severity=1.0, **FEW)


def test_what_was_broken_off_is_made_again(few, tmp_path):
    small = {**FEW, "machines": ("fan",), "sections": 1}
    simulate_machines(tmp_path, seed=0, severity=0.6, **small)
    whole = files(tmp_path)
    (tmp_path / "manifest.csv").unlink()
    clip = next(tmp_path.rglob("*.wav"))
    clip.write_bytes(b"RIFF")
    (tmp_path / ".manifest.123.tmp.csv").touch()
    simulate_machines(tmp_path, seed=0, severity=0.6, **small)
    again = files(tmp_path)
    assert {path: again[path] for path in whole} == whole
