"""To change ..., open: every addition that a newcomer makes is one new file and one line in a table.

All are made here on a copy of the package, and used; what a forgotten line does is tried as well.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SAMPLER = """
import numpy as np
from mindspore_dpus.sampling.strategies.common import Drawn

def draw(labels, features, sampling, random_state):
    return Drawn([np.flatnonzero(labels == labels.max()) for _ in range(sampling.n_subsets)])
"""
LOSS = """
from mindspore import nn

def create(counts):
    return nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
"""
BACKBONE = """
from mindspore import nn

class Line(nn.Cell):
    classifier_name, stem_name = "dense", "dense"

    def __init__(self, num_classes, in_channels=3, image_size=32, bias: bool = True):
        super().__init__()
        self.flatten = nn.Flatten()
        self.dense = nn.Dense(in_channels * image_size**2, num_classes, has_bias=bias)

    def construct(self, x):
        return self.dense(self.flatten(x))
"""
OPTIMIZER = """
from mindspore_dpus.training.moments import Adam

def create(parameters, learning_rate, weight_decay):
    return Adam(parameters, learning_rate=learning_rate, weight_decay=weight_decay, beta2=0.9)
"""
DETECTOR = """
from mindspore_dpus.detectors.mahalanobis import Mahalanobis

class Centre(Mahalanobis):
    pass
"""
SECTION = """
from mindspore_dpus.report.page import Section

def section(run):
    return Section("training.html.j2", {"training": "NEW", "halvings": {}, "lr_range": ""})
"""
# Of its own making: four letters, width and height as bytes, then the pixels.
IMAGE = """
import numpy as np
from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.opened import read_whole

def mine_size(file):
    file.seek(4)
    head = file.read(2)
    return (head[0], head[1]) if len(head) == 2 else None

def decode(data, size):
    if len(data) != 6 + size[0] * size[1]:
        raise ImageError("is cut")
    return Decoded.of(np.frombuffer(data, np.uint8, offset=6).reshape(size[::-1]).copy())

def read_mine(opened):
    return read_whole(opened, mine_size, decode)
"""
IMAGES = """
import csv, io, sys
from contextlib import redirect_stdout
from pathlib import Path
import numpy as np
from mindspore_dpus.cli.main import main
from mindspore_dpus.data.boxes.images import list_images

rng, folder = np.random.default_rng(0), Path("parts")
for label, low in (("normal", 0), ("defect", 200)):
    (folder / label).mkdir(parents=True, exist_ok=True)
    for i in range(30):
        body = rng.integers(low, low + 50, 12 * 10, np.uint8).tobytes()
        (folder / label / f"{i}.mine").write_bytes(b"MINE" + bytes([12, 10]) + body)
torn = folder / "normal" / "torn.mine"
torn.write_bytes(b"MINE" + bytes([12, 10, 7]))
run = ["--system=classification", "--data.root=parts", "--images.size=32", "--output=run"]
run += ["--model.backbone=lenet5", "--model.pretrained=null", "--training.epochs=1"]
run += ["--sampling.strategy=random_under", "--sampling.baseline=false", "--sampling.n_subsets=1"]
run += ["--evaluation.n_bootstrap=0", "--device.target=CPU"]
said = io.StringIO()
with redirect_stdout(said):
    assert main(["audit", "--data.root=parts", "--output=audit"]) in (0, None, 1)
assert "torn.mine is cut" in said.getvalue() + "".join(
    file.read_text() for file in Path("audit").rglob("*.csv")
), said.getvalue()
assert list_images(folder)[0] == {"path": "defect/0.mine", "width": 12, "height": 10}
torn.unlink()
assert not main(["train", *run])
torn.write_bytes(b"MINE" + bytes([12, 10, 7]))
assert main(["predict", "--run=run", "parts", "--output=out.csv"]) == 1  # of torn.mine
rows = list(csv.DictReader(open("out.csv")))
assert len(rows) == 61 and [r["error"].endswith("is cut") for r in rows].count(True) == 1
"""

# What is added: new files, the table's file, the line behind which it goes, the line, and what uses it.
CHANGES = {
    "sampler": (
        {"sampling/strategies/mine.py": SAMPLER},
        "sampling/settings.py",
        "STRATEGIES = {",
        '    "mine": StrategyRow(f"{HERE}.mine:draw"),',
        "import numpy as np; from mindspore_dpus.sampling.settings import SamplingSettings\n"
        "from mindspore_dpus.sampling.strategies import draw_subsets\n"
        "settings = parse('--sampling.strategy=mine', '--sampling.n_subsets=1').sampling\n"
        "assert draw_subsets(np.array([0, 1, 1]), None, settings, 0).subsets[0].tolist() == [1, 2]",
    ),
    "loss": (
        {"losses/mine.py": LOSS},
        "losses/settings.py",
        "LOSSES = {",
        '    "mine": LossRow(f"{HERE}.mine:create"),',
        "from mindspore_dpus.losses import create_loss\n"
        "assert parse('--loss.name=mine').loss.name == 'mine'\n"
        "assert 'SoftmaxCrossEntropy' in type(create_loss('mine', [1, 1])).__name__",
    ),
    "backbone": (
        {"models/mine.py": BACKBONE},
        "models/factory.py",
        "OURS = {",
        '    "mine": __import__("mindspore_dpus.models.mine", fromlist=["Line"]).Line,',
        "from mindspore_dpus.models import create_model\n"
        "net = create_model('mine', 2, 1, options={'bias': False}, image_size=8)\n"
        "assert net.dense.weight.shape == (2, 64)",
    ),
    "optimiser": (
        {"training/mine.py": OPTIMIZER},
        "training/settings.py",
        "OPTIMIZERS = {",
        '    "mine": OptimizerRow(f"{HERE}.mine:create"),',
        "from mindspore import nn; from mindspore_dpus.training.optimizers import create_optimizer\n"
        "training = parse('--training.optimizer=mine').training\n"
        "assert create_optimizer(nn.Dense(2, 2), training).__class__.__name__ == 'Adam'",
    ),
    "detector": (
        {"detectors/mine.py": DETECTOR},
        "detectors/__init__.py",
        "DETECTORS = {",
        '    "mine": Row(__import__("mindspore_dpus.detectors.mine", fromlist=["Centre"]).Centre, ""),',
        "import numpy as np; from mindspore_dpus.detectors import create_detector\n"
        "X = np.random.default_rng(0).normal(size=(20, 2))\n"
        "assert create_detector('mine').fit(X).score(X).shape == (20,)",
    ),
    "image format": (
        {"data/images/mine.py": IMAGE},
        "data/images/formats.py",
        "FORMATS = {",
        '    "MINE": Format((".mine",), starts(b"MINE"), f"{HERE}.mine:read_mine", f"{HERE}.mine:mine_size"),',
        IMAGES,
    ),
    "report section": (
        {"report/sections/mine.py": SECTION},
        "systems/classification/report.py",
        "SECTIONS = (",
        '    __import__("mindspore_dpus.report.sections.mine", fromlist=["section"]).section,',
        "from mindspore_dpus.systems.classification.report import SECTIONS\n"
        "assert SECTIONS[0](None).context['training'] == 'NEW'",
    ),
}
USE = """
from mindspore_dpus.systems import parse_config

def parse(*options):
    return parse_config(["--system=classification", "--data.root=x", *options])
"""


# In a process for each of two folders, so that MindSpore is imported once. Leaves what each use has died
# of, if of anything.
TRY_EACH = """
import json, os, sys, traceback
import mindspore, matplotlib.figure, pandas, sklearn.cluster
uses, folders = json.loads(sys.stdin.read())
for folder in folders:
    if os.fork() == 0:
        os.chdir(folder)
        died = {}
        for name, code in uses.items():
            try:
                exec(USE + code, dict(globals()))
            except BaseException:
                died[name] = traceback.format_exc()
        with open("died.json", "w") as file:
            json.dump(died, file)
        os._exit(0)
for _ in folders:
    os.wait()
"""


def copied(folder):
    # With the bytecode: times of files stay.
    shutil.copytree(ROOT / "mindspore_dpus", folder / "mindspore_dpus")
    return folder / "mindspore_dpus"


def add_file(package, change):
    files = CHANGES[change][0]
    assert len(files) == 1
    for name, text in files.items():
        assert not (package / name).exists()
        (package / name).write_text(text)


def add_line(package, change):
    _, table, place, line, _ = CHANGES[change]
    path = package / table
    before = path.read_text()
    assert before.count(f"\n{place}") == 1
    path.write_text(before.replace(f"\n{place}", f"\n{place}\n{line}"))


@pytest.fixture(scope="module")
def died(tmp_path_factory):
    """With and without the lines: change -> what its use has died of, where the package is changed so."""
    folders = {
        lines: tmp_path_factory.mktemp("with_lines" if lines else "without") for lines in (True, False)
    }
    for lines, folder in folders.items():
        package = copied(folder)
        for change in CHANGES:
            add_file(package, change)
            if lines:
                add_line(package, change)
    uses = {change: use for change, (*_, use) in CHANGES.items()}
    told = json.dumps([uses, [str(folder) for folder in folders.values()]])
    command = [sys.executable, "-c", f"USE = {USE!r}\n{TRY_EACH}"]
    done = subprocess.run(command, input=told, cwd=folders[False], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {lines: json.loads((folder / "died.json").read_text()) for lines, folder in folders.items()}


@pytest.mark.parametrize("change", CHANGES)
def test_without_its_line_a_change_is_unknown(died, change):
    """An error, not another training."""
    assert change in died[False]


@pytest.mark.parametrize("change", CHANGES)
def test_a_newcomers_change_is_one_file_and_one_line(died, change):
    assert change not in died[True], died[True][change]
