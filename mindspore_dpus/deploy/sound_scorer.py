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
from mindspore_dpus.detectors.archive import load_detectors
from mindspore_dpus.detectors.domain_classifier import DomainClassifier
from mindspore_dpus.detectors.domains import target_probability
from mindspore_dpus.detectors.standardise import Moments
from mindspore_dpus.detectors.systems import Model, System, clip_scores, combined
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
        probability: of the target domain: the mean over the systems' vectors.
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
                    System(Model(s["vectors"], s["detector"], s["size"], s["domains"]), s["aggregator"])
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
        chances: dict[str, np.ndarray] = {}
        for name in dict.fromkeys(s.model.vectors for s in systems):
            made = self._vectors(name, place, waveform, log_mels, about["has_target"])
            vectors[name], chances[name] = made
        segment_scores: dict[Model, dict[str, np.ndarray]] = {}
        clip, segments = [], []
        for system in systems:
            model = system.model
            if model not in segment_scores:
                prefix = f"{place}/{model.name}/"
                segment_scores[model] = {
                    key.removeprefix(prefix): detector.score(vectors[model.vectors])
                    for key, detector in self._detectors.items()
                    if key.startswith(prefix)
                }
            roles = segment_scores[model]
            moments = {r: Moments(*m) for r, m in about["moments"][system.name].items()}
            chance = chances[model.vectors]
            clip.append(combined(clip_scores(system, roles, one)[1], moments, chance)[0])
            segments.append(combined(clip_scores(system, roles, each)[1], moments, np.repeat(chance, n)))
        return SoundScore(
            float(np.mean(clip)),
            float(about["threshold"]),
            float(np.mean([chance[0] for chance in chances.values()])),
            np.mean(segments, axis=0),
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
        """Vectors of the segments (S, D), and the clip's probability of the target domain (1,)."""
        if name in FEATURE_SETS:
            if name not in self.features:
                self.features[name] = SoundFeatures(name, self.front.audio)
            projection = Projection.from_arrays(self._arrays(f"{place}/{name}/projection/"))
            X = self.features[name](waveform, log_mels)
            arrays = self._arrays(f"{place}/{name}/domain/")
            if not arrays:
                return projection.transform(X), np.zeros(1)
            # As in training, where the mean of the raw vectors' projections is the classifier's input.
            mean = projection.transform(X).mean(axis=0)
            logit = DomainClassifier.from_arrays(arrays).logits(mean[None])
            return projection.transform(X), target_probability(logit, self.kappa)
        if self.embedder is None:
            raise UserError(f"the extractor {name} is missing")
        machine = place.partition("/")[0]
        X = self.embedder.embed(name, machine, network_input(log_mels))
        head = self.scaling.get(f"head/{name}/{machine}")
        if head is None or not has_target:
            return X, np.zeros(1)
        return X, target_probability((X @ head).mean(keepdims=True), self.kappa)
