"""The report shows what the run folder holds, and says nothing of what it does not."""

import base64
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.stages import fill
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.sample_table import read_samples
from mindspore_dpus.metrics.fusion import with_fused
from mindspore_dpus.metrics.predictions import predictions_table
from mindspore_dpus.stages.describe import describe
from mindspore_dpus.stages.diagnose import make_diagnostics
from mindspore_dpus.stages.features import drawn_rows
from mindspore_dpus.stages.prediction_stages import make_metrics
from mindspore_dpus.stages.subsets import make_subsets
from mindspore_dpus.systems.classification.report import write_report
from mindspore_dpus.systems.classification.system import stages
from tests.support import parse_config

AGREEMENT = "agreement of the clusters with the true sub-populations"
EXPLANATION = "adjusted Rand index"

# These runs have no networks, and so no training curves to name.
pytestmark = pytest.mark.filterwarnings("ignore:No artists with labels")


def report_of(castings, folder, n_clusters, truth_is_known=True):
    """The HTML of a run without networks: made-up features, one place a sub-population, and outputs."""
    options = [f"--data.root={castings}", f"--output={folder}", "--evaluation.n_bootstrap=0"]
    config = parse_config([*options, f"--sampling.n_clusters={n_clusters}"])
    run = RunFolder(folder)
    fill(run, stages(config, run), lambda: describe(run, config), ["samples"])
    table, classes, _ = read_samples(run / "samples.csv")
    rng = np.random.default_rng(0)
    rows = drawn_rows(table)
    _, places = np.unique(table["subpopulation"].iloc[rows], return_inverse=True)
    whitened = np.eye(3)[places] + 0.01 * rng.normal(size=(len(rows), 3))
    names = {key: table[key].to_numpy(str)[rows] for key in ("path", "label")}
    np.savez(run / "features.npz", whitened=whitened, **names)
    if not truth_is_known:
        write_table(table.drop(columns="subpopulation"), run / "samples.csv")
    make_subsets(run.path, config.sampling, 0)
    make_diagnostics(run.path, 0)
    for split in ("val", "test"):
        part = table[table["split"] == split]
        outputs = with_fused({f"{i:02d}": rng.dirichlet([1, 1], len(part)) for i in range(5)})
        predictions = predictions_table(part[["path", "label"]], classes, "defect", 0.5, outputs)
        write_table(predictions, run / f"predictions_{split}.csv")
    make_metrics(run.path, "defect", config.evaluation, 0)
    write_report(run.path, castings, config)
    return run, (run / "report.html").read_text(encoding="utf-8"), config


def measures(html):
    """Rows of the diagnostics table: title -> cells, in their order."""
    table = re.search(r"<tr><th>measure</th>.*?</table>", html, re.DOTALL)[0]
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>", table)
    return {title: cells for title, *cells in rows}


@pytest.mark.parametrize("n_clusters", ["2", "auto"])
def test_simulated_images_show_the_agreement_beside_the_silhouette(castings, tmp_path, n_clusters):
    run, html, _ = report_of(castings, tmp_path / "run", n_clusters)
    (agreement,) = set(read_table(run / "diagnostics.csv")["agreement"])
    assert agreement == 1.0 if n_clusters == "auto" else 0.2 < agreement < 0.9
    rows = measures(html)
    assert rows[AGREEMENT] == [f"{agreement:.4f} ± 0.0000"] * 2
    titles = list(rows)
    assert titles.index(AGREEMENT) == titles.index("mean silhouette of the clusters") + 1
    assert EXPLANATION in html


def test_real_images_show_the_silhouette_only(castings, tmp_path):
    _, html, _ = report_of(castings, tmp_path / "run", "2", truth_is_known=False)
    assert "mean silhouette of the clusters" in measures(html)
    assert AGREEMENT not in html
    assert EXPLANATION not in html


def test_errors_show_their_heatmap_where_there_is_one(castings, tmp_path):
    run, html, config = report_of(castings, tmp_path / "run", "2")
    assert "heatmap of" not in html
    assert "Below each image" not in html
    wrong = read_table(run / "predictions_test.csv").query("label != predicted")["path"].tolist()
    assert len(wrong) > 2
    table = pd.DataFrame({"path": wrong[:2], "heatmap": ["one.png", "gone.png"]})
    table["peak_x"], table["peak_y"] = [3, ""], [4, ""]
    write_table(table, run / "heatmaps/test.csv")
    # Pure blue, 100 x 50 pixels.
    (run / "heatmaps/test").mkdir()
    cv2.imwrite(str(run / "heatmaps/test/one.png"), np.tile(np.uint8([255, 0, 0]), (50, 100, 1)))
    write_report(run.path, castings, config)
    html = (run / "report.html").read_text(encoding="utf-8")
    ((path, data),) = re.findall(r'alt="heatmap of (.*?)" src="data:image/jpeg;base64,(.*?)"', html)
    assert path == wrong[0]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (128, 128, 3)
    assert np.abs(picture.astype(int) - [255, 0, 0]).max() < 5
    assert "the ensemble sees defect (hires_cam)" in " ".join(html.split())


def test_halved_learning_rates_are_told(castings, tmp_path):
    run, html, config = report_of(castings, tmp_path / "run", 3)
    assert "halved learning rate" not in html
    for name, halvings in (("00", [0, 0]), ("01", [0, 1]), ("02", [3, 4])):
        columns = {name: [0.5, 0.5] for name in ("train_loss", "val_loss", "val_auc", "val_accuracy")}
        table = pd.DataFrame({"epoch": [1, 2], **columns, "halvings": halvings})
        write_table(table, run / "members" / name / "history.csv")
    write_report(run.path, castings, config)
    html = " ".join((run / "report.html").read_text(encoding="utf-8").split())
    assert "went on with a halved learning rate: 01 (1 time), 02 (4 times).</p>" in html
