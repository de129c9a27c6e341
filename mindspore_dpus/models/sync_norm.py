"""Batch norms over all devices of a data-parallel training. MindSpore's own is for Ascend only."""

from mindspore import Tensor, nn, ops


class SyncNorm(nn.Cell):
    """The primitive that stands inside an ``nn.BatchNorm2d``, over the parts that all devices have of a
    batch: what one device would make of the whole.

    Args:
        eps: added to the variance.
        momentum: share of the new statistics in the running ones.
        n_devices: how many have an equal part of the batch.
    """

    def __init__(self, eps: float, momentum: float, n_devices: int) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.n_devices = n_devices
        # Its gradient adds up what all devices' losses owe to this one's part.
        self.add_up = ops.AllReduce(ops.ReduceOp.SUM)

    def construct(
        self, x: Tensor, gamma: Tensor, beta: Tensor, running_mean: Tensor, running_variance: Tensor
    ) -> tuple[Tensor]:
        shape = (1, -1, 1, 1)
        mean = self.add_up(x.mean((0, 2, 3))) / self.n_devices
        centred = x - mean.reshape(shape)
        variance = self.add_up((centred * centred).mean((0, 2, 3))) / self.n_devices
        number = self.n_devices * x.shape[0] * x.shape[2] * x.shape[3]
        unbiased = variance * (number / max(number - 1, 1))
        ops.assign(running_mean, running_mean + self.momentum * (mean - running_mean))
        ops.assign(running_variance, running_variance + self.momentum * (unbiased - running_variance))
        scale = gamma / ops.sqrt(variance + self.eps)
        return (centred * scale.reshape(shape) + beta.reshape(shape),)


def use_sync_norms(net: nn.Cell, n_devices: int) -> None:
    """Let the batch norms of a network, ours or mindcv's, see whole batches while they are trained.

    Args:
        net: the network.
        n_devices: how many train it together.
    """
    for _, cell in net.cells_and_names():
        if isinstance(cell, nn.BatchNorm2d):
            # Under this name, MindSpore keeps the share of the new statistics.
            cell.bn_train = SyncNorm(cell.eps, cell.momentum, n_devices)
