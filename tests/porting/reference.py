"""The castings method in plain NumPy, and the small input on which ports of it are compared.

Nothing here imports the package. ``python -m tests.porting.reference`` writes ``input.npz`` and
``expected.npz`` beside this file; docs/porting.md explains every array in them.
"""

import math
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

HERE = Path(__file__).parent
INPUT, EXPECTED = HERE / "input.npz", HERE / "expected.npz"

# The settings of the comparison; docs/porting.md repeats them.
N_COMPONENTS = 3
N_CLUSTERS = 4
N_SUBSETS = 5
N_DRAWN = 20  # N_BD: 110 % of the 18 defects, rounded up.
DRAW_SEED = 12
CLASS_WEIGHTS = (0.4, 1.6)  # 72 normal and 18 defect: inverse frequencies, scaled to a mean of 1.
GAMMA = 2.0
SEESAW_P, SEESAW_Q = 0.8, 2.0
BATCH, N_STEPS = 16, 5


def make_input() -> dict[str, np.ndarray]:
    """72 normal samples in four well-separated clusters, 18 defects; logits; an image; grey pixels."""
    rng = np.random.default_rng(2022)
    centres = 8.0 * np.eye(12)[:4]
    sizes = (34, 20, 12, 6)
    normal = np.concatenate(
        [centre + rng.normal(size=(n, 12)) for centre, n in zip(centres, sizes, strict=True)]
    )
    defect = rng.normal(size=(18, 12)) - 2.0
    order = rng.permutation(90)
    features = np.concatenate([normal, defect])[order].astype(np.float32)
    labels = np.array([0] * 72 + [1] * 18, dtype=np.int32)[order]
    return {
        "features": features,
        "labels": labels,
        "logits": (2 * rng.normal(size=(3, 6, 2))).astype(np.float32),
        "targets": np.array([0, 1, 0, 0, 1, 0], dtype=np.int32),
        "image": rng.normal(size=(1, 32, 32)).astype(np.float32),
        "pixels": rng.integers(0, 256, size=(2, 64, 64), dtype=np.uint8),
    }


def whiten(features: np.ndarray, n_components: int) -> np.ndarray:
    """PCA, each component scaled to variance 1 (n - 1 in the denominator), each row to length 1."""
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    components = centred @ axes[:n_components].T
    components /= components.std(axis=0, ddof=1)
    return components / np.linalg.norm(components, axis=1, keepdims=True)


def first_seen(clusters: np.ndarray) -> np.ndarray:
    """Clusters numbered 0, 1, ... in the order of their first sample."""
    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=int)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def lloyd(features: np.ndarray, n_clusters: int) -> np.ndarray:
    """k-means from centres that are far apart: on separated clusters, what any good start ends in."""
    centres = features[:1]
    while len(centres) < n_clusters:
        distance = ((features[:, None] - centres) ** 2).sum(axis=2).min(axis=1)
        centres = np.vstack([centres, features[distance.argmax()]])
    for _ in range(50):
        clusters = ((features[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.stack([features[clusters == k].mean(axis=0) for k in range(n_clusters)])
    return first_seen(clusters)


def shares(sizes: list[int], total: int, rng: np.random.Generator) -> list[int]:
    """How many of ``total`` samples each cluster gives in one draw: systematic sampling.

    The clusters lie one after the other, in a random order, on a line of length ``total``; marks stand
    at every whole number plus one random offset, and a cluster gives as many samples as it has marks.
    """
    n = sum(sizes)
    cycle = math.ceil(n / total)
    order = rng.permutation(len(sizes))
    offset = int(rng.integers(n)) + int(rng.permutation(cycle)[0]) * n
    given, place = [0] * len(sizes), 0
    for cluster in order:
        before, place = place, place + int(sizes[cluster]) * total
        first, last = (before * cycle + offset) // (n * cycle), (place * cycle + offset) // (n * cycle)
        given[cluster] = last - first
    return given


def draw(clusters: np.ndarray, total: int, n_draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``n_draws`` independent draws: (n_draws, K) samples of each cluster, (n_draws, total) sorted rows."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(clusters == k) for k in range(clusters.max() + 1)]
    counts = [shares([len(m) for m in members], total, rng) for _ in range(n_draws)]
    rows = []
    for numbers in counts:
        picks = [rng.choice(m, n, replace=False) for m, n in zip(members, numbers, strict=True)]
        rows.append(np.sort(np.concatenate(picks)))
    return np.array(counts), np.array(rows)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """In float64, along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def cross_entropy(logits: np.ndarray, targets: np.ndarray, weights=(1.0, 1.0)) -> float:
    """Weighted sum over the batch, divided by the sum of the targets' weights."""
    w = np.asarray(weights)[targets]
    own = log_softmax(logits)[np.arange(len(targets)), targets]
    return float(-(w * own).sum() / w.sum())


def focal(logits: np.ndarray, targets: np.ndarray, gamma: float) -> float:
    """Mean of ``-(1 - p)^gamma log p``."""
    own = log_softmax(logits)[np.arange(len(targets)), targets]
    return float(-((1 - np.exp(own)) ** gamma * own).mean())


def seesaw(logits: np.ndarray, targets: np.ndarray, seen: np.ndarray, p: float, q: float) -> float:
    """``seen``: samples of each class so far, this batch included."""
    s = np.exp(log_softmax(logits))
    total = 0.0
    for row, i in enumerate(targets):
        z = np.exp(logits[row].astype(np.float64))
        factor = np.minimum(1, seen / seen[i]) ** p * np.maximum(1, s[row] / s[row, i]) ** q
        factor[i] = 1.0
        total -= math.log(z[i] / (factor * z).sum())
    return total / len(targets)


def auc(targets: np.ndarray, scores: np.ndarray) -> float:
    """Share of the pairs of a defect and a normal image in which the defect's score is higher; a tie
    counts half."""
    difference = scores[targets == 1][:, None] - scores[targets == 0]
    return float((np.sign(difference) + 1).mean() / 2)


def precision_recall(targets: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Of the class defect, reported from a score of 0.5 up."""
    hits = ((scores >= 0.5) & (targets == 1)).sum()
    return float(hits / (scores >= 0.5).sum()), float(hits / (targets == 1).sum())


# MobileNetV2 with width 0.35, one grey channel in, two classes out.


def pattern(shape: tuple[int, ...], layer: int) -> np.ndarray:
    """Numbers from -1 to 1 that look random: ``(31 i^2 + 7919 i + 104729 layer) mod 1009``, i the flat
    index (row-major), divided by 504, minus 1."""
    i = np.arange(math.prod(shape), dtype=np.int64)
    return ((31 * i * i + 7919 * i + 104729 * layer) % 1009 / 504 - 1).reshape(shape)


class Weights:
    """Weights that every framework can make, by the number of the layer (0, 1, 2, ... as they are run)."""

    def __init__(self) -> None:
        self.layer = 0

    def conv(self, shape: tuple[int, ...]) -> np.ndarray:
        """(out, in / groups, height, width)."""
        weight = math.sqrt(6 / math.prod(shape[1:])) * pattern(shape, self.layer)
        self.layer += 1
        return weight

    def norm(self, channels: int) -> tuple[np.ndarray, ...]:
        """Scale, shift, moving mean, moving variance."""
        w = pattern((channels,), self.layer)
        self.layer += 1
        return 1 + 0.3 * w, 0.1 * w, 0.1 * w, 1 + 0.3 * w

    def dense(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Weight (out, in) and bias."""
        weight, bias = pattern(shape, self.layer), 0.1 * pattern(shape[:1], self.layer)
        self.layer += 1
        return math.sqrt(6 / shape[1]) * weight, bias


def convolve(x: np.ndarray, weight: np.ndarray, stride: int, depthwise: bool) -> np.ndarray:
    """(C, H, W) -> (O, H', W'), padded by half the kernel's side."""
    k = weight.shape[2]
    pad = k // 2
    windows = sliding_window_view(np.pad(x, ((0, 0), (pad, pad), (pad, pad))), (k, k), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    if depthwise:
        return np.einsum("chwij,cij->chw", windows, weight[:, 0])
    return np.einsum("chwij,ocij->ohw", windows, weight)


def normalise(x: np.ndarray, weights: Weights) -> np.ndarray:
    """Batch norm with its moving mean and variance; epsilon 1e-5."""
    gamma, beta, mean, variance = (v[:, None, None] for v in weights.norm(len(x)))
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def relu6(x: np.ndarray) -> np.ndarray:
    """Between 0 and 6."""
    return np.clip(x, 0, 6)


# Expansion, channels at width 0.35, repeats, stride of the first.
BLOCKS = (
    (1, 8, 1, 1),
    (6, 8, 2, 2),
    (6, 16, 3, 2),
    (6, 24, 4, 2),
    (6, 32, 3, 1),
    (6, 56, 3, 2),
    (6, 112, 1, 1),
)


def image_features(image: np.ndarray, weights: Weights) -> np.ndarray:
    """(1, H, W) -> 1280 numbers: the last maps, averaged over height and width."""
    x = convolve(image.astype(np.float64), weights.conv((16, 1, 3, 3)), 2, False)
    x = relu6(normalise(x, weights))
    for expansion, out, repeats, first_stride in BLOCKS:
        for i in range(repeats):
            start, stride = x, first_stride if i == 0 else 1
            channels = len(x)
            hidden = channels * expansion
            if expansion != 1:
                x = convolve(x, weights.conv((hidden, channels, 1, 1)), 1, False)
                x = relu6(normalise(x, weights))
            x = convolve(x, weights.conv((hidden, 1, 3, 3)), stride, True)
            x = relu6(normalise(x, weights))
            x = normalise(convolve(x, weights.conv((out, hidden, 1, 1)), 1, False), weights)
            if stride == 1 and channels == out:
                x = x + start
    x = relu6(normalise(convolve(x, weights.conv((1280, len(x), 1, 1)), 1, False), weights))
    return x.mean(axis=(1, 2))


def mobilenet_v2(image: np.ndarray) -> np.ndarray:
    """(1, 32, 32) -> 2 logits."""
    weights = Weights()
    pooled = image_features(image, weights)
    weight, bias = weights.dense((2, 1280))
    return weight @ pooled + bias


def pixels_to_input(pixels: np.ndarray) -> np.ndarray:
    """Grey pixels of 8 bits: 0 to 1, minus ImageNet's mean over the colours, divided by its deviation."""
    return (pixels / 255 - 0.449) / 0.226


def adam(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weight (2, D) and bias (2,) of one linear layer, trained from zeros on one batch after the other.

    Cross-entropy; Adam with a rate of 0.001, moments of 0.9 and 0.999, epsilon 1e-8 (Kingma and Ba 2015).
    """
    x = np.column_stack([features.astype(np.float64), np.ones(len(features))])
    w = np.zeros((2, x.shape[1]))
    mean, square = np.zeros_like(w), np.zeros_like(w)
    for step in range(1, N_STEPS + 1):
        rows = slice((step - 1) * BATCH, step * BATCH)
        error = np.exp(log_softmax(x[rows] @ w.T)) - np.eye(2)[labels[rows]]
        gradient = error.T @ x[rows] / BATCH
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        w -= 0.001 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return w[:, :-1], w[:, -1]


def make_expected(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a port must reproduce."""
    normals = np.flatnonzero(given["labels"] == 0)
    defects = np.flatnonzero(given["labels"] == 1)
    whitened = whiten(given["features"][normals], N_COMPONENTS)
    clusters = lloyd(whitened, N_CLUSTERS)
    counts, rows = draw(clusters, N_DRAWN, N_SUBSETS, DRAW_SEED)
    logits, targets = given["logits"][0], given["targets"]
    seen = np.bincount(targets, minlength=2).astype(float)
    subsets = [np.sort(np.concatenate([normals[r], defects])) for r in rows]
    fused = np.exp(log_softmax(given["logits"])).mean(axis=0)
    precision, recall = precision_recall(targets, fused[:, 1])
    weight, bias = adam(given["features"], given["labels"])
    inputs = pixels_to_input(given["pixels"])[:, None]
    return {
        "image_features": np.array([image_features(image, Weights()) for image in inputs]),
        "whitened": whitened,
        "clusters": clusters,
        "draw_counts": counts,
        "draws": rows,
        "subsets": np.array(subsets),
        "loss_cross_entropy": cross_entropy(logits, targets),
        "loss_weighted": cross_entropy(logits, targets, CLASS_WEIGHTS),
        "loss_focal": focal(logits, targets, GAMMA),
        "loss_seesaw": seesaw(logits, targets, seen, SEESAW_P, SEESAW_Q),
        "loss_seesaw_second": seesaw(given["logits"][1], targets, 2 * seen, SEESAW_P, SEESAW_Q),
        "network_logits": mobilenet_v2(given["image"]),
        "adam_weight": weight,
        "adam_bias": bias,
        "fused": fused,
        "auc": auc(targets, fused[:, 1]),
        "precision": precision,
        "recall": recall,
    }


if __name__ == "__main__":
    made = make_input()
    np.savez_compressed(INPUT, **made)
    np.savez_compressed(EXPECTED, **make_expected(made))
    for file in (INPUT, EXPECTED):
        print(f"{file.name}: {file.stat().st_size} bytes")
