"""What decoding a sound file gives: samples of one channel, and what the file says of them."""

from dataclasses import dataclass

import numpy as np

from mindspore_dpus.core.errors import UserError

MEAN = "mean"
"""In place of a channel's number: the mean of all channels."""


class AudioError(UserError):
    """A clip that cannot be read or used; the message names the file."""


@dataclass(frozen=True)
class Clip:
    """One decoded sound file.

    Attributes:
        samples: (n,) float32; full scale of integer formats is -1 to 1.
        rate: samples per second.
        channels: of the file.
        subtype: how the file stores a sample, in libsndfile's words (``PCM_16``, ``PCM_24``, ``FLOAT``).
        kind: the container by its content: ``WAV`` or ``FLAC``.
    """

    samples: np.ndarray
    rate: int
    channels: int
    subtype: str
    kind: str

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.samples) / self.rate


def check_channel(channel: int | str) -> None:
    """Refuse what can be no channel of any file.

    Raises:
        ValueError: it is neither ``"mean"`` nor a number from 0.
    """
    if channel != MEAN and (isinstance(channel, str) or channel < 0):
        raise ValueError(f"channel is {channel!r}; it is {MEAN!r} or a number from 0")


def mix(frames: np.ndarray, channel: int | str) -> np.ndarray:
    """One channel of several.

    Args:
        frames: (n, channels) float32.
        channel: ``"mean"``, or the number of a channel, from 0.

    Returns:
        (n,) float32.

    Raises:
        AudioError: there is no such channel (the message lacks the file's name).
        ValueError: ``channel`` is neither.
    """
    number = frames.shape[1]
    if channel == MEAN and number == 1:
        return frames[:, 0]
    if channel == MEAN:
        # Infinity and its negative have no mean; whoever reads them refuses what is no number.
        with np.errstate(invalid="ignore"):
            return frames.mean(axis=1, dtype=np.float64).astype(np.float32)
    check_channel(channel)
    if channel >= number:
        has = "one channel" if number == 1 else f"{number} channels"
        raise AudioError(f"has {has}: there is no channel {channel} (they are counted from 0)")
    return np.ascontiguousarray(frames[:, channel])
