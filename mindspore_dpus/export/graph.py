"""What both formats share: the members made ready, and what the graph does around them."""

from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_dpus.data.images import ImageSpec
from mindspore_dpus.data.loader import IMAGENET_MEAN, IMAGENET_STD
from mindspore_dpus.models.fold import fold_batch_norms


@dataclass
class Members:
    """Trained networks, their batch norms folded (in place).

    Args:
        nets: name -> logits of normalised images, in PyNative mode and without kernels of our own.
        spec: of the images.
        n_classes: C.
    """

    nets: dict[str, nn.Cell]
    spec: ImageSpec
    n_classes: int

    def __post_init__(self) -> None:
        size = self.spec.size
        for net in self.nets.values():
            fold_batch_norms(net, (self.spec.channels, size, size))
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
