"""The work of machine sound, ours: log-mels, and a step of each extractor. MindSpore is imported where it is
used."""

from pathlib import Path

import numpy as np

from benchmarking.measuring import Prepared

# The report's segments: 2 s at 16 kHz, 224 bands; and what is measured of them.
RATE, SECONDS, CLIPS = 16000, 2.0, 30
N_SECTIONS, EMBEDDING = 6, 128


def waveforms() -> np.ndarray:
    """(CLIPS, 2 s) float32."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((CLIPS, round(SECONDS * RATE))).astype(np.float32)


def segments(batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (B, 1, 224, 126) and weights of the embeddings (B, 128), float32."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((batch_size, 1, 224, 126)).astype(np.float32)
    return inputs, rng.standard_normal((batch_size, EMBEDDING)).astype(np.float32)


def log_mel(folder: Path) -> Prepared:
    """Log-mels of segments, one after the other; items are seconds of sound."""
    from mindspore_dpus.data.audio.logmel import LogMel

    made, sound = LogMel(rate=RATE), waveforms()
    return Prepared(lambda: made(sound), round(CLIPS * SECONDS))


def librosa_log_mel(folder: Path) -> Prepared:
    """The same by librosa, the tests' reference."""
    import librosa

    sound = waveforms()

    def call() -> None:
        for one in sound:
            power = librosa.feature.melspectrogram(
                y=one,
                sr=RATE,
                n_fft=2048,
                hop_length=256,
                n_mels=224,
                fmin=50,
                fmax=7800,
                pad_mode="reflect",
            )
            librosa.power_to_db(power, top_db=None)

    return Prepared(call, round(CLIPS * SECONDS))


def sound_step(folder: Path, network: str, batch_size: int, target: str, fast_kernels: str) -> Prepared:
    """A training step of an extractor; the loss is a weighted sum of its embeddings."""
    from mindspore import Tensor, nn

    from mindspore_dpus.core.device import configure
    from mindspore_dpus.core.device_settings import DeviceSettings
    from mindspore_dpus.models.dropout import use_seeded_dropout
    from mindspore_dpus.models.freeze import set_train
    from mindspore_dpus.models.starting import use_kernels_of
    from mindspore_dpus.systems.machine_sound.networks import NETWORKS
    from mindspore_dpus.training.optimizers import create_optimizer
    from mindspore_dpus.training.settings import TrainingSettings
    from mindspore_dpus.training.step import create_step

    class Weighted(nn.Cell):
        def construct(self, embedding: Tensor, weights: Tensor) -> Tensor:
            return (embedding * weights).mean()

    device = configure(DeviceSettings(target=target, fast_kernels=fast_kernels))
    net = NETWORKS[network].build((224, 126), EMBEDDING)
    net.init_parameters_data()
    if not device.jit:
        use_seeded_dropout(net, device.rank, device.n_devices)
    use_kernels_of(device, net)
    optimizer = create_optimizer(net, TrainingSettings(optimizer="adamw"))
    step = create_step(net, Weighted(), optimizer, device)
    inputs, weights = (Tensor(array) for array in segments(batch_size))
    set_train(net, True)

    def call() -> None:
        step(inputs, weights)[0].asnumpy()
        device.yield_to_workers()

    return Prepared(call, batch_size)
