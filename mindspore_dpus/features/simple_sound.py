"""Vectors without a network: statistics of each mel band over time. A baseline that any trained extractor
has to beat."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.front_end import FrontEnd
from mindspore_dpus.data.audio.settings import AudioSettings


def _mean(log_mels: np.ndarray) -> np.ndarray:
    return log_mels.mean(axis=-1, dtype=np.float64)


def _deviation(log_mels: np.ndarray) -> np.ndarray:
    return log_mels.std(axis=-1, dtype=np.float64)


def _change(log_mels: np.ndarray) -> np.ndarray:
    return np.diff(log_mels, axis=-1).std(axis=-1, dtype=np.float64)


# (..., F, T) -> (..., F) over time: the mean; the standard deviation; that of the difference of neighbouring
# frames, which short knocks and fast modulations raise and slow drift does not.
STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "deviation": _deviation,
    "change": _change,
}


def statistics(log_mels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Statistics over time of every band.

    Args:
        log_mels: (..., F, T) of segments or clips, in dB.
        names: keys of ``STATISTICS``.

    Returns:
        (..., len(names) * F) float64, one statistic behind the other.
    """
    return np.concatenate([STATISTICS[name](log_mels) for name in names], axis=-1)


class Window(NamedTuple):
    """A spectrum of its own beside the one that ``audio`` describes: seconds, seconds, and mel bands."""

    window_seconds: float
    hop_seconds: float
    mel_bands: int


class FeatureSet(NamedTuple):
    """A row of ``FEATURE_SETS``.

    Attributes:
        statistics: keys of ``STATISTICS``.
        windows: of spectra besides that of the section ``audio``; the same statistics of each.
        level: whether the clip's level stands behind them, one number, the same for all segments.
    """

    statistics: tuple[str, ...]
    windows: tuple[Window, ...] = ()
    level: bool = False


SIMPLE = "simple"
FEATURE_SETS = {
    SIMPLE: FeatureSet(("mean", "deviation")),
    # A knock of some milliseconds is lost in a window of 128 ms, and a hum's pitch in one of 32 ms.
    "detailed": FeatureSet(("mean", "deviation", "change"), (Window(0.032, 0.008, 40),)),
    # Spectra are of standardised waveforms, which know nothing of how loud a machine is. A kind of its own:
    # among hundreds of numbers, one counts for little.
    "level": FeatureSet((), level=True),
}


def level_db(waveform: np.ndarray) -> float:
    """Level of a clip around its mean, in dB of full scale; it means something where the recorder's gain
    stays the same.

    Args:
        waveform: (n,) floating point, not silent.
    """
    return 10 * float(np.log10(np.var(waveform, dtype=np.float64)))


class SoundFeatures:
    """A clip -> vectors of its segments.

    Args:
        name: key of ``FEATURE_SETS``.
        audio: the section; it says how clips are cut into segments, and the first spectrum.

    Raises:
        UserError: the name is unknown, or a window does not go with the rate.
    """

    def __init__(self, name: str, audio: AudioSettings) -> None:
        if name not in FEATURE_SETS:
            raise UserError(f"features {name!r} are unknown; there are {', '.join(FEATURE_SETS)}")
        self.set = FEATURE_SETS[name]
        settings = [dataclasses.replace(audio, **window._asdict()) for window in self.set.windows]
        self.front = FrontEnd(audio)
        try:
            self.others = [FrontEnd(one) for one in settings]
        except UserError as error:
            raise UserError(f"features {name}: {error}") from None

    def __call__(self, waveform: np.ndarray, log_mels: np.ndarray | None = None) -> np.ndarray:
        """Vectors of a clip's segments.

        Args:
            waveform: (n,) float32 at ``audio.rate``.
            log_mels: (S, F, T) of its segments by ``audio``, where they are at hand.

        Returns:
            (S, D) float64.

        Raises:
            UserError: the clip is silent or too short.
        """
        first = self.front(waveform) if log_mels is None else log_mels
        pictures = [first, *(front(waveform) for front in self.others)] if self.set.statistics else []
        parts = [statistics(p, self.set.statistics) for p in pictures]
        if self.set.level:
            parts.append(np.full((len(first), 1), level_db(waveform)))
        return np.concatenate(parts, axis=-1)


class Projection:
    """Scaling and principal components, fitted on normals; applying them needs NumPy alone.

    Args:
        n_components: principal components; None: none, the numbers stay as they are (or scaled).
            A detector sees nothing of what an anomaly changes outside them.
        scaled: divide every number by its deviation over the normals before.
    """

    def __init__(self, n_components: int | None, scaled: bool) -> None:
        if n_components is not None and n_components < 1:
            raise UserError(
                f"simple features: {n_components} principal components; at least 1 are needed"
            )
        self.n_components = n_components
        self.scaled = scaled

    def fit(self, X: np.ndarray) -> Self:
        """Learn means, deviations and components.

        Args:
            X: (N, D) of normals.

        Raises:
            UserError: there are fewer vectors, or numbers in one, than components.
        """
        X = np.asarray(X, np.float64)
        if self.n_components is not None and self.n_components > min(len(X) - 1, X.shape[1]):
            raise UserError(
                f"simple features: {self.n_components} principal components need as many numbers in a "
                f"vector and one vector more; there are {len(X)} vectors of {X.shape[1]}"
            )
        self.mean = X.mean(axis=0)
        deviation = X.std(axis=0)
        # A number that never changes among normals (a band without power) is left as it is.
        steady = deviation <= 1e-9 * np.maximum(np.abs(self.mean), 1)
        self.scale = np.where(steady, 1.0, deviation) if self.scaled else np.ones(X.shape[1])
        self.components = np.empty((X.shape[1], 0))
        if self.n_components is not None:
            from sklearn.decomposition import PCA

            pca = PCA(self.n_components, svd_solver="full").fit((X - self.mean) / self.scale)
            self.components = np.ascontiguousarray(pca.components_.T)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, n_components), or (N, D) without components; float64.

        Raises:
            UserError: D is not that of the normals.
        """
        X = np.asarray(X, np.float64)
        if X.shape[1] != len(self.mean):
            raise UserError(
                f"simple features: vectors of {X.shape[1]} numbers, but the projection was fitted on "
                f"vectors of {len(self.mean)}"
            )
        scaled = (X - self.mean) / self.scale
        return scaled @ self.components if self.components.size else scaled

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that ``transform`` needs."""
        return {"mean": self.mean, "scale": self.scale, "components": self.components}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The projection that ``to_arrays`` was called on."""
        missing = [key for key in ("mean", "scale", "components") if key not in arrays]
        if missing:
            raise UserError(f"simple features: the array {missing[0]!r} is missing")
        components = np.ascontiguousarray(arrays["components"])
        projection = cls(components.shape[1] or None, bool((arrays["scale"] != 1).any()))
        projection.mean, projection.scale = arrays["mean"], arrays["scale"]
        projection.components = components
        return projection
