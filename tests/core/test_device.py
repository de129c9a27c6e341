"""What is said of versions of MindSpore that are slow on a CPU."""

import pytest

from mindspore_dpus.core import device
from mindspore_dpus.core.device import are_convolutions_slow, configure
from mindspore_dpus.core.device_settings import DeviceSettings


@pytest.mark.parametrize(
    ("version", "slow"), [("2.7.2", False), ("2.8.0", False), ("2.9.0", True), ("2.10.0", True)]
)
def test_convolutions_are_slow_from_2_9_on(version, slow):
    assert are_convolutions_slow(version) == slow


@pytest.mark.parametrize("slow", [True, False])
@pytest.mark.parametrize(
    ("options", "own"),
    [
        ({"fast_kernels": "loops"}, True),
        ({"fast_kernels": "none"}, True),
        ({"jit": True}, True),
        ({}, False),
    ],
)
def test_whoever_uses_mindspores_own_is_warned(options, own, slow, monkeypatch, caplog):
    monkeypatch.setattr(device, "are_convolutions_slow", lambda: slow)
    with caplog.at_level("WARNING"):
        configure(DeviceSettings(target="CPU", **options))
    found = [line for line in caplog.messages if "convolutions" in line]
    assert len(found) == (own and slow)
    assert all("100 times slower" in line and "device.fast_kernels" in line for line in found)
