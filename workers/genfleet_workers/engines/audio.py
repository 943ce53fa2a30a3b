"""`process_audio`: mixes sounds and works on them, one operation after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from genfleet.contract.audio_data import (
    LONGEST,
    MOST_INPUTS,
    Convert,
    Level,
    Mix,
    ProcessAudio,
    Sound,
    Speed,
    Trim,
)
from genfleet.contract.task_data import TaskData
from genfleet.errors import InputError, PermanentError, TransientError
from genfleet_workers.engines.base import Job, Product, Report
from genfleet_workers.engines.inputs import arguments, product
from genfleet_workers.engines.sound.desk import Desk, Entry, conversion, delayed, fitting
from genfleet_workers.engines.sound.edits import FILTERS, part
from genfleet_workers.engines.sound.loudness import Loudness
from genfleet_workers.engines.sound.takes import Take, audible
from genfleet_workers.engines.sources import Kind, Sources, shown

SOUND = Kind(types=r"(?:audio|video|application)/[\w.+-]+", limit_bytes=64_000_000, timeout=30.0)


class AudioEngine:
    """Makes a WAV, MP3, Ogg or FLAC file (TS-086). What cannot be read fails the task: a mix without it is another one."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def run(self, job: Job, report: Report) -> Product:
        """Read, mix, work through the operations, encode."""
        data = arguments(job, ProcessAudio)
        later = [operation.inputs for operation in data.operations if isinstance(operation, Mix)]
        if not data.inputs and not any(later):
            raise InputError("There is no sound to work on: name at least one source in task_data.inputs")
        if len(data.inputs) + sum(map(len, later)) > MOST_INPUTS:
            raise InputError(f"No more than {MOST_INPUTS} sounds are mixed in one task")
        work = _Work(self._sources, job, report, steps=2 + len(data.operations))
        work.mix(data.inputs, "inputs")
        before = work.measured()
        for number, operation in enumerate(data.operations):
            work.apply(operation, f"operations[{number}]")
        return work.finished(before)


@dataclass
class _Work:
    """One task on its way: the take as it is after the operations so far, and what the file is to be."""

    sources: Sources
    job: Job
    report: Report
    steps: int
    take: Take | None = None
    format: str = "wav"
    rate: int | None = None
    warnings: list[str] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    desk: Desk = field(init=False)
    _done: int = 0
    _step: str = "reading_inputs"

    def __post_init__(self) -> None:
        self.desk = Desk(self.job.folder, self._tell)

    def measured(self) -> Loudness | None:
        """How loud it is now; None when there is nothing yet."""
        return self.desk.loudness(self.take.file) if self.take else None

    def mix(self, inputs: Sequence[Sound], where: str) -> None:
        """Add sounds to what there is; the first one of all is what the others are added to."""
        for number, sound in enumerate(inputs):
            self._tell()
            self.take = self._with(self._read(sound, f"{where}[{number}]"), sound)

    def _with(self, added: Take, sound: Sound) -> Take:
        lasts = 0.0 if sound.loop and self.take else sound.offset + added.seconds
        _check_length(lasts, "The mix")
        if self.take:
            entry = Entry(sound.gain, sound.offset, loop=sound.loop, duck=sound.duck)
            return self.desk.mixed(self.take, added, entry)
        return self.desk.filtered(added, f"volume={sound.gain}dB", delayed(sound.offset))

    def _read(self, sound: Sound, where: str) -> Take:
        try:
            return self.desk.decoded(self.sources.read(sound.source, SOUND), LONGEST)
        except (PermanentError, TransientError) as error:
            raise type(error)(f"{where} could not be read: {shown(sound.source)}: {error}") from error

    def apply(self, operation: TaskData, where: str) -> None:
        """One operation. Raises `InputError` where there is nothing that it could work on."""
        self._done += 1
        kind = str(operation.type)  # type: ignore[attr-defined]  # every operation has one
        self._step = kind
        self._tell()
        if isinstance(operation, Mix):
            self.mix(operation.inputs, f"{where}.inputs")
        elif self.take is None:
            raise InputError(f"{where}: there is no sound yet; name one in task_data.inputs")
        else:
            self.take = self._worked(self.take, operation, where)
            if not self.take.seconds:
                raise InputError(f"{where}: nothing is left of the sound")
        self.applied.append(kind)

    def _worked(self, take: Take, operation: TaskData, where: str) -> Take:
        if isinstance(operation, Level):
            return self._levelled(take, operation, where)
        if isinstance(operation, Convert):
            return self._converted(take, operation)
        if isinstance(operation, Speed):
            _check_length(take.seconds / operation.factor, where)
        take = self.desk.filtered(take, *FILTERS[type(operation)](operation, take))
        if isinstance(operation, Trim) and operation.silence and take.seconds:
            take = self.desk.filtered(take, *part(*audible(take)))
        return take

    def _levelled(self, take: Take, level: Level, where: str) -> Take:
        made, reached = self.desk.levelled(take, level.target, level.true_peak)
        if reached is None:
            self.warnings.append(
                f"{where}: silence, and sound shorter than 0.4 seconds, has no loudness to bring to {level.target:g} LUFS"
            )
        elif abs(reached - level.target) > 1:
            self.warnings.append(f"{where}: {reached:g} LUFS is as near to {level.target:g} as its peaks allow")
        return made

    def _converted(self, take: Take, convert: Convert) -> Take:
        self.format = convert.format or self.format
        self.rate = convert.sample_rate or self.rate
        channels = convert.channels or take.channels
        return take if channels == take.channels else self.desk.filtered(take, conversion(take, take.rate, channels))

    def finished(self, before: Loudness | None) -> Product:
        """The file, and what it is."""
        if self.take is None:
            raise InputError("There is no sound to work on")
        self._done, self._step = self.steps - 1, "encoding"
        file = self.job.folder / f"audio.{self.format}"
        rate = fitting(self.format, self.rate or self.take.rate, self.warnings)
        self.desk.encoded(self.take, file, self.format, rate)
        told: dict[str, Any] = {
            "duration": round(self.take.seconds, 3),
            "format": self.format,
            "sample_rate": rate,
            "channels": self.take.channels,
            "loudness": {"before": before and before.told(), "after": self.desk.loudness(file).told()},
            "operations": self.applied,
        }
        self.job.log(
            f"{' -> '.join(self.applied) or 'mixed'}: {self.take.seconds:.1f} seconds of {self.format}, {rate} Hz"
        )
        self.report(1.0, "encoding")
        return product(self.job, file, told, self.warnings)

    def _tell(self) -> None:
        self.report(self._done / self.steps, self._step)


def _check_length(seconds: float, what: str) -> None:
    if seconds > LONGEST:
        raise InputError(f"{what} would last longer than the {LONGEST / 60:g} minutes that are accepted")
