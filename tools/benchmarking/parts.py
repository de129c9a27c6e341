"""What is measured: the parts of the benchmark, their lines, and ratios between lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_type_hints

from benchmarking.image_files import BY_IMAGECODECS, FILES, READERS
from benchmarking.measuring import Work
from benchmarking.results import IMAGES_PER_SECOND, REAL_TIME, SECONDS, SEGMENTS_PER_SECOND
from benchmarking.workloads import FORWARD_BATCH
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError

BACKBONES = ("resnet18", "mobilenet_v2")
STEPS = (*BACKBONES, "resnet50")
KINDS = {
    "resnet18": ("convolutions", "norms"),
    "mobilenet_v2": ("convolutions", "depthwise", "norms"),
}
MEMBERS = 5
SOUND_NETWORKS = ("efficientnet_b0", "transformer", "conformer")
# A whole forward batch, so that the last one is no smaller than the others.
FORWARD_IMAGES = 2 * FORWARD_BATCH
COLD_IMAGES = 64
# So many that starting the pipeline, once an epoch, weighs as little as in an epoch.
CACHED_IMAGES = 1024


@dataclass(frozen=True)
class Settings:
    """What the user chose.

    Args:
        image_size: height and width in pixels.
        batch_size: images in a training step.
        samples: majority samples of each sampler line.
        target: the device (``device.target``).
        kernels: what replaces MindSpore's operations on a CPU (``device.fast_kernels``).
        with_torch: whether the same work is done in torch.
        with_onnx: whether a graph can be exported and run.
        with_imagecodecs: whether tifffile unpacks every TIFF.
        epochs: of a whole training.
    """

    image_size: int
    batch_size: int
    samples: tuple[int, ...]
    target: str
    kernels: str
    with_torch: bool
    with_onnx: bool
    with_imagecodecs: bool = False
    epochs: int = 2

    @property
    def device(self) -> dict[str, str]:
        """The options of our work that torch does not have."""
        return {"target": self.target, "fast_kernels": self.kernels}


@dataclass(frozen=True)
class Row:
    """A line of the table before it is measured.

    Args:
        part: the part that it belongs to.
        name: what it says.
        unit: of its numbers.
        ours: the product's work.
        torch: torch's, or None.
    """

    part: str
    name: str
    unit: str
    ours: Work
    torch: Work | None = None


@dataclass(frozen=True)
class Comparison:
    """The speed of one of our pieces of work as a multiple of another's."""

    name: str
    ours: Work
    than: Work


def _row(
    part: str,
    name: str,
    settings: Settings,
    function: str,
    options: dict,
    own: dict | None = None,
    processes: int = 1,
) -> Row:
    """A line in images/s; ``own`` are options that torch does not have."""
    ours = Work("ours", function, tuple((options | (own or {})).items()), processes)
    torch = Work("torch", function, tuple(options.items()), processes) if settings.with_torch else None
    return Row(part, name, IMAGES_PER_SECOND, ours, torch)


def _step_row(part: str, name: str, backbone: str, s: Settings, processes: int = 1, **own) -> Row:
    options = {"backbone": backbone, "batch_size": s.batch_size, "image_size": s.image_size}
    return _row(part, name, s, "step", options, s.device | own, processes)


def _step(s: Settings) -> tuple[list[Row], list[Comparison]]:
    chosen = {name: _step_row("step", f"training step, {name}", name, s) for name in STEPS}
    rows, comparisons = list(chosen.values()), []
    for kernels in get_args(get_type_hints(DeviceSettings)["fast_kernels"]):
        if kernels == s.kernels:
            continue
        for name in BACKBONES:
            title = f"training step, {name}, fast_kernels {kernels}"
            rows.append(_step_row("step", title, name, s, fast_kernels=kernels))
            ratio = f"fast_kernels {s.kernels} / {kernels}, {name}"
            comparisons.append(Comparison(ratio, chosen[name].ours, rows[-1].ours))
    return rows, comparisons


def _start(s: Settings) -> tuple[list[Row], list[Comparison]]:
    rows = []
    for name in BACKBONES:
        options = {"backbone": name, "batch_size": s.batch_size, "image_size": s.image_size}
        torch = Work("torch", "start", tuple(options.items())) if s.with_torch else None
        for anew, title in ((True, "first start after an installation"), (False, "later start")):
            own = options | s.device | {"installed_anew": anew}
            # The first one compiles for half a minute.
            ours = Work("ours", "start", tuple(own.items()), calls=1 if anew else None)
            rows.append(Row("start", f"{title}, {name}", SECONDS, ours, None if anew else torch))
    return rows, []


def _layers(s: Settings) -> tuple[list[Row], list[Comparison]]:
    rows = []
    for backbone, kinds in KINDS.items():
        for kind in kinds:
            options = {"backbone": backbone, "kind": kind, "batch_size": s.batch_size}
            options |= {"image_size": s.image_size}
            rows.append(_row("layers", f"{kind} of a step, {backbone}", s, "layers", options, s.device))
    return rows, []


def _extract(s: Settings) -> tuple[list[Row], list[Comparison]]:
    options = {"backbone": "resnet18", "n_images": FORWARD_IMAGES, "batch_size": FORWARD_BATCH}
    options |= {"image_size": s.image_size}
    return [_row("extract", "features, resnet18", s, "features", options, s.device)], []


def _fuse(s: Settings) -> tuple[list[Row], list[Comparison]]:
    options = {"backbone": "mobilenet_v2", "members": MEMBERS, "n_images": FORWARD_IMAGES}
    options |= {"image_size": s.image_size}
    name = f"fused prediction, {MEMBERS} x mobilenet_v2"
    row = _row("fuse", name, s, "fused", options, s.device)
    if not s.with_onnx:
        return [row], []
    graph = Work("ours", "graph", tuple(options.items()))
    exported = Row("fuse", f"{name}, exported", IMAGES_PER_SECOND, graph, row.torch)
    return [row, exported], [Comparison("exported graph / MindSpore", graph, row.ours)]


def _input(s: Settings) -> tuple[list[Row], list[Comparison]]:
    cold = Work("ours", "cold", (("n_images", COLD_IMAGES), ("image_size", s.image_size)))
    # torch has no decoder of its own here: both sides would measure OpenCV.
    cold_row = Row("input", "input, cold (files)", IMAGES_PER_SECOND, cold)
    options = {"n_images": max(CACHED_IMAGES, s.batch_size), "batch_size": s.batch_size}
    options |= {"image_size": s.image_size}
    cached_row = _row("input", "input, cached", s, "cached", options)
    consumer = _step_row("input", "", "mobilenet_v2", s).ours
    step = "training step, mobilenet_v2"
    return [cold_row, cached_row], [
        Comparison(f"input, cold / {step}", cold, consumer),
        Comparison(f"input, cached / {step}", cached_row.ours, consumer),
    ]


def _reading(s: Settings) -> tuple[list[Row], list[Comparison]]:
    rows, comparisons = [], []
    for kind in FILES:
        works = {
            reader: Work("files", "read", (("kind", kind), ("reader", reader))) for reader in READERS
        }
        rows.append(Row("reading", f"reading {kind}", IMAGES_PER_SECOND, works["product"]))
        others = ["OpenCV"]
        unpacked = s.with_imagecodecs or not any(name in kind for name in BY_IMAGECODECS)
        if kind.startswith("TIFF") and unpacked:
            others.append("tifffile")
        comparisons += [
            Comparison(f"{kind}: product / {other}", works["product"], works[other]) for other in others
        ]
    return rows, comparisons


def _sampler(s: Settings) -> tuple[list[Row], list[Comparison]]:
    return [
        Row("sampler", f"sampler, {n} samples", SECONDS, Work("ours", "sampler", (("samples", n),)))
        for n in s.samples
    ], []


def _members(s: Settings) -> tuple[list[Row], list[Comparison]]:
    rows, comparisons = [], []
    for name in BACKBONES:
        turn = _step_row("members", f"members in turn, {name}", name, s)
        beside = _step_row("members", f"2 members side by side, {name}", name, s, processes=2)
        rows += [turn, beside]
        comparisons.append(Comparison(f"side by side / in turn, {name}", beside.ours, turn.ours))
    return rows, comparisons


def _train(s: Settings) -> tuple[list[Row], list[Comparison]]:
    rows = []
    for name in BACKBONES:
        options = {"backbone": name, "image_size": s.image_size, "epochs": s.epochs}
        row = _row("train", f"whole training, 3 x {name}", s, "training", options, s.device)
        rows.append(row)
    return rows, []


def _sound(s: Settings) -> tuple[list[Row], list[Comparison]]:
    ours = Work("ours", "log_mel", ())
    torch = Work("torch", "log_mel", ()) if s.with_torch else None
    rows = [Row("sound", "log-mels of 2 s", REAL_TIME, ours, torch)]
    comparisons = [Comparison("log-mels, ours / librosa", ours, Work("ours", "librosa_log_mel", ()))]
    for name in SOUND_NETWORKS:
        options = {"network": name, "batch_size": s.batch_size}
        fast, plain = (
            Work(
                "ours", "sound_step", tuple((options | {"target": s.target, "fast_kernels": f}).items())
            )
            for f in (s.kernels, "none")
        )
        peer = Work("torch", "sound_step", tuple(options.items())) if s.with_torch else None
        rows.append(Row("sound", f"training step, {name}, 2 s", SEGMENTS_PER_SECOND, fast, peer))
        comparisons.append(Comparison(f"fast_kernels {s.kernels} / none, {name}, 2 s", fast, plain))
    for name in SOUND_NETWORKS if s.with_onnx else ():
        # Beside nothing: torch has no such product.
        work = Work("ours", "sound_export", (("network", name),))
        rows.append(Row("sound", f"WAV to score, exported {name}, one core", REAL_TIME, work))
    return rows, comparisons


def _quickstart(s: Settings) -> tuple[list[Row], list[Comparison]]:
    config = str(Path(__file__).parents[2] / "configs" / "quickstart.yaml")
    work = Work("ours", "run", (("config", config), *s.device.items()), calls=1)
    return [Row("quickstart", "the whole quickstart", SECONDS, work)], []


PARTS: dict[str, Callable[[Settings], tuple[list[Row], list[Comparison]]]] = {
    "step": _step,
    "start": _start,
    "layers": _layers,
    "extract": _extract,
    "fuse": _fuse,
    "input": _input,
    "reading": _reading,
    "sampler": _sampler,
    "members": _members,
    "train": _train,
    "sound": _sound,
    "quickstart": _quickstart,
}


def plan(parts: list[str], settings: Settings) -> tuple[list[Row], list[Comparison]]:
    """The lines of these parts, and ratios between them, in the order of ``PARTS``."""
    chosen = [PARTS[name](settings) for name in PARTS if name in parts]
    return [row for rows, _ in chosen for row in rows], [c for _, some in chosen for c in some]


def only_lines(
    rows: list[Row], comparisons: list[Comparison], names: Sequence[str]
) -> tuple[list[Row], list[Comparison]]:
    """Lines of these names, and the ratios between what they measure.

    Raises:
        UserError: there is no such line.
    """
    known = [row.name for row in rows]
    for name in names:
        if name not in known:
            raise UserError(f"--lines: there is no line {name!r} here, but {'; '.join(known)}")
    kept = [row for row in rows if row.name in names]
    works = set(all_work(kept, []))
    return kept, [one for one in comparisons if {one.ours, one.than} <= works]


def all_work(rows: list[Row], comparisons: list[Comparison]) -> list[Work]:
    """Every piece of work, each once, ours and torch's in turn."""
    works = [work for row in rows for work in (row.ours, row.torch) if work is not None]
    works += [work for one in comparisons for work in (one.ours, one.than)]
    return list(dict.fromkeys(works))
