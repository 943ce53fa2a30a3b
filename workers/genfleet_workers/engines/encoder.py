"""Raw frames in, an MP4 out: ffmpeg as a child process that never outlives its use."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from genfleet.errors import TaskError
from genfleet_workers.engines import ffmpeg

_PATIENCE = 0.2
"""Seconds between two looks at how far ffmpeg is, once it has all frames."""


@dataclass(frozen=True, slots=True)
class Format:
    """What goes in and what comes out."""

    frame_size: tuple[int, int]
    """Of the frames that are written, in pixels."""
    size: tuple[int, int]
    """Of the video. Both sides are even: H.264 with half the colour resolution has no odd ones."""
    fps: int


@dataclass
class Encoder:
    """One video being made. A context manager: leaving it early kills ffmpeg."""

    format: Format
    file: Path
    encoded: int = 0
    """Frames that ffmpeg says it has finished."""
    _process: subprocess.Popen[bytes] = field(init=False)
    _readers: list[threading.Thread] = field(default_factory=list)
    _complaints: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    def __enter__(self) -> Encoder:
        command = ffmpeg.mortal([ffmpeg.program(), *_arguments(self.format, self.file)])
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        for read, stream in ((self._follow, self._process.stdout), (self._listen, self._process.stderr)):
            reader = threading.Thread(target=read, args=(stream,), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):  # a frame that was half written cannot be flushed any more
                if stream:
                    stream.close()

    def write(self, frame: bytes) -> None:
        """Hand over the next frame: rows of red, green and blue bytes. Raises `TaskError` when ffmpeg has given up."""
        try:
            self._input.write(frame)
        except BrokenPipeError:
            self._process.wait()
            raise self._failure() from None

    def finish(self) -> bool:
        """Say that there are no more frames, and wait a moment. True once the file is complete.

        Raises `TransientError` when the disk is full or ffmpeg was killed, `PermanentError` for all else.
        """
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        try:
            status = self._process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            return False
        for reader in self._readers:
            reader.join()
        if status:
            raise self._failure()
        return True

    @property
    def _input(self) -> IO[bytes]:
        if self._process.stdin is None:
            raise RuntimeError("ffmpeg was started without an input")
        return self._process.stdin

    def _follow(self, stream: IO[bytes]) -> None:
        for line in stream:
            name, _, value = line.partition(b"=")
            if name == b"frame":
                self.encoded = int(value)

    def _listen(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._complaints.append(line.decode(errors="replace").strip()[:300])

    def _failure(self) -> TaskError:
        for reader in self._readers:
            reader.join()
        return ffmpeg.failure(self._process.returncode, "; ".join(self._complaints) or "no message")


def encode(frames: Iterable[bytes], form: Format, file: Path, tell: Callable[[int], None]) -> None:
    """Make a video of frames. `tell` is called all the while with how many are finished, and may raise to stop it."""
    with Encoder(form, file) as encoder:
        for frame in frames:
            encoder.write(frame)
            tell(encoder.encoded)
        complete = False
        while not complete:
            complete = encoder.finish()
            tell(encoder.encoded)


def _arguments(form: Format, file: Path) -> list[str]:
    width, height = form.frame_size
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {form.fps} -i pipe:0"
    # High definition players assume BT.709; without the conversion and the tags all colours shift a little.
    colours = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv"
    scale = f"scale={form.size[0]}:{form.size[1]}:flags=bicubic:out_color_matrix=bt709:out_range=tv"
    target = f"-vf {scale} -c:v libx264 -preset veryfast -crf 21 -threads 2 -pix_fmt yuv420p {colours}"
    report = "-hide_banner -loglevel error -nostats -stats_period 0.2 -progress pipe:1"
    return [*f"{report} -y {source} -an {target} -movflags +faststart -f mp4".split(), str(file)]
