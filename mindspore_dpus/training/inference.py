"""Softmax outputs of one network."""

import numpy as np
from mindspore import nn, ops

from mindspore_dpus.data.loader import BatchSource, batches
from mindspore_dpus.models.freeze import set_train

PREDICT_BATCH = 64


def predict(net: nn.Cell, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Softmax outputs of one network, without augmentation.

    Args:
        net: images -> logits.
        images: (N, H, W, C) array of all cached images.
        rows: (M,) which of them.

    Returns:
        (M, C) float32, rows sum to 1.
    """
    set_train(net, False)
    source = BatchSource(images, rows, np.zeros(len(rows)), PREDICT_BATCH)
    outputs = [ops.softmax(net(batch), axis=1).asnumpy() for batch, _ in batches(source)]
    return np.concatenate(outputs)
