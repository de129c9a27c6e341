"""What the audit knows of each clip, from decoding its file once."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.data.audio.clipping import share_clipped
from mindspore_dpus.data.audio.reading import MAX_SECONDS, read_clip

VERSION = 1
"""Raised by whoever changes what is measured: audits of runs made before are then made anew."""

# Silence is judged by blocks of this many seconds.
BLOCK_SECONDS = 0.05
NOTHING = {
    "error": "",
    "kind": "",
    "rate": 0,
    "seconds": 0.0,
    "channels": 0,
    "subtype": "",
    "low": 0.0,
    "high": 0.0,
    "share_clipped": 0.0,
    "share_silent": 0.0,
    "content": "",
}


def measure_clips(
    paths: Sequence[str], root: Path, *, channel: int | str, max_seconds: float = MAX_SECONDS
) -> pd.DataFrame:
    """Decode and measure clips.

    Args:
        paths: file names, relative to ``root``.
        root: the data root.
        channel, max_seconds: as of ``read_clip``.

    Returns:
        A row for each, in that order: ``error`` (why it cannot be read, or empty), ``kind``, ``rate``,
        ``seconds``, ``channels``, ``subtype`` (of the file), ``low`` and ``high`` (of its samples),
        ``share_clipped`` (of samples in runs at an extreme), ``share_silent`` (of blocks of 50 ms that
        are 60 dB or more below the clip's own level), ``content`` (a hash: equal for equal
        samples at one rate, whatever the file).
    """

    def measured(name: str) -> dict:
        return measure_clip(root / name, channel=channel, max_seconds=max_seconds)

    rows = list(bar(in_threads(measured, paths), "audit", len(paths)))
    return pd.DataFrame(rows, columns=list(NOTHING))


def measure_clip(path: Path, *, channel: int | str, max_seconds: float = MAX_SECONDS) -> dict:
    """One row of ``measure_clips``."""
    try:
        clip = read_clip(path, channel=channel, rate=None, max_seconds=max_seconds)
    except UserError as error:
        return NOTHING | {"error": str(error)}
    samples = clip.samples
    content = hashlib.blake2b(f"{clip.rate} {samples.shape}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(samples))
    return {
        "error": "",
        "kind": clip.kind,
        "rate": clip.rate,
        "seconds": clip.seconds,
        "channels": clip.channels,
        "subtype": clip.subtype,
        "low": float(samples.min()),
        "high": float(samples.max()),
        "share_clipped": share_clipped(samples),
        "share_silent": share_silent(samples, max(1, round(BLOCK_SECONDS * clip.rate))),
        "content": content.hexdigest(),
    }


def share_silent(samples: np.ndarray, block: int) -> float:
    """The share of whole blocks whose level, around their mean, is 60 dB or more below the clip's; 1 for
    a constant waveform."""
    centred = samples - samples.mean(dtype=np.float64)
    power = float(np.mean(centred**2))
    if samples.min() == samples.max():
        return 1.0
    n_blocks = len(samples) // block
    if n_blocks == 0:
        return 0.0
    blocks = centred[: n_blocks * block].reshape(n_blocks, block)
    return float(np.mean(blocks.var(axis=1) <= 1e-6 * power))
