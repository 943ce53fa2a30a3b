"""Turns takes into takes: each step is one ffmpeg, which reads files in a scratch folder and writes another one there.

Sound never passes through this process, so its memory does not grow with the length. A take that has been used is
deleted: at most three of them are there at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from genfleet.errors import InputError, PermanentError
from genfleet_workers.engines import ffmpeg
from genfleet_workers.engines.sound.loudness import Loudness, measure
from genfleet_workers.engines.sound.takes import Take

DEMUXERS = "aac,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,ogg,w64,wav"
"""Containers that may hold a sound from outside. No playlists: they would lead ffmpeg to files and hosts of their own."""
KNOWN_TO_PEOPLE = "MP3, WAV, Ogg, FLAC, AAC, MP4, WebM, AIFF, AU, CAF, WMA"
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Sample rates of MP3, and those of takes."""
_CODECS = {
    "mp3": "-c:a libmp3lame -q:a 2 -f mp3",
    "wav": "-c:a pcm_s16le -f wav",
    "ogg": "-c:a libvorbis -q:a 5 -f ogg",
    "flac": "-c:a flac -sample_fmt s16 -f flac",
}
_REPRODUCIBLE = "-map_metadata -1 -fflags +bitexact -flags:a +bitexact"
_WITHIN = 0.2
"""LU: near enough to a target."""
_ROUNDS = 6
"""Tries to reach one: a limiter takes loudness away, which the next round adds."""
_OVERSHOOT = 0.3
"""dB that a peak may grow when the wave comes back from the limiter's sample rate."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How a sound comes into a mix."""

    gain: float = 0.0
    """dB."""
    offset: float = 0.0
    """Seconds from the beginning of the mix."""
    loop: bool = False
    """Repeated to the end of what it is mixed into."""
    duck: bool = False
    """Lowered while there is sound in what it is mixed into."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where takes are worked on. Everything raises what `ffmpeg.run` does."""

    folder: Path
    watch: Callable[[], None]
    """Called while ffmpeg works; may raise to stop it."""
    _numbers: count[int] = field(default_factory=count)

    def path(self) -> Path:
        """A file that is not there yet."""
        return self.folder / f"{next(self._numbers)}.au"

    def decoded(self, content: bytes, longest: float) -> Take:
        """The sound in a file from outside, in one or two channels.

        Raises `PermanentError` when there is none that can be read, or more than `longest` seconds of it.
        """
        file = self.path()
        file.write_bytes(content)
        form = f"aformat=channel_layouts=mono|stereo:sample_rates={'|'.join(map(str, RATES))}"
        guarded = ["-protocol_whitelist", "file", "-format_whitelist", DEMUXERS, "-t", f"{longest + 1}"]
        try:
            take = self._made([*guarded, "-i", str(file), "-map", "0:a:0", "-af", form])
        except PermanentError as error:
            raise InputError(f"Not sound that can be read ({KNOWN_TO_PEOPLE})") from error
        finally:
            file.unlink()
        if not take.seconds:
            raise InputError("There is no sound in it")
        if take.seconds > longest:
            raise InputError(f"Longer than the {longest / 60:g} minutes that are accepted")
        return take

    def filtered(self, take: Take, *filters: str) -> Take:
        """The take after ffmpeg's audio filters, in their order."""
        made = self._made([*take.read, "-af", ",".join(filters)])
        take.file.unlink()
        return made

    def mixed(self, below: Take, added: Take, entry: Entry, room: tuple[float, float] = (0.0, 0.0)) -> Take:
        """Both at once. `room` is how many seconds the one below is given before and after: they fade in and out."""
        rate, channels = max(below.rate, added.rate), max(below.channels, added.channels)
        before, after = room
        length = before + below.seconds + after
        seconds = length if entry.loop else max(length, entry.offset + added.seconds)
        # Longer than is kept: where the key ends first, the compressor drops what it still holds, now more, now less.
        ends = f"apad,atrim=end={seconds + 1:.6f}"
        first = f"[0:a]{conversion(below, rate, channels)},{delayed(before)},{ends}"
        second = f"[1:a]{conversion(added, rate, channels)},volume={entry.gain}dB,{delayed(entry.offset)},{ends}"
        pressed = "sidechaincompress=threshold=0.015:ratio=5:attack=40:release=250"
        joined = (
            f"{first},asplit[a][key];{second}[raw];[raw][key]{pressed}[b]" if entry.duck else f"{first}[a];{second}[b]"
        )
        graph = f"{joined};[a][b]amix=inputs=2:duration=longest:normalize=0,atrim=end={seconds:.6f}"
        if any(room):
            graph += f",afade=t=in:d={before},afade=t=out:st={seconds - after:.6f}:d={after}"
        again = ["-stream_loop", "-1"] if entry.loop else []
        made = self._made([*below.read, *again, *added.read, "-filter_complex", graph])
        below.file.unlink()
        added.file.unlink()
        return made

    def levelled(self, take: Take, target: float, ceiling: float) -> tuple[Take, float | None]:
        """The take at a loudness (LUFS) with no peak above `ceiling` (dBTP), and the loudness that it then has.

        Measured first, then raised or lowered as a whole; where peaks would be too high, they alone are pressed down.
        """
        before = measure(take.file, self.watch)
        if before.integrated is None or before.true_peak is None:
            return take, None
        gain = target - before.integrated
        if before.true_peak + gain <= ceiling:
            return self.filtered(take, f"volume={gain:.3f}dB"), round(before.integrated + gain, 1)
        limit = f"alimiter=limit={10 ** ((ceiling - _OVERSHOOT) / 20):.6f}:level=false:attack=2:release=60:latency=true"
        made: Take | None = None
        for _ in range(_ROUNDS):
            if made:
                made.file.unlink()
            chain = f"volume={gain:.3f}dB,aresample=192000,{limit},{resampled(take.rate)}"
            made = self._made([*take.read, "-af", chain])
            reached = measure(made.file, self.watch).integrated
            if reached is None or abs(target - reached) <= _WITHIN:
                break
            gain += target - reached
        take.file.unlink()
        return made or take, reached

    def loudness(self, file: Path) -> Loudness:
        """How loud a file is."""
        return measure(file, self.watch)

    def encoded(self, take: Take, file: Path, form: str, rate: int) -> None:
        """Write the finished file."""
        codec = f"{_REPRODUCIBLE} {_CODECS[form]}".split()
        ffmpeg.run([*take.read, "-af", resampled(rate), *codec, str(file)], self.watch)

    def _made(self, arguments: Sequence[str]) -> Take:
        file = self.path()
        ffmpeg.run([*arguments, "-vn", "-c:a", "pcm_f32be", "-f", "au", str(file)], self.watch)
        return Take.of(file)


def fitting(form: str, rate: int, warnings: list[str]) -> int:
    """The sample rate that a format has instead of one that it has not; MP3 has nine."""
    if form != "mp3" or rate in RATES:
        return rate
    nearest = min((known for known in RATES if known >= rate), default=RATES[-1])
    warnings.append(f"sample_rate: MP3 has no {rate} Hz; made with {nearest}")
    return nearest


def conversion(take: Take, rate: int, channels: int) -> str:
    """A filter for other channels and another rate. One channel becomes two as loud, two become their mean."""
    pans = {(1, 2): "pan=stereo|c0=c0|c1=c0", (2, 1): "pan=mono|c0=0.5*c0+0.5*c1"}
    return f"{pans.get((take.channels, channels), 'anull')},{resampled(rate)}"


def delayed(seconds: float) -> str:
    """A filter that puts silence before all channels."""
    return f"adelay={seconds * 1000:.3f}:all=1"


def resampled(rate: int) -> str:
    """A filter that changes the sample rate without mirroring what no longer fits into it."""
    return f"aresample={rate}:filter_size=64:cutoff=0.96"
