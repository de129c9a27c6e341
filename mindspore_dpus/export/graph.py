"""What both formats share: the members made ready, and what the graph does around them."""

from collections.abc import Callable
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.loader import IMAGENET_MEAN, IMAGENET_STD
from mindspore_dpus.models.fold import fold_batch_norms, replace_cell


@dataclass
class Members:
    """Trained networks, their batch norms folded (in place).

    Args:
        nets: name -> logits of normalised images, in PyNative mode and without kernels of our own.
        spec: of the images.
        n_classes: C.
    """

    nets: dict[str, nn.Cell]
    spec: ImageSettings
    n_classes: int

    def __post_init__(self) -> None:
        shape = (self.spec.channels, self.spec.size, self.spec.size)
        images = Tensor(np.random.default_rng(0).standard_normal((1, *shape)), ms.float32)
        for net in self.nets.values():
            fold_batch_norms(net, shape)
            pad_before_pooling(net, images)
            net.set_train(False)

    @property
    def scale(self) -> np.ndarray:
        """(C,) float32 by which a stored value is multiplied (``data.loader.normalise``)."""
        std = np.array(IMAGENET_STD[self.spec.channels], np.float32)
        return 1.0 / (std * np.iinfo(self.spec.dtype).max)

    @property
    def shift(self) -> np.ndarray:
        """(C,) float32 that is then subtracted."""
        mean = np.array(IMAGENET_MEAN[self.spec.channels], np.float32)
        return mean / np.array(IMAGENET_STD[self.spec.channels], np.float32)


class FusedEnsemble(nn.Cell):
    """Normalisation, members, softmax and mean (Eq. 3) as one Cell.

    Args:
        members: what it is made of.

    Input (N, H, W, C) uint8 or uint16; output (N, C) probabilities and (N, t, C) of each member.
    """

    def __init__(self, members: Members) -> None:
        super().__init__()
        self.nets = nn.CellList(list(members.nets.values()))
        self.scale = Tensor(members.scale)
        self.shift = Tensor(members.shift)
        # ``ops.softmax`` makes a graph whose batch cannot be left open (MindSpore 2.8).
        self.softmax = ops.Softmax(axis=1)

    def construct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = (images.astype(ms.float32) * self.scale - self.shift).transpose(0, 3, 1, 2)
        outputs = ()
        for net in self.nets:
            outputs += (self.softmax(net(x)),)
        members = ops.stack(outputs, 1)
        return members.mean(1), members


class _PaddedPool(nn.Cell):
    """Max pooling with padding, for inputs of 0 and above, of operators that both formats know."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        margin = pool.padding[-2:]
        self.pad = ops.Pad(((0, 0), (0, 0), (margin[0],) * 2, (margin[1],) * 2))
        self.pool = ops.MaxPool(pool.kernel_size, pool.stride, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        return self.pool(self.pad(x))


def pad_before_pooling(net: nn.Cell, images: Tensor) -> None:
    """Replace padded max pooling: MindSpore's Cell holds an operator that its ONNX exporter lacks, and
    branches that a MindIR file brings back twice.

    Padding with zeros does the same where no input is negative, as behind a ReLU. Where one is, the
    Cell stays.
    """
    cells = dict(net.cells_and_names())
    padded = {n: _PaddedPool(c) for n, c in cells.items() if type(c) is nn.MaxPool2d and c.use_pad}
    equal = []

    def compare(name: str) -> Callable[..., None]:
        def hook(cell, inputs, output) -> None:
            same = np.array_equal(padded[name](inputs[0]).asnumpy(), output.asnumpy())
            if same and inputs[0].asnumpy().min() >= 0:
                equal.append(name)

        return hook

    handles = [cells[name].register_forward_hook(compare(name)) for name in padded]
    net(images)
    for handle in handles:
        handle.remove()
    for name in equal:
        replace_cell(net, name, padded[name])
