"""The peer of a whole training: what a plain torch script with a DataLoader does for the same result."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from sklearn.preprocessing import normalize
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from benchmarking.torch_nets import create_net
from benchmarking.workloads import FORWARD_BATCH, NUM_CLASSES, TrainingWork

# Of grey images in 0..1, as in data.loader, which imports MindSpore.
MEAN, STD = 0.449, 0.226


def normalise(images: np.ndarray) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32 in torch's channels-last layout."""
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    batch = batch.mul_(1 / (STD * 255)).sub_(MEAN / STD)
    return batch.contiguous(memory_format=torch.channels_last)


@dataclass
class Images(Dataset):
    """Decoded images (N, H, W, 1) uint8 and labels (N,) int64, batch by batch."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        return normalise(self.images[rows]), torch.from_numpy(self.labels[rows])


def train_ensemble(root: Path, work: TrainingWork) -> dict[str, float]:
    """From files to the metrics of the fused ensemble.

    Args:
        root: a folder of simulated radiographs and their ``manifest.csv``.
        work: how much.

    Returns:
        ``auc``, ``precision`` and ``recall`` on the test images.
    """
    table = pd.read_csv(root / "manifest.csv")
    labels = (table["label"] == "defect").to_numpy(np.int64)
    data = Images(decode(root, table["path"], work.image_size), labels)
    split = table["split"].to_numpy()
    normals = np.flatnonzero((split == "train") & (labels == 0))
    defects = np.flatnonzero((split == "train") & (labels == 1))
    val, test = np.flatnonzero(split == "val"), np.flatnonzero(split == "test")
    extractor = create_net("resnet18", NUM_CLASSES, in_channels=1).eval()
    groups = cluster(forward(extractor.pooled, data, normals), work)
    rng = np.random.default_rng(0)
    outputs = []
    for _ in range(work.n_subsets):
        share = 1.1 * len(defects) / len(normals)
        drawn = [
            rng.choice(normals[groups == g], round(share * (groups == g).sum()), replace=False)
            for g in range(work.n_clusters)
        ]
        net = train_member(data, np.concatenate([*drawn, defects]), val, work)
        outputs.append(functional.softmax(forward(net, data, test), 1).numpy())
    score = np.mean(outputs, 0)[:, 1]
    predicted = score >= 0.5
    return {
        "auc": roc_auc_score(labels[test], score),
        "precision": precision_score(labels[test], predicted, zero_division=0),
        "recall": recall_score(labels[test], predicted),
    }


def decode(root: Path, paths: pd.Series, size: int) -> np.ndarray:
    """Every file, resized: (N, size, size, 1) uint8."""
    images = [cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE) for path in paths]
    return np.stack([cv2.resize(i, (size, size), interpolation=cv2.INTER_AREA) for i in images])[
        ..., None
    ]


@torch.inference_mode()
def forward(network: nn.Module, data: Images, rows: np.ndarray) -> Tensor:
    """A network's outputs for these rows."""
    batches = [rows[i : i + FORWARD_BATCH] for i in range(0, len(rows), FORWARD_BATCH)]
    return torch.cat([network(data[batch][0]) for batch in batches])


def cluster(features: Tensor, work: TrainingWork) -> np.ndarray:
    """PCA, whitened, L2-normalised, k-means: the group of each row."""
    whitened = PCA(work.n_components, whiten=True, random_state=0).fit_transform(features.numpy())
    kmeans = KMeans(work.n_clusters, n_init=10, random_state=0)
    return kmeans.fit_predict(normalize(whitened))


def train_member(data: Images, rows: np.ndarray, val: np.ndarray, work: TrainingWork) -> nn.Module:
    """One classifier; the epoch that is best on validation."""
    net = create_net(work.backbone, NUM_CLASSES, in_channels=1)
    optimizer = torch.optim.Adam(net.parameters(), lr=work.learning_rate)
    loader = DataLoader(
        Images(data.images[rows], data.labels[rows]),
        sampler=torch.utils.data.BatchSampler(
            torch.utils.data.RandomSampler(rows), work.batch_size, drop_last=True
        ),
        batch_size=None,
    )
    best, state = -1.0, {}
    for _ in range(work.epochs):
        net.train()
        for images, labels in loader:
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
        net.eval()
        auc = roc_auc_score(data.labels[val], functional.softmax(forward(net, data, val), 1)[:, 1])
        if auc > best:
            best, state = auc, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(state)
    return net.eval()
