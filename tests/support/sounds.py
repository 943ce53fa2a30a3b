"""Makes sounds, and looks into files of sound, by NumPy and by a decoder that is not the one of the engines."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]
"""Channels by samples, -1..1."""


def tone(hertz: float, seconds: float, *, gain: float = 0.25, rate: int = 48_000) -> Samples:
    """A sine of one channel."""
    return (gain * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate))[None, :]


def silence(seconds: float, *, rate: int = 48_000) -> Samples:
    """Nothing."""
    return np.zeros((1, round(seconds * rate)))


def wav(samples: Samples, rate: int = 48_000) -> bytes:
    """A file of 16 bits."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples.T * 32767).round().astype("<i2").tobytes())
    return content.getvalue()


def heard(file: Path, rate: int | None = None) -> tuple[Samples, int]:
    """The samples of a file and their rate, as it is or converted."""
    with av.open(str(file)) as opened:
        stream = opened.streams.audio[0]
        found = rate or stream.rate
        convert = av.AudioResampler(format="fltp", layout=stream.layout, rate=found)
        frames = [new for frame in opened.decode(stream) for new in convert.resample(frame)] + convert.resample(None)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), found


def level(samples: Samples) -> float:
    """How strong it is, in dB below full scale."""
    return float(20 * np.log10(max(float(np.sqrt(np.mean(samples**2))), 1e-9)))


def strength(samples: Samples, rate: int, hertz: float) -> float:
    """How strong one tone in it is, in dB."""
    at = np.arange(samples.shape[1]) / rate
    return float(20 * np.log10(max(2 * abs(np.mean(samples[0] * np.exp(-2j * np.pi * hertz * at))), 1e-9)))


def pitch(samples: Samples, rate: int) -> float:
    """The median pitch of a voice in Hz: where each voiced piece resembles itself most."""
    found = []
    size = rate // 20
    for start in range(0, samples.shape[1] - size, size // 2):
        piece = samples[0, start : start + size]
        if level(piece[None, :]) < -30:
            continue
        like = np.correlate(piece, piece, "full")[size - 1 :]
        shortest, longest = rate // 400, rate // 60
        best = shortest + int(np.argmax(like[shortest:longest]))
        if like[best] > 0.5 * like[0]:
            found.append(rate / best)
    return float(np.median(found))


def loudness(file: Path) -> float:
    """Integrated loudness in LUFS by ITU-R BS.1770-4, from the standard's own filter coefficients for 48 kHz."""
    samples, rate = heard(file, 48_000)
    tones = np.fft.rfft(samples, axis=1) * _weight(np.fft.rfftfreq(samples.shape[1], 1 / rate))
    weighted = np.fft.irfft(tones, samples.shape[1], axis=1)
    size, hop = round(0.4 * rate), round(0.1 * rate)
    starts = range(0, weighted.shape[1] - size + 1, hop)
    power = np.array([np.mean(weighted[:, at : at + size] ** 2, axis=1).sum() for at in starts])
    kept = power[_lufs(power) > -70]
    kept = kept[_lufs(kept) > _lufs(kept.mean()) - 10]
    return float(_lufs(kept.mean()))


def _lufs(power: Any) -> Any:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-12))


def _weight(hertz: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What the two filters of the standard do to each tone: a shelf for the head, and a high pass."""
    z = np.exp(-2j * np.pi * hertz / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    weight: npt.NDArray[Any] = shelf * high
    return weight
