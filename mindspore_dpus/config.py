"""The configuration: one dataclass a stage.

A key's documentation is the string below it: ``--help`` shows it, and nothing repeats it.
``mindspore_dpus.cli`` fills them from YAML and the command line.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class SimulateConfig:
    """Simulated radiographs in place of a folder of real ones."""

    enabled: bool = False
    """Make radiographs inside the run folder and use them as data.root."""
    train: tuple[int, int] = (400, 60)
    """Training images: normal, defect."""
    val: tuple[int, int] = (50, 50)
    """Validation images: normal, defect."""
    test: tuple[int, int] = (100, 100)
    """Test images: normal, defect."""
    size: int = 64
    """Height and width of an image in pixels."""
    bits: Literal[8, 16] = 8
    """Bits per pixel of the written images."""
    proportions: tuple[float, float, float] = (0.25, 0.35, 0.4)
    """Shares of the three sub-populations of Figure 1: bright, rough (bumps that look like flaws),
    plain (little detail)."""
    materials: list[Literal["magnesium", "aluminium", "titanium"]] = field(
        default_factory=lambda: ["magnesium", "aluminium", "titanium"]
    )
    """Materials of the parts, each as likely as the others. Walls are chosen so that all absorb about
    alike."""
    flaw_size: tuple[float, float] = (0.08, 0.2)
    """Smallest and largest flaw, as a share of the image's side."""
    flaw_contrast: tuple[float, float] = (0.15, 0.5)
    """Thickness that a flaw takes away (or, for an inclusion, adds), as a share of the wall."""
    photons: float = 4000.0
    """Mean photon count of an unattenuated pixel: fewer photons, more quantum noise."""
    scatter: float = 0.2
    """Share of scattered radiation in the signal."""


@dataclass
class DataConfig:
    """Where the images are and how one becomes an array."""

    root: str | None = None
    """Folder of images: root/{train,val,test}/{class}/..., root/{class}/..., or with a manifest."""
    manifest: str | None = None
    """CSV with the columns path,label[,split][,group]; paths are relative to root. Default:
    root/manifest.csv where it exists, else class names come from the folders."""
    allow_outside_root: bool = False
    """Also read files that the manifest names by an absolute path, by .., or through a symbolic link
    that leads out of root."""
    simulate: SimulateConfig = field(default_factory=SimulateConfig)
    """Simulated radiographs in place of root."""
    classes: list[str] | None = None
    """Only images of these classes; the others are left out. Default: all."""
    positive: str = "defect"
    """The class whose probability is the score, when there are two classes."""
    majority: str = "normal"
    """The class that outnumbers the other and is drawn from, when there are two classes."""
    image_size: int = 224
    """Height and width in pixels to which every image is resized."""
    channels: Literal[1, 3] = 1
    """1: grey (colour images are converted); 3: RGB (grey images are repeated)."""
    bits: Literal[8, 16] = 8
    """Bits per pixel kept in the image cache. Images deeper than that are refused, not crushed."""
    value_range: Literal["file", "dtype", "minmax", "percentiles", "window"] = "file"
    """What becomes black and white. file: what the file says: the window or table of a DICOM file that
    has one, else as dtype; dtype: the whole range of the file's integer type (DICOM: of its Bits
    Stored); minmax, percentiles: the image's own; window: fixed values."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    """Percentiles that become black and white (value_range: percentiles)."""
    window: tuple[float, float] = (0.0, 4095.0)
    """Stored values that become black and white (value_range: window); of DICOM, after its rescale."""
    max_pixels: int = 300_000_000
    """Height times width of the largest image that is decoded; larger ones are unreadable. Decoding
    takes six to eight bytes a pixel for 16 bits, in as many threads as there are cores."""
    cache_dir: str | None = None
    """Folder of decoded images and features, shared by runs. Default: cache beside the run."""


@dataclass
class SplitConfig:
    """How train, val and test are told apart. A split that the data names is taken as it is."""

    val_size: float = 0.15
    """Share of the images for validation where the data names no val split; a number above 1 counts
    images. With balanced, it counts from the smallest class and holds for every class. Images of one
    group stay together, so then it is met as nearly as whole groups allow."""
    test_size: float = 0.15
    """The same for the test split."""
    balanced: bool = False
    """Val and test made here hold equally many images of each class (as in Table 1)."""
    minority_fraction: float = 1.0
    """Keep only this share of the smallest class in train (Figure 5: 1/2, 1/4, 1/8, 1/16)."""


@dataclass
class AuditConfig:
    """What is looked for in the images before anything is computed from them."""

    enabled: bool = True
    """Look for unreadable images, duplicates, leaks between splits, odd sizes and depths."""
    near_distance: int | None = 20
    """Two images are near duplicates when at most so many of the 256 bits of their perceptual hashes
    differ; null: near duplicates are not looked for."""
    saturation: float = 0.3
    """An image is saturated when this share of its pixels has its smallest or its largest value."""
    allow: list[Literal["exact_duplicates_across_splits", "groups_across_splits"]] = field(
        default_factory=list
    )
    """Leaks between splits that do not stop the run."""


@dataclass
class FeaturesConfig:
    """Features by which the majority class is grouped (section 2.2). Used by strategy dpus."""

    backbone: str = "resnet18"
    """Any name that model.backbone may have."""
    layer: str | None = None
    """Cell whose output, averaged over height and width, is the feature vector. Default: the last
    one before the classifier."""
    pretrained: str | None = "imagenet"
    """imagenet, a checkpoint file, or null for random weights."""
    n_components: int | None = 128
    """PCA dimensions before whitening and L2 normalisation, at most one for 10 images (the paper has no
    such limit); null clusters the features as they are."""
    batch_size: int = 64
    """Images per forward pass."""


@dataclass
class SamplingConfig:
    """How each member's balanced training set is drawn (section 2.2, Eq. 1 and 2)."""

    strategy: Literal["dpus", "random_under", "random_over", "none"] = "dpus"
    """dpus: p % of every group; random_under / random_over: the classical baselines; none: all."""
    n_clusters: int | Literal["auto"] = 5
    """K, number of groups of the majority class; auto: the K of 2 to 10 with the largest mean
    silhouette."""
    proportion: float | Literal["auto"] = "auto"
    """p, share of the majority class in one subset; auto: 10 % more images than the minority has."""
    n_subsets: int = 5
    """t, number of subsets and so of members."""
    draw: Literal["independent", "covering"] = "independent"
    """independent: as in the paper; covering: no image of a group comes twice before all of that group
    have come once, and ceil(1 / p) subsets use every image."""
    cluster_range: list[int] = field(default_factory=lambda: [1, 2, 5, 10, 20, 50, 100, 200])
    """Values of K that tools/cluster_range.py compares."""
    baseline: bool = False
    """Also train one member on a random under-sample of the same size, shown beside the fused
    ensemble and never part of it."""


@dataclass
class ModelConfig:
    """The classifier that every member trains (section 2.3)."""

    backbone: str = "mobilenet_v2"
    """resnet18 (34, 50, 101, 152), resnext50_32x4d, mobilenet_v2 (_140, _075, _050, _035), vgg16,
    vgg19_bn, alexnet, or any model name of mindcv."""
    pretrained: str | None = "imagenet"
    """imagenet, a checkpoint file, or null for random weights."""
    allow_fresh: list[str] = field(default_factory=list)
    """Patterns of parameters that the checkpoint may lack, such as layer4.*; they start at random."""
    freeze: list[str] = field(default_factory=list)
    """Patterns of parameters that are not trained; their batch norms stay in evaluation mode."""
    freeze_layers: int | None = None
    """The first N layers are not trained. Every array of weights counts as one, in the network's order:
    a convolution is one, a batch norm two, the classifier two. MobileNetV2 has 158, ResNeXt50 161."""
    fine_tuning: Literal["deep", "shallow", "gradual"] = "deep"
    """deep: all that is not frozen is trained; shallow: the classifier alone; gradual: the classifier
    first, then from there downwards part by part."""
    unfreeze_every: int = 1
    """Epochs between two parts (fine_tuning: gradual). Each begins with a fresh optimiser state."""
    unfreeze_parts: int = 4
    """Parts of equally many layers (fine_tuning: gradual)."""
    weights_dirs: list[str] = field(default_factory=lambda: ["weights"])
    """Folders searched for {backbone}_imagenet*.safetensors before anything is downloaded; a
    download goes into the first."""


@dataclass
class LossConfig:
    """What each member minimises."""

    name: Literal["cross_entropy", "weighted_cross_entropy", "focal", "seesaw"] = "cross_entropy"
    """cross_entropy: the loss of the paper's method; the others are its cost-sensitive rivals."""
    label_smoothing: float = 0.0
    """Share of every target that is spread over all classes (both cross-entropies)."""
    class_weights: list[float] | None = None
    """One for each class, in alphabetical order (weighted_cross_entropy, focal). Default: inverse class
    frequencies of the member's training set for weighted_cross_entropy, none for focal."""
    focal_gamma: float = 2.0
    """How much easy samples are played down (focal)."""
    seesaw_p: float = 0.8
    """Exponent of the mitigation factor (seesaw)."""
    seesaw_q: float = 2.0
    """Exponent of the compensation factor (seesaw)."""


@dataclass
class AugmentConfig:
    """Random changes of the training images. All off, as in the paper, by default."""

    horizontal_flip: bool = False
    """Mirror left and right, every other time."""
    vertical_flip: bool = False
    """Mirror top and bottom, every other time."""
    rotation: float = 0.0
    """Rotate by up to so many degrees either way."""
    crop: float = 1.0
    """Cut out a part of at least this share of the area, and enlarge it to the whole; 1: never."""
    zoom: float = 0.0
    """Enlarge by up to this share, about any point."""
    shear: float = 0.0
    """Shear by up to so many degrees, across and down, either way."""
    shift: float = 0.0
    """Shift by up to this share of the side, across and down, either way."""
    warp: float = 0.0
    """Move every corner by up to this share of the side, each way: another perspective."""
    hue: float = 0.0
    """Turn the colours by up to this share of the colour circle either way (data.channels: 3)."""
    saturation: float = 0.0
    """Strengthen or weaken the colours by up to this share (data.channels: 3)."""
    brightness: float = 0.0
    """Add up to this share of the value range either way."""
    contrast: float = 0.0
    """Scale the contrast by up to this share either way."""


@dataclass
class LrRangeConfig:
    """The learning-rate range test: the rate grows exponentially while the first member trains."""

    low: float = 1e-7
    """Its first learning rate."""
    high: float = 10.0
    """Its last one; it ends before when the loss explodes."""
    steps: int = 100
    """Batches between the two."""


@dataclass
class TrainingConfig:
    """How a member is trained (section 3.2)."""

    epochs: int = 20
    """Passes over the member's balanced set."""
    steps: int | None = None
    """Instead of epochs: as many whole epochs as come nearest to so many steps, one at least. So members
    of small and of large sets learn equally long."""
    batch_size: int = 16
    """Images per step, over all devices."""
    optimizer: Literal["adam", "radam"] = "adam"
    """adam: as in the paper; radam: Rectified Adam (Liu et al. 2020), which needs no warm-up."""
    learning_rate: float | Literal["auto"] = 1e-3
    """The optimiser's learning rate; auto: what the learning-rate range test suggests."""
    lr_range: LrRangeConfig = field(default_factory=LrRangeConfig)
    """The learning-rate range test (learning_rate: auto, and tools/lr_range.py)."""
    lr_schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """constant: as in the paper; cosine: falls to zero over the epochs; one_cycle: rises step by step
    over the first quarter of the training, and falls to nothing over the rest."""
    weight_decay: float = 0.0
    """L2 penalty, added to the gradients (not decoupled); not of batch norms' scale and shift."""
    patience: int | None = None
    """Stop a member after so many epochs without a better one (by select_by). Default: never."""
    select_by: Literal["auc", "accuracy", "loss", "last"] = "auc"
    """Which epoch's weights are kept: best validation AUC or accuracy, lowest validation loss, or the
    last."""
    on_divergence: Literal["stop", "halve"] = "stop"
    """When the loss, the gradients or the outputs are no numbers any more. stop: end with the member,
    epoch and step; halve: go back to its last good epoch, or to its start where that epoch is no good
    either (its first step diverges), and on with half the learning rate."""
    max_halvings: int = 5
    """How often a member's learning rate may be halved (on_divergence: halve)."""
    gradient_limit: float | None = None
    """Norm of all gradients together above which a step has diverged, too. Default: only what is no
    number has."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Random changes of the training images."""
    executor: Literal["local", "ray"] = "local"
    """Where members are trained. local: on this machine; ray: on a Ray cluster, each as a task of its
    own (docs/scaling.md)."""
    ray_address: str = "auto"
    """The cluster, as host:port; auto: the variable RAY_ADDRESS, or the one that this machine is in."""
    ray_cpus: int = 1
    """Cores of a member on a Ray cluster. The last digits of a result depend on their number. With
    device.target GPU or Ascend, it has one card besides."""
    ray_retries: int = 3
    """How often a member whose process or machine died is started again without an epoch in between; it
    goes on from its last one."""


@dataclass
class EvaluationConfig:
    """Metrics and their intervals (section 3.3)."""

    threshold: float = 0.5
    """Score from which a two-class image counts as positive."""
    n_bootstrap: int = 1000
    """Stratified bootstrap replicates for the confidence intervals; 0 for none."""
    confidence: float = 0.95
    """Coverage of the confidence intervals."""


@dataclass
class HeatmapsConfig:
    """Where in an image the ensemble sees a class: the positive one, or of several the predicted one."""

    report: bool = True
    """Show heatmaps of the worst errors in the report."""
    layer: str | None = None
    """Cell whose map is shown, such as features.15 or layer4. Default: the last block or part of the
    backbone whose map has at least 7 x 7 places, which at 224 pixels is the one before the global
    average."""
    method: Literal["hires_cam", "grad_cam"] = "hires_cam"
    """hires_cam: each place of the map times its own gradient; grad_cam: times the gradient averaged
    over all places. Before the global average they are the same; in finer maps hires_cam found more
    of the flaws in castings."""


@dataclass
class DecisionConfig:
    """From which score on an image is called, and what a score means (two classes)."""

    rule: Literal["recall", "assured_recall", "f1", "cost", "fixed"] = "recall"
    """recall: the fewest false calls at decision.recall on validation; assured_recall: the same where
    even the lower limit of the recall, at evaluation.confidence, reaches decision.recall; f1: the best
    F1; cost: the lowest expected cost; fixed: decision.threshold."""
    recall: float = 0.95
    """Share of the defects that must be found (rules recall, assured_recall)."""
    cost_miss: float | None = None
    """What a missed defect costs, in any unit (rule cost)."""
    cost_false_call: float | None = None
    """What a false call costs, in the same unit (rule cost)."""
    threshold: float | None = None
    """Score from which an image is called (rule fixed)."""
    calibration: Literal["none", "temperature", "isotonic"] = "none"
    """How scores become probabilities, fitted on validation. none: scores as they are; temperature: how
    sure they are is scaled; isotonic: any rising function, for some 200 images or more."""
    defect_rate: float | None = None
    """Share of defects on the line, where you know it: probabilities, precision, F1 and costs are then
    for it. Default: the share that the data have."""
    size_columns: list[str] | None = None
    """Columns of the manifest with a flaw's size, for the probability of detection; of several, such as
    [box_w,box_h], the largest counts. Default: flaw_size where the manifest has it."""


@dataclass
class DeviceConfig:
    """What it runs on. Changes speed, and the last digits of a result, never its meaning."""

    target: Literal["auto", "CPU", "GPU", "Ascend"] = "auto"
    """auto takes Ascend or GPU where MindSpore finds one, else the CPU."""
    device_id: int = 0
    """Number of the Ascend or GPU card."""
    jit: bool | None = None
    """Compile the training step to a graph. Default: on Ascend and GPU, not on CPU."""
    amp_level: Literal["O0", "O1", "O2", "O3"] = "O0"
    """Mixed precision of MindSpore (float16, loss scaled by 1024) on Ascend and GPU; O0: float32."""
    fast_kernels: bool = True
    """CPU only, not with jit: depthwise 3x3 convolutions and, in training, batch norms and the blocks of
    our MobileNetV2 in loops of our own (numba). How much faster: docs/performance.md."""
    processes: int | None = None
    """CPU only: members trained side by side, each in a process on its own share of the cores. Default:
    as many as there are cores, but no more than members. Each takes one to two gigabytes. The last
    digits of a result depend on the number of cores that a member has."""
    data_parallel: bool = False
    """Train each member on several devices, each of which has an equal part of every batch. Start it
    with msrun (docs/scaling.md)."""
    frozen_cache_mb: int = 1024
    """Outputs of a network's frozen start are computed once, and kept in memory up to this size for each
    member, where no augmentation is on (our own networks only). 0: never."""
    idle_main_thread: bool = False
    """CPU only: give MindSpore's spinning main thread the lowest priority, so that it yields to its
    workers. About 1.2 times as fast on a machine of one's own; ten times as slow on one whose cores
    other programs want."""


@dataclass
class Config:
    """One run: from images to a fused, evaluated ensemble."""

    output: str = "runs/default"
    """The run folder."""
    seed: int = 0
    """Drives splits, groups, draws, initial weights and data order."""
    data: DataConfig = field(default_factory=DataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    heatmaps: HeatmapsConfig = field(default_factory=HeatmapsConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)
