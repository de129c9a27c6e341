"""The norm of the gradients that a step tells, against float64."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.training.step import create_step


class Product(nn.Cell):
    """Its gradient is its input."""

    def __init__(self, size):
        super().__init__()
        self.weight = Parameter(Tensor(np.zeros(size, np.float32)), name="weight")

    def construct(self, x):
        return (x * self.weight).sum()


class Same(nn.Cell):
    def construct(self, logits, labels):
        return logits


@pytest.mark.parametrize("kernels", ["none", "loops"])
def test_the_norm_of_gradients_counts_the_small_ones_of_a_wide_layer(kernels):
    device = configure(DeviceSettings(target="CPU", fast_kernels=kernels))
    net = Product(4_000_000)
    gradient = np.full(4_000_000, 1e-4, np.float32)
    gradient[0] = 1
    optimizer = nn.SGD(net.trainable_params(), 0.1)
    value, logits, norm = create_step(net, Same(), optimizer, device)(
        Tensor(gradient), Tensor([0], ms.int32)
    )
    assert float(value) == float(logits) == 0
    assert float(norm) == pytest.approx(np.linalg.norm(gradient.astype(np.float64)), rel=1e-5)
    np.testing.assert_allclose(net.weight.asnumpy(), -0.1 * gradient, rtol=1e-6)
