"""The benchmark's sound: both sides compute the same, and their networks have the same weights."""

import numpy as np
import pytest
from benchmarking import sound

torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")


def test_log_mels_are_those_of_torch():
    from benchmarking import torch_sound

    from mindspore_dpus.data.audio.logmel import LogMel, mel_filters

    waves = sound.waveforms()[:2]
    filters = mel_filters(rate=16000, n_fft=2048, n_mels=224, low_hz=50, high_hz=7800, scale="slaney")
    window = torch.hann_window(2048)
    lines = torch.stft(torch.from_numpy(waves), 2048, 256, window=window, return_complex=True)
    power = (lines.real**2 + lines.imag**2).numpy()
    found = 10 * np.log10(np.maximum(filters @ power, 1e-10))
    np.testing.assert_allclose(found, LogMel(rate=16000)(waves), atol=2e-3)
    assert torch_sound.log_mel(None).items == sound.log_mel(None).items == 60


@pytest.mark.parametrize("network", ["efficientnet_b0", "transformer", "conformer"])
def test_networks_have_as_many_weights(network):
    from benchmarking.torch_sound import NETWORKS

    from mindspore_dpus.systems.machine_sound.networks import NETWORKS as OURS

    peer = sum(p.numel() for p in NETWORKS[network]().parameters() if p.requires_grad)
    net = OURS[network].build((224, 126), sound.EMBEDDING)
    ours = sum(p.size for p in net.trainable_params())
    # Biases of single layers may differ.
    assert peer == pytest.approx(ours, rel=0.01)
