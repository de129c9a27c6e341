"""Challenge files, read as the official evaluator reads them, and its numbers by scikit-learn and scipy.

The evaluator orders the lines of a file by name, takes the second column, and pairs scores, decisions,
labels and domains by their place. That is written here by independent means; nothing of it is copied.
"""

import csv
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hmean
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.anomaly import harmonic_means, section_results
from mindspore_dpus.metrics.anomaly_decisions import decision_results
from mindspore_dpus.systems.machine_sound.challenge import (
    challenge_name,
    read_challenge_file,
    write_challenge_files,
)


def clips_table(seed=0, n=100):
    rng = np.random.default_rng(seed)
    parts = []
    for machine in ("ToyCar", "bearing"):
        for section in ("03", "04"):
            label = rng.permutation(np.repeat(["normal", "anomaly"], n // 2))
            part = pd.DataFrame(
                {
                    "machine": machine,
                    "section": section,
                    "domain": rng.choice(["source", "target"], n),
                    "label": label,
                    "name": [f"section_{section}_{i:04d}.wav" for i in range(n)],
                    "score": rng.normal(size=n) * 1e-3 + 1e-3 * (label == "anomaly"),
                }
            )
            parts.append(part.assign(decision=(part["score"] > 8e-4).astype(int)))
    # Any order.
    return pd.concat(parts).sample(frac=1, random_state=seed).reset_index(drop=True)


def as_evaluator(path):
    """The numbers of a file, in the order of its sorted lines."""
    with open(path) as file:
        return np.array([float(line[1]) for line in sorted(csv.reader(file))])


def safe_hmean(values):
    return hmean(np.maximum(values, sys.float_info.epsilon))


def test_official_numbers_from_the_files_equal_ours(tmp_path):
    table = clips_table()
    write_challenge_files(table, tmp_path)
    ours = section_results(table, "official").set_index(["machine", "section", "domain", "metric"])
    decided = decision_results(table).set_index(["machine", "section", "domain"])
    official, values = [], {}
    for (machine, section), truth in table.groupby(["machine", "section"]):
        truth = truth.sort_values("name")
        y, source = (truth["label"] == "anomaly").to_numpy(), (truth["domain"] == "source").to_numpy()
        scores = as_evaluator(tmp_path / f"anomaly_score_{machine}_section_{section}_test.csv")
        calls = as_evaluator(tmp_path / f"decision_result_{machine}_section_{section}_test.csv")
        for domain, own in (("source", source), ("target", ~source)):
            values[machine, section, domain, "auc"] = roc_auc_score(y[own | y], scores[own | y])
            for name, score in (
                ("precision", precision_score),
                ("recall", recall_score),
                ("f1", f1_score),
            ):
                expected = score(y[own], calls[own], zero_division=0)
                assert decided.loc[(machine, section, domain), name] == pytest.approx(
                    expected, abs=1e-12
                )
        values[machine, section, "both", "pauc"] = roc_auc_score(y, scores, max_fpr=0.1)
    official = list(values.values())
    assert set(values) == set(ours.index)
    for key, expected in values.items():
        assert abs(ours.loc[key, "value"] - expected) < 1e-12
    assert abs(harmonic_means(ours.reset_index())["value"].item() - safe_hmean(official)) < 1e-12


def test_files_have_the_challenges_form(tmp_path):
    table = clips_table()
    files = write_challenge_files(table, tmp_path / "new" / "team")
    assert sorted(file.name for file in files) == sorted(
        f"{kind}_{machine}_section_{section}_test.csv"
        for kind in ("anomaly_score", "decision_result")
        for machine in ("ToyCar", "bearing")
        for section in ("03", "04")
    )
    assert sorted((tmp_path / "new" / "team").iterdir()) == sorted(files)
    lines = files[1].read_text().split("\n")
    assert files[1].name == "decision_result_ToyCar_section_03_test.csv"
    assert lines[0] in ("section_03_0000.wav,0", "section_03_0000.wav,1")
    assert len(lines) == 101
    assert lines[-1] == ""
    assert lines[:-1] == sorted(lines[:-1])


def test_scores_read_back_bit_for_bit(tmp_path):
    table = clips_table()
    path = write_challenge_files(table, tmp_path)[0]
    back = read_challenge_file(path).set_index("name")["value"]
    own = table[(table["machine"] == "ToyCar") & (table["section"] == "03")].set_index("name")["score"]
    assert (back == own[back.index]).all()
    # Scores of a float32 column are what float64 makes of them.
    path = write_challenge_files(table.astype({"score": np.float32}), tmp_path)[0]
    back = read_challenge_file(path).set_index("name")["value"]
    assert (back == own[back.index].astype(np.float32)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "section_03_0001.wav"}, "comes twice"),
        ({"score": np.nan}, "section 0[34], has a score that is not finite"),
        ({"decision": 2}, "decision that is neither 0 nor 1"),
        ({"name": "test/section_03_0000.wav"}, "a folder in it"),
        ({"name": ""}, "has no name"),
        ({"machine": "Toy_Car"}, "'Toy_Car'"),
        ({"section": "3"}, "section '3' .* two digits"),
    ],
)
def test_what_the_evaluator_could_not_read_is_refused(tmp_path, change, message):
    table = clips_table().sort_values("name", ignore_index=True)
    for column, value in change.items():
        table.loc[0, column] = value
    with pytest.raises(UserError, match=message):
        write_challenge_files(table, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_columns_and_bad_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="'decision' is missing"):
        write_challenge_files(clips_table().drop(columns="decision"), tmp_path)
    with pytest.raises(UserError, match="is missing"):
        read_challenge_file(tmp_path / "none.csv")
    path = tmp_path / "bad.csv"
    for text in ("a.wav,1\nb.wav\n", "a.wav,1\nb.wav,high\n", "a.wav,1\nb.wav,1,2\n"):
        path.write_text(text)
        with pytest.raises(UserError, match="line 2"):
            read_challenge_file(path)
    path.write_bytes(b"\xff\xfe,1\n")
    with pytest.raises(UserError, match="not a CSV"):
        read_challenge_file(path)
    assert challenge_name("anomaly_score", "fan", "00") == "anomaly_score_fan_section_00_test.csv"
