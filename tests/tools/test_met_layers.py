"""Every layer of a kind is measured, also of blocks that train as single operations."""

import mindspore as ms
import numpy as np
import pytest
from benchmarking.ours import met_layers
from benchmarking.workloads import layer_kind

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models.factory import create_model


@pytest.mark.parametrize(("kind", "number"), [("convolutions", 35), ("depthwise", 17), ("norms", 52)])
def test_all_layers_of_mobilenet_v2_are_met(kind, number):
    device = configure(DeviceSettings(target="CPU"))
    net = create_model("mobilenet_v2", 2, 1, device=device)
    net.set_train()
    met = met_layers(net, kind, ms.Tensor(np.zeros((2, 1, 32, 32), np.float32)))
    assert len({id(cell) for cell, _, _ in met}) == len(met) == number
    assert {layer_kind(cell) for cell, _, _ in met} == {kind}
    # The hooks are gone: another batch is not remembered.
    net(ms.Tensor(np.zeros((2, 1, 32, 32), np.float32)))
    assert len(met) == number
