"""Distribution-preserving under-sampling as an imbalanced-learn sampler. No MindSpore here."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from imblearn.under_sampling.base import BaseUnderSampler
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from mindspore_dpus.features.settings import DEFAULT_COMPONENTS
from mindspore_dpus.features.streamed import dense_rows
from mindspore_dpus.features.whitening import EXACT_UP_TO, whiten
from mindspore_dpus.sampling.clusters import cluster_samples
from mindspore_dpus.sampling.draws import draw_clusters

# "N_BD slightly larger than N_d" (Eq. 2), in whole numbers: ten per cent.
AUTO_PERCENT = 110


def draw_size(counts: Mapping[Hashable, int], label: Hashable, proportion: float | str | None) -> int:
    """N_BD, the samples of one class in one draw (Eq. 2).

    Args:
        counts: class -> number of its samples.
        label: the class that is drawn.
        proportion: p, ``"auto"``, or None for as many as the smallest class has.

    Raises:
        ValueError: the proportion of that class is less than one sample.
    """
    n, smallest = counts[label], min(counts.values())
    if proportion is None:
        return smallest
    if proportion == "auto":
        return min(n, math.ceil(smallest * AUTO_PERCENT / 100))
    total = round(n * proportion)
    if total == 0:
        raise ValueError(
            f"proportion={proportion} of the {n} samples of class {label!r} is none; choose a larger one"
        )
    return total


class DistributionPreservingUnderSampler(BaseUnderSampler):
    """Under-sample large classes so that every subset keeps the distribution of the whole class.

    Each class that is to shrink is clustered into clusters in feature space, and the same share of every
    cluster is drawn, several times. A draw and all samples of the classes that stay whole make one
    balanced set.

    Args:
        n_clusters: K, clusters of each class that is drawn; fewer, with a warning, where it has fewer
            distinct samples. ``"auto"``: the K of 2 to 10 with the largest mean silhouette, class by
            class.
        proportion: p, share of the class in one draw. ``"auto"``: the smallest for which a draw is 10 %
            larger than the smallest class (Eq. 2). None: the numbers that ``sampling_strategy`` gives,
            by default as many as the smallest class has. None is the default because imbalanced-learn's
            own checks ask for exact balance.
        n_subsets: t, number of draws.
        draw: ``"independent"`` (the paper), or ``"covering"``: no sample of a cluster comes twice before
            all of that cluster have come once, and ``ceil(N / N_BD)`` subsets use every sample.
        n_components: PCA dimensions before whitening and L2 normalisation, at most one for 10 samples of
            a class (the paper has no such limit: ``whiten``); None clusters ``X`` as it is.
        n_init: restarts of k-means++.
        clusterer: what clusters each class instead of k-means++: any scikit-learn estimator whose
            ``fit(X)`` leaves ``labels_``, such as ``KMeans(8)`` or ``AgglomerativeClustering()``. It is
            cloned; ``n_clusters``, ``n_init`` and ``exact_up_to`` then say nothing of the clustering.
        exact_up_to: samples of a class up to which PCA and k-means are exact, on float64 copies of them.
            Larger classes are never copied (but into their principal components, float32): the PCA's
            covariance is summed up in blocks, and k-means takes mini-batches.
        sampling_strategy: which classes are drawn, as everywhere in imbalanced-learn.
        random_state: seed of PCA, clustering and draws.

    Attributes:
        sampling_strategy_: class -> number of samples in one draw.
        n_clusters_: class -> K, the number of its clusters; no entry for classes that stay whole.
        labels_: (N,) int, cluster of each sample within its class; -1 in classes that stay whole.
        subsets_: list of t sorted index arrays into ``X``, each one balanced set (Eq. 1).
        sample_indices_: the first of them; ``fit_resample`` returns its samples.

    Example:
        >>> import numpy as np
        >>> from mindspore_dpus.sampling import DistributionPreservingUnderSampler
        >>> features = np.random.default_rng(0).normal(size=(120, 4))
        >>> labels = np.array(["normal"] * 100 + ["defect"] * 20)
        >>> sampler = DistributionPreservingUnderSampler(n_clusters=2, n_components=2, random_state=0)
        >>> X, y = sampler.fit_resample(features, labels)
        >>> X.shape, len(sampler.subsets_)
        ((40, 4), 5)

    Source: paper, section 2.2; k-means++ of Arthur and Vassilvitskii 2007; silhouette of Rousseeuw 1987;
        mini-batch k-means of Sculley 2010.
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseUnderSampler._parameter_constraints,
        "n_clusters": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "proportion": [Interval(Real, 0, 1, closed="right"), StrOptions({"auto"}), None],
        "n_subsets": [Interval(Integral, 1, None, closed="left")],
        "draw": [StrOptions({"independent", "covering"})],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "clusterer": [HasMethods(["fit"]), None],
        "exact_up_to": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        n_clusters: int | str = 5,
        proportion: float | str | None = None,
        n_subsets: int = 5,
        draw: str = "independent",
        n_components: int | None = DEFAULT_COMPONENTS,
        n_init: int = 10,
        clusterer=None,
        exact_up_to: int = EXACT_UP_TO,
        sampling_strategy="auto",
        random_state=None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.n_clusters = n_clusters
        self.proportion = proportion
        self.n_subsets = n_subsets
        self.draw = draw
        self.n_components = n_components
        self.n_init = n_init
        self.clusterer = clusterer
        self.exact_up_to = exact_up_to
        self.random_state = random_state

    def _fit_resample(self, X, y):
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        rng = np.random.default_rng(seed)
        counts = Counter(y.tolist())
        self.sampling_strategy_ = {
            label: self._size(counts, label, n) for label, n in self.sampling_strategy_.items()
        }
        self.labels_ = np.full(len(y), -1)
        self.n_clusters_ = {}
        whole = np.flatnonzero(~np.isin(y, list(self.sampling_strategy_)))
        parts = [[whole] for _ in range(self.n_subsets)]
        for label, total in self.sampling_strategy_.items():
            members = np.flatnonzero(y == label)
            clusters = self._cluster(X, members, seed)
            self.labels_[members] = clusters
            self.n_clusters_[label] = len(np.unique(clusters))
            draws = draw_clusters(clusters, total, self.n_subsets, self.draw, rng)
            for part, drawn in zip(parts, draws, strict=True):
                part.append(members[drawn])
        self.subsets_ = [np.sort(np.concatenate(part)) for part in parts]
        self.sample_indices_ = self.subsets_[0]
        return _safe_indexing(X, self.sample_indices_), _safe_indexing(y, self.sample_indices_)

    def _size(self, counts: Counter, label: object, target: int) -> int:
        """The samples of one class in one draw, as ``proportion`` or ``sampling_strategy`` says it."""
        if self.proportion is None:
            if target == 0:
                raise ValueError(f"sampling_strategy draws no sample of class {label!r}")
            return target
        if not isinstance(self.sampling_strategy, str):
            raise ValueError(
                "give the size of a draw once: as proportion, or as numbers in sampling_strategy"
            )
        return draw_size(counts, label, self.proportion)

    def _cluster(self, X, members: np.ndarray, seed: int) -> np.ndarray:
        """Cluster the samples of one class: (n,) cluster labels."""
        if self.n_components is None:
            features = dense_rows(X, members)
            if features.dtype.kind != "f":
                features = features.astype(np.float64)
        else:
            features = whiten(X, self.n_components, seed, members, self.exact_up_to)
        if self.clusterer is not None:
            return np.asarray(clone(self.clusterer).fit(features).labels_)
        return cluster_samples(features, self.n_clusters, self.n_init, seed, self.exact_up_to)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.sampler_tags.sample_indices = True
        return tags
