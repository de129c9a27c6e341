"""The configuration's section on how a clip becomes log-mel segments."""

from dataclasses import dataclass
from typing import Literal

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import above, at_least, key


@dataclass(frozen=True)
class AudioSettings:
    """From a sound file to log-mels of its segments (the DCASE 2022 report, section 3.1)."""

    rate: int = key(16000, at_least(1000))
    """Samples per second that every clip is brought to."""
    channel: int | Literal["mean"] = key("mean", at_least(0))
    """The channel that counts, from 0; mean: the mean of all."""
    max_seconds: float = key(600.0, above(0))
    """A longer file is refused."""
    segment_seconds: float = key(2.0, above(0))
    """T, length of a segment. A shorter clip cannot be used."""
    segments: int = key(10, at_least(1))
    """S, overlapping segments of a clip; a clip that is longer than so many has as many as it needs."""
    window_seconds: float = key(0.128, above(0))
    """Length of the window of a spectrum."""
    hop_seconds: float = key(0.016, above(0))
    """From one spectrum to the next."""
    mel_bands: int = key(224, at_least(1))
    """Mel bands of a spectrum."""
    low_hz: float = key(50.0, at_least(0))
    """Where the first band begins."""
    high_hz: float = key(7800.0, above(0))
    """Where the last band ends; at most half of the rate."""


def check_audio(audio: AudioSettings) -> None:
    """Refuse keys of the section that do not fit each other.

    Raises:
        UserError: names the key.
    """
    if not audio.low_hz < audio.high_hz <= audio.rate / 2:
        raise UserError(
            f"configuration: audio.low_hz is {audio.low_hz:g} and audio.high_hz {audio.high_hz:g}; with "
            f"audio.rate {audio.rate} they lie between 0 and {audio.rate / 2:g}, low before high"
        )
    if audio.segment_seconds <= audio.window_seconds:
        raise UserError(
            f"configuration: audio.segment_seconds is {audio.segment_seconds:g}; it must be above "
            f"audio.window_seconds, {audio.window_seconds:g}"
        )
