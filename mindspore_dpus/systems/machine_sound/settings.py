"""The configuration's sections that only this system has."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mindspore_dpus.core.settings import INNER_SHARE, SHARE, above, at_least, key
from mindspore_dpus.detectors import DETECTORS
from mindspore_dpus.detectors.aggregators import AGGREGATORS
from mindspore_dpus.detectors.systems import DOMAINS
from mindspore_dpus.features.simple_sound import FEATURE_SETS, SIMPLE

# Extractors trained by outlier exposure; ``systems.machine_sound.networks`` builds them.
NETWORKS = ("efficientnet_b0", "transformer", "conformer")
# The official baselines of DCASE 2022 Task 2; ``systems.machine_sound.baselines`` builds them.
BASELINES = ("autoencoder", "mobilenet_v2")


@dataclass(frozen=True)
class SoundDataSettings:
    """Where the clips are."""

    root: str | None = key(None, changes_results=False)
    """Folder of the recordings: <machine>/train/*.wav and <machine>/test/*.wav with the names of DCASE
    2020 to 2023, or with a manifest."""
    manifest: str | None = key(None, changes_results=False)
    """CSV with the columns path, machine, section, label and, optionally, domain, split, attributes,
    group. Default: root/manifest.csv where it exists, else names say it."""
    allow_outside_root: bool = key(False, changes_results=False)
    """Also read files that the manifest names outside of root."""
    normals: Literal["as_given", "drawn"] = "as_given"
    """Which normals are for training and which for the test. as_given: as names or the manifest say; drawn:
    each section's are dealt anew by the seed, as many of each domain (whole groups) as are given. For sets
    that are so small that the split decides the figures."""
    machines: tuple[str, ...] | None = None
    """Only these machines (and outliers). Default: all."""
    cache_dir: str | None = key(None, changes_results=False)
    """Folder of decoded clips and spectrograms, shared by runs. Default: cache beside the run."""
    spectrograms_gb: float = key(8.0, at_least(0), changes_results=False)
    """Spectrograms for extractors are kept there up to so many gigabytes; larger ones are made from the
    waveforms whenever they are needed, with the same numbers."""


@dataclass(frozen=True)
class PartSettings:
    """Which training normals train the extractor; the others validate it (section 3.1)."""

    source_share: float = key(0.85, INNER_SHARE)
    """r_train: share of a section's source-domain normals that train the extractor."""
    target_number: int = key(6, at_least(1))
    """Target-domain normals of a section that train the extractor, as far as at least one is left where
    there are two or more."""


@dataclass(frozen=True)
class SoundAuditSettings:
    """What is looked for in the clips before anything is computed from them."""

    enabled: bool = True
    """Look for clipping, silence, odd sample rates and lengths, duplicates, leaks between splits."""
    clipped_share: float = key(1e-3, SHARE)
    """From this share of cut-off samples on, a clip is clipped."""
    silent_share: float = key(0.5, SHARE)
    """From this share of silence on, a clip is silent."""
    allow: tuple[Literal["exact_duplicates_across_splits", "groups_across_splits"], ...] = ()
    """Leaks between splits that do not stop the run."""


@dataclass(frozen=True)
class SimpleSettings:
    """Vectors without a network: statistics of every mel band over time."""

    sets: tuple[Literal[tuple(FEATURE_SETS)], ...] = (SIMPLE,)
    """Which the detectors see. simple: mean and deviation; detailed: the deviation of the change from frame
    to frame, too, and all of it once more of spectra with a window of 32 ms; level: how loud the clip is,
    one number, for recorders whose gain stays the same. The model of the row "simple features", which every
    table has, takes part in ensembles, too; with none here it does not."""
    components: int | None = key(None, at_least(1))
    """Principal components that are kept; null: all numbers."""
    scaled: bool = True
    """Divide every number by its deviation over the section's normals."""
    size: int = key(1, at_least(1))
    """Neighbours of the row "simple features" that stands in every table (KNN)."""
    aggregator: Literal[tuple(AGGREGATORS)] = "mean_above_median"
    """Its aggregator."""


@dataclass(frozen=True)
class ExtractorSettings:
    """Networks that learn embeddings by outlier exposure, one for each machine (sections 2.1 to 2.4)."""

    networks: tuple[Literal[NETWORKS], ...] = ()
    """Which are trained. None: the detectors see simple features alone."""
    options: dict[str, Any] = key(factory=dict)
    """What a network takes besides: {transformer: {width: 64, n_blocks: 2}}."""
    embedding_size: int = key(128, at_least(1))
    """Numbers of an embedding."""
    batches: Literal["domain", "plain"] = "domain"
    """domain: a quarter source normals, a quarter target-domain clips mixed with others, half other
    sounds (section 2.4, Eq. 6); plain: half normals, half other sounds (section 2.3, Eq. 3)."""
    target_per_batch: int = key(1, at_least(0))
    """Target-domain clips of every batch (batches: plain)."""
    section_weight: float = key(10.0, at_least(0))
    """lambda_section."""
    domain_weight: float = key(1.0, at_least(0))
    """lambda_domain (batches: domain)."""
    mixup: float | None = key(None, above(0))
    """Beta parameter of the Mixup of normals with other sounds (batches: plain); null: none."""
    mixing: float = key(1.0, above(0))
    """Beta parameter of the pseudo-target sounds (batches: domain). The report does not name it; the
    authors' code has 0.2."""


@dataclass(frozen=True)
class AutoencoderSettings:
    """The official autoencoder: its clip score is the mean error of reconstruction."""

    frames: int = key(5, at_least(1))
    """Frames of one input, which begin at every frame."""
    epochs: int = key(100, at_least(1))
    """Passes over all inputs of a machine's training normals."""
    batch_size: int = key(512, at_least(2, "batch norms need two samples"))
    """Inputs of a step."""
    learning_rate: float = key(1e-3, above(0))
    """Of Adam."""


@dataclass(frozen=True)
class SectionClassifierSettings:
    """The official MobileNetV2: it learns to tell a machine's sections apart, and its clip score is the mean
    of the negative log odds of the clip's own section."""

    frames: int = key(64, at_least(32, "five layers halve it"))
    """Frames of one input."""
    hop_frames: int = key(8, at_least(1))
    """From the beginning of one input to the next."""
    width: float = key(0.5, above(0))
    """Multiplier of all channels."""
    epochs: int = key(20, at_least(1))
    """Passes over all inputs of a machine's training normals."""
    batch_size: int = key(32, at_least(2, "batch norms need two samples"))
    """Inputs of a step."""
    learning_rate: float = key(1e-5, above(0))
    """Of Adam."""


@dataclass(frozen=True)
class BaselineSettings:
    """The official baselines as rows of every table. Defaults are the official ones; they have log-mels of
    their own, of waveforms that are not standardised."""

    names: tuple[Literal[BASELINES], ...] = ()
    """Which."""
    window_seconds: float = key(0.064, above(0))
    """Length of the window of a spectrum."""
    hop_seconds: float = key(0.032, above(0))
    """From one spectrum to the next."""
    mel_bands: int = key(128, at_least(1))
    """Mel bands, from 0 to half of audio.rate."""
    autoencoder: AutoencoderSettings = field(default_factory=AutoencoderSettings)
    mobilenet_v2: SectionClassifierSettings = field(default_factory=SectionClassifierSettings)


@dataclass(frozen=True)
class DetectorSettings:
    """Inlier models of the vectors, one for each section (sections 2.3, 2.4 and 3.1)."""

    names: tuple[Literal[tuple(DETECTORS)], ...] = ("knn", "gmm", "lof")
    """Which."""
    sizes: tuple[int, ...] = key((1, 2, 4, 16, 32), at_least(1))
    """Neighbours, or components of the mixture. Those that the normals of some section are too few for (the few
    of its target domain, above all) are left out, with a line."""
    knn_distance: Literal["kth", "mean"] = "kth"
    """Of KNN: the distance to the k-th nearest normal (Ramaswamy et al., whom the report cites), or the mean
    of the distances to the k nearest (the authors' code). Also of the row "simple features"."""
    aggregators: tuple[Literal[tuple(AGGREGATORS)], ...] = tuple(AGGREGATORS)
    """From the scores of segments to the clip's."""
    domains: tuple[Literal[DOMAINS], ...] = DOMAINS
    """generalised: one detector for both domains, with pseudo-normals between them; specialised: systems
    of each domain, which are chosen and averaged by themselves and then weighted by how likely a clip is of the
    target domain (Eq. 8)."""
    fit_on: Literal["held_out", "all"] = "held_out"
    """Normals that detectors of embeddings learn from. held_out: those that did not train the extractor,
    as in the paper; all: both. Detectors of simple features always learn from all."""
    pseudo_normals: int = key(50, at_least(0))
    """Embeddings between the domains that are made for each section (generalised)."""
    kappa: float = key(0.15, above(0))
    """How soft the choice between the domains is (Eq. 7)."""
    folds: int = key(5, at_least(2))
    """Every normal's own score is that of detectors fitted on the other folds."""


@dataclass(frozen=True)
class StandardiseSettings:
    """How the scores of sections and detectors are brought to one scale."""

    by: Literal["train", "test"] = "train"
    """train: by held-out scores of training normals. test: by the scores of the test clips, which the
    authors' code does: that leaks, repeats the paper, and is marked in every table."""


@dataclass(frozen=True)
class EnsembleSettings:
    """Which systems make the product's score (section 2.5)."""

    size: int | None = key(5, at_least(1))
    """How many of the best are averaged (specialised: of each domain); all of them where there are fewer. null:
    all, without a choice."""
    each_vectors: bool = True
    """So many of every kind of vectors (simple features, each network), each kind judged by itself. false:
    of all together. Extractors learn to tell sections apart, so where other sections stand for anomalies,
    theirs are nearly always the best, however they do on real ones."""
    scope: Literal["per_machine", "common"] = "per_machine"
    """per_machine: each machine has its own best; common: the best over all machines."""
    select_by: Literal["pseudo", "test_labels"] = "pseudo"
    """pseudo: by how well held-out normals are told from normals of other sections or machines.
    test_labels: by the test clips' labels, which the authors did: that leaks, repeats the paper, and is
    marked in every table."""
    pseudo_anomalies: Literal["sections", "machines"] = "sections"
    """What stands in for anomalies. A machine of one section has the other machines'."""
    product: Literal[DOMAINS] = "generalised"
    """Which ensemble is the product: its scores are written, decided on and exported."""


@dataclass(frozen=True)
class SoundDecisionSettings:
    """From which score on a clip is called anomalous; from normals alone."""

    rule: Literal["gamma", "quantile"] = "gamma"
    """gamma: a quantile of a gamma distribution fitted on the section's held-out scores of normals, as
    in the official baseline; quantile: of these scores themselves."""
    quantile: float = key(0.9, INNER_SHARE)
    """Share of normals that should lie below."""


@dataclass(frozen=True)
class SoundEvaluationSettings:
    """Metrics and their intervals."""

    max_fpr: float = key(0.1, SHARE)
    """p of the partial AUC."""
    n_bootstrap: int = key(1000, at_least(0))
    """Bootstrap replicates over clips, or over groups where the data name them; 0 for no intervals."""
    confidence: float = key(0.95, INNER_SHARE)
    """Coverage of the intervals."""
    paper: bool = False
    """Also write Tables 1 to 4 of the DCASE 2022 report with its numbers beside this run's; for its data, or
    the layout of the tables."""
