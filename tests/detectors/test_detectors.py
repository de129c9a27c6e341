"""Each detector beside scikit-learn; sizes, options, files."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors import DETECTORS, SIZES, create_detector, option_names
from mindspore_dpus.detectors.archive import load_detectors, save_detectors
from mindspore_dpus.detectors.neighbours import nearest

OFFSET = 300.0
ALL = [
    *[(name, size, {}) for name in ("knn", "lof", "gmm") for size in SIZES],
    ("knn", 4, {"distance": "mean"}),
    ("gmm", 4, {"covariance": "diag"}),
    ("mahalanobis", None, {}),
]


def vectors(n=80, seed=0, d=6):
    rng = np.random.default_rng(seed)
    # Two clouds, far from the origin, as log-mels are.
    return rng.normal(size=(n, d)) * np.arange(1, d + 1) + OFFSET + 9 * rng.integers(0, 2, (n, 1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("distance", ["kth", "mean"])
def test_knn_equals_scikit_learn(size, distance):
    distances, _ = (
        NearestNeighbors(n_neighbors=size, algorithm="kd_tree").fit(vectors()).kneighbors(vectors(30, 1))
    )
    expected = distances[:, -1] if distance == "kth" else distances.mean(axis=1)
    ours = create_detector("knn", size, distance=distance).fit(vectors()).score(vectors(30, 1))
    assert np.abs(ours - expected).max() < 1e-11


@pytest.mark.parametrize("size", SIZES)
def test_lof_equals_scikit_learn(size):
    theirs = LocalOutlierFactor(size, novelty=True, algorithm="kd_tree").fit(vectors())
    ours = create_detector("lof", size).fit(vectors())
    assert np.abs(ours.score(vectors(30, 1)) + theirs.score_samples(vectors(30, 1))).max() < 1e-9


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_gmm_equals_scikit_learn(size, covariance):
    X, Y = vectors(), vectors(30, 1)
    ours = create_detector("gmm", size, 3, covariance=covariance, regularisation=0.01).fit(X)
    theirs = GaussianMixture(
        size,
        covariance_type=covariance,
        reg_covar=0.01 * X.var(axis=0).mean(),
        max_iter=500,
        random_state=3,
    ).fit(X)
    assert np.allclose(ours.score(Y), -theirs.score_samples(Y), rtol=1e-8)


def test_mahalanobis_equals_scikit_learn():
    # Fewer normals than numbers in a vector: only the shrinkage makes the covariance invertible.
    X, Y = vectors(10, d=20), vectors(30, 1, d=20)
    ours = create_detector("mahalanobis").fit(X).score(Y)
    assert np.allclose(ours, np.sqrt(LedoitWolf().fit(X).mahalanobis(Y)), rtol=1e-9)


def test_regularisation_does_not_depend_on_the_unit():
    scores = [
        create_detector("gmm", 4, regularisation=0.05).fit(vectors() * unit).score(vectors(9, 1) * unit)
        for unit in (1.0, 1000.0)
    ]
    # Only the density's own unit is left.
    assert np.allclose(scores[1] - scores[0], 6 * np.log(1000))


@pytest.mark.parametrize(("name", "size", "options"), ALL)
def test_outliers_score_higher(name, size, options):
    detector = create_detector(name, size, **options).fit(vectors())
    assert detector.score(vectors(30, 1) + 60).min() > detector.score(vectors(30, 1)).max()


@pytest.mark.parametrize(("name", "size", "options"), ALL)
def test_loaded_detectors_score_the_same_bit_for_bit(tmp_path, name, size, options):
    detector = create_detector(name, size, 1, **options).fit(vectors())
    save_detectors(tmp_path / "d.npz", {"section 00/source": detector})
    (key, loaded), *others = load_detectors(tmp_path / "d.npz").items()
    assert (key, type(loaded), others) == ("section 00/source", type(detector), [])
    for queries in (vectors(30, 1), vectors()):
        assert np.array_equal(loaded.score(queries), detector.score(queries))
        assert loaded.score(queries).dtype == np.float64


def test_a_loaded_detector_needs_neither_scikit_learn_nor_scipy(tmp_path):
    fitted = {f"{name} {size}": create_detector(name, size, **o).fit(vectors()) for name, size, o in ALL}
    save_detectors(tmp_path / "d.npz", fitted)
    np.save(tmp_path / "x.npy", vectors(9, 1))
    code = """
import sys, numpy as np
from pathlib import Path
from mindspore_dpus.detectors.archive import load_detectors
folder, X = Path(sys.argv[1]), np.load(sys.argv[1] + "/x.npy")
scores = [d.score(X) for d in load_detectors(folder / "d.npz").values()]
np.save(folder / "scores.npy", scores)
print(sorted({"sklearn", "scipy", "pandas", "mindspore"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
    expected = [detector.score(vectors(9, 1)) for detector in fitted.values()]
    assert np.allclose(np.load(tmp_path / "scores.npy"), expected, rtol=1e-12)


@pytest.mark.parametrize(("name", "size", "options"), ALL)
def test_scores_do_not_depend_on_what_is_scored_together(name, size, options):
    detector, X = create_detector(name, size, **options).fit(vectors()), vectors(30, 1)
    one_by_one = np.concatenate([detector.score(X[i : i + 1]) for i in range(len(X))])
    assert np.allclose(one_by_one, detector.score(X), rtol=1e-12)


def test_the_seed_decides_where_there_is_chance():
    def scores(seed):
        detector = create_detector("gmm", 16, seed).fit(vectors(200))
        return detector.score(vectors(20, 1))

    assert np.array_equal(scores(0), scores(0))
    assert not np.array_equal(scores(0), scores(1))


@pytest.mark.parametrize(("name", "least"), [("knn", 32), ("lof", 33), ("gmm", 32)])
def test_too_few_normals_for_a_size_are_an_error(name, least):
    create_detector(name, 32).fit(vectors(least))
    with pytest.raises(
        UserError, match=f"detector {name}: size 32 needs at least {least} .*{least - 1}"
    ):
        create_detector(name, 32).fit(vectors(least - 1))


@pytest.mark.parametrize("name", DETECTORS)
def test_bad_vectors_are_refused(name):
    size = 1 if DETECTORS[name].size else None
    for wrong in (np.nan, np.inf):
        X = vectors()
        X[3, 2] = wrong
        with pytest.raises(UserError, match="not finite"):
            create_detector(name, size).fit(X)
        with pytest.raises(UserError, match="not finite"):
            create_detector(name, size).fit(vectors()).score(X)
    with pytest.raises(UserError, match="same vector"):
        create_detector(name, size).fit(np.ones((40, 6)))
    with pytest.raises(UserError, match="5 numbers, but it was fitted on vectors of 6"):
        create_detector(name, size).fit(vectors()).score(vectors(d=5))
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        create_detector(name, size).fit(vectors()[0])
    with pytest.raises(RuntimeError, match="fit comes before score"):
        create_detector(name, size).score(vectors())


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("svm", 1), {}, "'svm' is unknown; there are gmm, lof, knn, mahalanobis"),
        (("knn", 1), {"metric": "cosine"}, "'metric' is unknown; there are distance"),
        (("lof", 1), {"distance": "kth"}, "'distance' is unknown; there are none"),
        (("knn", 1), {"distance": "far"}, "'far'; it must be kth or mean"),
        (("gmm", 1), {"covariance": "tied"}, "'tied'; it must be full or diag"),
        (("gmm", 1), {"regularisation": 0}, "regularisation 0 must be above 0"),
        (("knn",), {}, "give a size, the number of neighbours"),
        (("mahalanobis", 4), {}, "has no size"),
        (("knn", 0), {}, "size 0 must be"),
        (("gmm", 2.5), {}, "size 2.5 must be"),
        (("lof", True), {}, "size True must be"),
    ],
)
def test_wrong_names_sizes_and_options_are_refused(arguments, options, message):
    with pytest.raises(UserError, match=message):
        create_detector(*arguments, **options)


def test_every_row_is_named_as_its_class():
    assert {name: row.cls.name for name, row in DETECTORS.items()} == {name: name for name in DETECTORS}
    assert option_names("gmm") == ["covariance", "regularisation", "n_init", "max_iter"]


def test_copies_of_a_normal_are_at_distance_zero():
    X = vectors() + 1e6
    assert (create_detector("knn", 1).fit(X).score(X) == 0).all()


def test_neighbours_leave_the_query_out_and_come_in_order():
    X = vectors(50)
    distances, places = nearest(X, X, 49, leave_self_out=True)
    for i, row in enumerate(places):
        assert sorted([*row, i]) == list(range(50))
    assert (np.diff(distances, axis=1) >= 0).all()
    # Equal distances: by position, as far as the candidates go.
    assert nearest(np.zeros((13, 2)), np.zeros((1, 2)), 5)[1].tolist() == [[0, 1, 2, 3, 4]]


def test_neighbours_of_many_queries_come_in_blocks(monkeypatch):
    whole = nearest(vectors(50), vectors(40, 1), 5)
    monkeypatch.setattr("mindspore_dpus.detectors.neighbours.BLOCK", 200)
    parts = nearest(vectors(50), vectors(40, 1), 5)
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])
    own = nearest(vectors(50), vectors(50), 5, leave_self_out=True)
    assert (own[1] != np.arange(50)[:, None]).all()


def test_files_that_hold_no_detectors_are_refused(tmp_path):
    path = tmp_path / "d.npz"
    with pytest.raises(UserError, match="is missing"):
        load_detectors(path)
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="not a readable"):
        load_detectors(path)
    np.savez(path, a=np.ones(2))
    with pytest.raises(UserError, match="holds no detectors"):
        load_detectors(path)
    np.savez(path, format=1, names=np.array(["a"]), detectors=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="not a readable"):
        load_detectors(path)


def test_torn_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "d.npz"
    save_detectors(path, {"a": create_detector("knn", 1).fit(vectors())})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a readable"):
        load_detectors(path)
    path.write_bytes(whole)
    arrays = dict(np.load(path))
    for change, message in (
        ({"format": np.array(2)}, "its format is 2"),
        ({"detectors": np.array(["svm"])}, "'svm' is unknown"),
    ):
        np.savez(path, **arrays | change)
        with pytest.raises(UserError, match=message):
            load_detectors(path)
    del arrays["0/points"]
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="'points' is missing"):
        load_detectors(path)
    assert zipfile.is_zipfile(path)
