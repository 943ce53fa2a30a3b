"""`generate_character_voice`: a line spoken as the character speaks, with the place it is in around it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from genfleet.contract.audio_data import GenerateCharacterVoice
from genfleet.errors import InputError, PermanentError, TaskError
from genfleet_workers.engines import ffmpeg
from genfleet_workers.engines.base import Job, Product, Report
from genfleet_workers.engines.inputs import arguments, product, seed_of
from genfleet_workers.engines.sound import ambience, espeak
from genfleet_workers.engines.sound.desk import Desk, Entry, fitting
from genfleet_workers.engines.sound.speech import Delivery, VoiceProfile, delivery
from genfleet_workers.engines.sound.takes import Take
from genfleet_workers.engines.sources import Kind, Sources, shown

PROFILE = Kind(types="application/json", limit_bytes=64_000)
LONGEST = 2_400.0
"""Seconds of speech. The longest text that is accepted, at the slowest pace, is near to it."""

_MODEL = "espeak-ng"
_BELOW = 14.0
"""LU that the ambience is quieter than the voice, before it is ducked."""
_QUIET = -40.0
"""LUFS of an ambience under a voice too short to be measured."""
_BEFORE, _AFTER = 0.7, 1.4
"""Seconds of ambience alone, before and after the words."""


class VoiceEngine:
    """Makes an MP3, WAV, Ogg or FLAC file (TS-084). The same `task_data` always makes the same file."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def run(self, job: Job, report: Report) -> Product:
        """Speak, mix, encode. A profile that cannot be used, and words that are not known, become warnings."""
        data, warnings = arguments(job, GenerateCharacterVoice), list[str]()
        if not data.text.strip():
            raise InputError("There is nothing to say: give the words in task_data.text")
        report(0.02, "reading_profile")
        profile = self._profile(data.character_voice_profile, warnings)
        how = delivery(profile, data.character_voice_profile or "", data.emotion or "", data.pace or "", warnings)
        take = _spoken(data.text, how, job.folder, lambda: report(0.1, "speaking"), warnings)
        around = _ambience_of(data.background_noise or "", warnings)
        take = _in_place(Desk(job.folder, lambda: report(0.5, "mixing")), take, around, seed_of(data))
        desk = Desk(job.folder, lambda: report(0.7, "encoding"))
        file, rate = job.folder / f"voice.{data.output_format}", fitting(data.output_format, data.sample_rate, warnings)
        desk.encoded(take, file, data.output_format, rate)
        told = {
            "duration": round(take.seconds, 3),
            "format": data.output_format,
            "sample_rate": rate,
            "channels": take.channels,
            "loudness": desk.loudness(file).told(),
            "voice": f"{how.voice}+{how.variant}" if how.variant else how.voice,
            "words_per_minute": how.rate,
            "background_noise": around,
            "seed": seed_of(data),
            "generation_model": _MODEL,
        }
        job.log(
            f"{told['voice']}, {how.rate} words a minute, {around or 'nothing'} around it, {take.seconds:.1f} seconds"
        )
        report(1.0, "encoding")
        return product(job, file, told, warnings)

    def _profile(self, source: str | None, warnings: list[str]) -> VoiceProfile:
        if not source:
            return VoiceProfile()
        try:
            return VoiceProfile.model_validate_json(self._sources.read(source, PROFILE))
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            reason = f"{'.'.join(map(str, fault['loc'])) or 'it'}: {fault['msg']}"
        except TaskError as error:
            reason = str(error)
        warnings.append(f"character_voice_profile could not be used and was left out: {shown(source)}: {reason}")
        return VoiceProfile()


def _spoken(text: str, how: Delivery, folder: Path, watch: Callable[[], None], warnings: list[str]) -> Take:
    """The words, by a process of its own: see `sound.espeak`."""
    file = folder / "speech.au"
    status, said = _speak(text, how, file, watch)
    if status == espeak.NO_VOICE:
        warnings.append(f"character_voice_profile: there is no voice '{how.voice}+{how.variant}'; en-gb is spoken")
        status, said = _speak(text, Delivery(**{**asdict(how), "voice": "en-gb", "variant": ""}), file, watch)
    if status == espeak.MISSING:
        raise PermanentError(f"This worker cannot speak: {said.strip()}")
    if status:
        raise PermanentError(f"espeak-ng failed with status {status}: {said.strip()[-500:]}")
    take = Take.of(file)
    if take.seconds >= LONGEST:
        warnings.append(f"text: only the first {LONGEST / 60:g} minutes are spoken")
    return take


def _speak(text: str, how: Delivery, file: Path, watch: Callable[[], None]) -> tuple[int, str]:
    says = json.dumps({**asdict(how), "seconds": LONGEST})
    command = [sys.executable, "-I", espeak.__file__, says]
    spoken = text.replace("\0", " ").encode("utf-8", "replace")
    with file.open("wb") as out:
        return ffmpeg.run_child(command, watch, feed=spoken, stdout=out.fileno())


def _ambience_of(text: str, warnings: list[str]) -> str | None:
    name = ambience.named(text)
    if text and not name:
        known = ", ".join(ambience.names())
        warnings.append(f"background_noise: '{text[:40]}' is not known and was left out; known are {known}")
    return name


def _in_place(desk: Desk, voice: Take, around: str | None, seed: int) -> Take:
    """The voice where it is heard. Raises `InputError` when there is nothing to hear in it."""
    heard = desk.loudness(voice.file)
    if heard.true_peak is None:
        raise InputError("There is nothing in task_data.text that can be spoken")
    if around is None:
        return voice
    file = desk.path()
    ambience.record(around, seed, file)
    bed = Take.of(file)
    loud = _QUIET if heard.integrated is None else heard.integrated - _BELOW
    gain = loud - (desk.loudness(file).integrated or 0.0)
    # The ambience begins before the words, makes room for them, and fades after them.
    return desk.mixed(voice, bed, Entry(gain, loop=True, duck=True), room=(_BEFORE, _AFTER))
