"""The work of ``benchmarking.sound`` in torch, on all threads."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarking.measuring import Prepared
from benchmarking.sound import CLIPS, EMBEDDING, RATE, SECONDS, segments, waveforms
from mindspore_dpus.core.processes import available_cpus
from mindspore_dpus.data.audio.logmel import mel_filters
from mindspore_dpus.models.efficientnet import B0, LAST, STEM_CHANNELS

FRAMES, BANDS = 126, 224


def log_mel(folder: Path) -> Prepared:
    """Log-mels of all segments at once."""
    torch.set_num_threads(len(available_cpus()))
    filters = mel_filters(rate=RATE, n_fft=2048, n_mels=BANDS, low_hz=50, high_hz=7800, scale="slaney")
    matrix = torch.tensor(filters, dtype=torch.float32)
    window, sound = torch.hann_window(2048), torch.from_numpy(waveforms())

    def call() -> None:
        lines = torch.stft(sound, 2048, 256, window=window, return_complex=True)
        10 * torch.log10(torch.clamp(matrix @ (lines.real**2 + lines.imag**2), min=1e-10))

    return Prepared(call, round(CLIPS * SECONDS))


class Frames(nn.Module):
    """Columns of log-mels, blocks over them, their mean, an embedding."""

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.projection = nn.Linear(BANDS, BANDS)
        self.positions = nn.Parameter(torch.zeros(1, FRAMES, BANDS), requires_grad=False)
        self.dropout, self.blocks = nn.Dropout(0.1), blocks
        self.embedding = nn.Linear(BANDS, EMBEDDING)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.projection(x[:, 0].transpose(1, 2)) + self.positions)
        return self.embedding(self.blocks(x).mean(1))


def transformer() -> nn.Module:
    """As ``models.transformer``'s defaults."""
    layer = nn.TransformerEncoderLayer(BANDS, 4, 128, 0.1, batch_first=True, norm_first=True)
    return Frames(nn.TransformerEncoder(layer, 4, nn.LayerNorm(BANDS), enable_nested_tensor=False))


class Convolution(nn.Module):
    """The Conformer's convolution module."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.enter = nn.LayerNorm(BANDS), nn.Linear(BANDS, 2 * BANDS)
        self.filter = nn.Conv1d(BANDS, BANDS, 31, padding=15, groups=BANDS, bias=False)
        self.batch_norm, self.leave = nn.BatchNorm1d(BANDS), nn.Linear(BANDS, BANDS)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        maps = functional.glu(self.enter(self.norm(x))).transpose(1, 2)
        maps = functional.silu(self.batch_norm(self.filter(maps)))
        return self.dropout(self.leave(maps.transpose(1, 2)))


class ConformerBlock(nn.Module):
    """As ``models.conformer``'s defaults."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = self.feed_forward(), self.feed_forward()
        self.norm, self.out = nn.LayerNorm(BANDS), nn.LayerNorm(BANDS)
        self.attention = nn.MultiheadAttention(BANDS, 4, 0.1, batch_first=True)
        self.convolution, self.dropout = Convolution(), nn.Dropout(0.1)

    @staticmethod
    def feed_forward() -> nn.Module:
        inner = [nn.Linear(BANDS, 64), nn.SiLU(), nn.Dropout(0.1), nn.Linear(64, BANDS), nn.Dropout(0.1)]
        return nn.Sequential(nn.LayerNorm(BANDS), *inner)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.first(x)
        rows = self.norm(x)
        x = x + self.dropout(self.attention(rows, rows, rows, need_weights=False)[0])
        x = x + self.convolution(x)
        return self.out(x + 0.5 * self.last(x))


def conformer() -> nn.Module:
    """Four blocks."""
    return Frames(nn.Sequential(*(ConformerBlock() for _ in range(4))))


class SqueezeExcite(nn.Module):
    """Weights of the channels by their means."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = functional.silu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.expand(weights))


def _conv(i: int, o: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(o)]


class MBConv(nn.Module):
    """A block of EfficientNet; without its stochastic depth, which costs next to nothing."""

    def __init__(self, i: int, expand: int, kernel: int, stride: int, o: int) -> None:
        super().__init__()
        hidden = i * expand
        cells = [*_conv(i, hidden, 1), nn.SiLU()] if expand > 1 else []
        cells += [*_conv(hidden, hidden, kernel, stride, hidden), nn.SiLU()]
        cells += [SqueezeExcite(hidden, max(1, i // 4)), *_conv(hidden, o, 1)]
        self.block, self.shortcut = nn.Sequential(*cells), stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        out = self.block(x)
        return out + x if self.shortcut else out


def efficientnet_b0() -> nn.Module:
    """As ``models.efficientnet``'s defaults."""
    channels = STEM_CHANNELS
    cells = [*_conv(1, channels, 3, 2), nn.SiLU()]
    for stage in B0:
        for number in range(stage.repeats):
            stride = stage.stride if number == 0 else 1
            cells.append(MBConv(channels, stage.expand_ratio, stage.kernel_size, stride, stage.channels))
            channels = stage.channels
    cells += [*_conv(channels, LAST * channels, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*cells, nn.Dropout(0.2), nn.Linear(LAST * channels, EMBEDDING))


NETWORKS = {
    "efficientnet_b0": efficientnet_b0,
    "transformer": transformer,
    "conformer": conformer,
}


def sound_step(folder: Path, network: str, batch_size: int) -> Prepared:
    """See ``benchmarking.sound``."""
    torch.set_num_threads(len(available_cpus()))
    net = NETWORKS[network]().train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    inputs, weights = (torch.from_numpy(array) for array in segments(batch_size))
    if network == "efficientnet_b0":
        net = net.to(memory_format=torch.channels_last)
        inputs = inputs.to(memory_format=torch.channels_last)

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        (net(inputs) * weights).mean().backward()
        optimizer.step()

    return Prepared(call, batch_size)
