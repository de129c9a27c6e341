"""The product of a machine sound run: waveform in, score out.

Needs what requirements/deploy_sound.txt names, and nothing else.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import digest, read_json
from mindspore_dpus.data.arrays import load_arrays
from mindspore_dpus.data.audio.front_end import FrontEnd, network_input
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.detectors.aggregators import aggregate
from mindspore_dpus.detectors.archive import load_detectors
from mindspore_dpus.detectors.domain_classifier import DomainClassifier
from mindspore_dpus.detectors.domains import mean_logit, target_probability
from mindspore_dpus.detectors.systems import Model, System, domain_weighted
from mindspore_dpus.features.simple_sound import FEATURE_SETS, Projection, SoundFeatures


class Embedder(Protocol):
    """What extracts embeddings: a trained run, or exported graphs."""

    def embed(self, network: str, machine: str, inputs: np.ndarray) -> np.ndarray:
        """(S, 1, bands, frames) float32 -> (S, D) float32."""


class SoundScore(NamedTuple):
    """What is said of a clip.

    Attributes:
        score: standardised; higher is more anomalous.
        threshold: of its section.
        probability: of the target domain, by the systems' vectors together.
        segments: (S,) scores of the segments, each as if it were the clip.
        starts: (S,) seconds at which they begin.
    """

    score: float
    threshold: float
    probability: float
    segments: np.ndarray
    starts: np.ndarray


class SoundScorer:
    """The product of a run: front end, extractors, detectors, thresholds.

    Args:
        audio: how clips become log-mels.
        folder: with ``scorer.json`` (or that content in ``description``), ``detectors.npz`` and
            ``scaling.npz``.
        embedder: of the extractors; None where there are simple features alone.
        description: the content of ``scorer.json``.

    Raises:
        UserError: a file is missing, damaged, or lacks something.
    """

    def __init__(
        self,
        audio: AudioSettings,
        folder: Path,
        embedder: Embedder | None,
        description: Mapping | None = None,
    ) -> None:
        self.front = FrontEnd(audio)
        self.features: dict[str, SoundFeatures] = {}
        self.embedder = embedder
        about = description or read_json(folder / "scorer.json")
        self.mark = digest("sound", dict(about))[:12]
        self._detectors = load_detectors(folder / "detectors.npz")
        self.scaling = load_arrays(folder / "scaling.npz")
        try:
            self.kappa = float(about["kappa"])
            self.sections = about["sections"]
            self.systems = {
                machine: [
                    System(Model(s["vectors"], s["detector"], s["size"], s["domain"]), s["aggregator"])
                    for s in systems
                ]
                for machine, systems in about["systems"].items()
            }
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{folder}: scorer.json is not what a run writes; train again") from None

    def find(self, machine: str, section: str) -> Mapping:
        """What is known of a section.

        Raises:
            UserError: training never saw it.
        """
        if machine not in self.sections:
            raise UserError(
                f"training never saw the machine {machine!r}; there are {', '.join(self.sections)}"
            )
        if section not in self.sections[machine]:
            raise UserError(
                f"training never saw section {section!r} of {machine}, or too few normals of it; there "
                f"are {', '.join(self.sections[machine])}"
            )
        return self.sections[machine][section]

    def score(self, waveform: np.ndarray, machine: str, section: str) -> SoundScore:
        """Score a clip.

        Args:
            waveform: (n,) float32 at the rate of the audio settings.
            machine, section: whose it is.

        Raises:
            UserError: training never saw the section, or the clip is silent or too short.
        """
        about = self.find(machine, section)
        log_mels = self.front(waveform)
        systems = self.systems[machine]
        place = f"{machine}/{section}"
        n = len(log_mels)
        one, each = np.zeros(n, int), np.arange(n)
        vectors: dict[str, np.ndarray] = {}
        logits: dict[str, np.ndarray] = {}
        for name in dict.fromkeys(s.model.vectors for s in systems):
            made = self._vectors(name, place, waveform, log_mels, about["has_target"])
            vectors[name], logits[name] = made
        segment_scores: dict[Model, np.ndarray] = {}
        # domain -> of each of its systems: the clip's score, and those of the segments, alone as a clip.
        clip: dict[str, list[np.ndarray]] = {}
        segments: dict[str, list[np.ndarray]] = {}
        for system in systems:
            model = system.model
            if system.name not in about["moments"]:
                continue  # The section has no normals of its domain.
            if model not in segment_scores:
                detector = self._detectors[f"{place}/{model.name}"]
                segment_scores[model] = detector.score(vectors[model.vectors])
            mean, deviation = about["moments"][system.name]
            for found, clips in ((clip, one), (segments, each)):
                scores = aggregate(system.aggregator, segment_scores[model], clips)[1]
                found.setdefault(model.domain, []).append((scores - mean) / deviation)
        chance = target_probability(mean_logit(list(logits.values())), self.kappa)
        score, each_score = (
            domain_weighted({d: np.mean(own, axis=0) for d, own in found.items()}, np.repeat(chance, m))
            for found, m in ((clip, 1), (segments, n))
        )
        return SoundScore(
            float(score[0]),
            float(about["threshold"]),
            float(chance[0]),
            each_score,
            self.front.starts(len(waveform)),
        )

    def _arrays(self, prefix: str) -> dict[str, np.ndarray]:
        return {
            key.removeprefix(prefix): value
            for key, value in self.scaling.items()
            if key.startswith(prefix)
        }

    def _vectors(
        self, name: str, place: str, waveform: np.ndarray, log_mels: np.ndarray, has_target: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the segments (S, D), and the clip's logit of the target domain (1,); minus infinity
        where it cannot be told."""
        if name in FEATURE_SETS:
            if name not in self.features:
                self.features[name] = SoundFeatures(name, self.front.audio)
            projection = Projection.from_arrays(self._arrays(f"{place}/{name}/projection/"))
            X = self.features[name](waveform, log_mels)
            arrays = self._arrays(f"{place}/{name}/domain/")
            if not arrays:
                return projection.transform(X), np.full(1, -np.inf)
            # As in training, where the mean of the raw vectors' projections is the classifier's input.
            mean = projection.transform(X).mean(axis=0)
            logit = DomainClassifier.from_arrays(arrays).logits(mean[None])
            return projection.transform(X), logit
        if self.embedder is None:
            raise UserError(f"the extractor {name} is missing")
        machine = place.partition("/")[0]
        X = self.embedder.embed(name, machine, network_input(log_mels))
        head = self.scaling.get(f"head/{name}/{machine}")
        if head is not None and has_target:
            return X, (X @ head).mean(keepdims=True)
        arrays = self._arrays(f"{place}/{name}/domain/")
        if not arrays:
            return X, np.full(1, -np.inf)
        return X, DomainClassifier.from_arrays(arrays).logits(X.mean(axis=0)[None])
