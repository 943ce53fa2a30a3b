"""Arguments of the two task types that make sound. `docs/task-types.md` describes them for those who send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from genfleet.contract.task_data import Seed, Source, TaskData, Text

LONGEST = 600
"""Seconds that a sound to be processed may last, and what is made of it: 10 minutes."""
FORMATS = ("mp3", "wav", "ogg", "flac")
MOST_INPUTS = 16


def _format(value: str) -> str:
    if value.lower() not in FORMATS:
        raise ValueError(f"Must be one of {', '.join(FORMATS)}")
    return value.lower()


def _described(value: Any) -> Any:
    """A sound may be given by where it comes from alone."""
    return {"source": value} if isinstance(value, str) else value


AudioFormat = Annotated[str, AfterValidator(_format)]
SampleRate = Annotated[int, Field(ge=8_000, le=192_000)]
"""In Hz."""
Decibels = Annotated[float, Field(ge=-60, le=30)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST)]


class GenerateCharacterVoice(TaskData):
    """TS-084, TS-087."""

    text: Text = ""
    character_voice_profile: Source | None = None
    emotion: Text | None = None
    pace: Text | None = None
    background_noise: Text | None = None
    output_format: AudioFormat = "mp3"
    sample_rate: SampleRate = 44_100
    seed: Seed | None = None


class Sound(TaskData):
    """A sound that goes into a mix, and how."""

    source: Source
    gain: Decibels = 0
    offset: Seconds = 0
    """When it begins, counted from the beginning of the mix."""
    loop: bool = False
    """Repeated for as long as what it is mixed into lasts."""
    duck: bool = False
    """Lowered while there is sound in what it is mixed into."""


Inputs = Annotated[list[Annotated[Sound, BeforeValidator(_described)]], Field(max_length=MOST_INPUTS)]


class Mix(TaskData):
    """Adds sounds to what there is."""

    type: Literal["mix"]
    inputs: Annotated[Inputs, Field(min_length=1)]


class Trim(TaskData):
    """Keeps a part, and takes silence off both ends."""

    type: Literal["trim"]
    start: Seconds = 0
    end: Seconds | None = None
    silence: bool = False
    """Whether what is quieter than -50 dBFS at the beginning and at the end goes, too."""

    @model_validator(mode="after")
    def _has_a_length(self) -> Trim:
        if self.end is not None and self.end <= self.start:
            raise ValueError("The end must be later than the start")
        return self


class Fade(TaskData):
    """Lets it begin or end softly."""

    type: Literal["fade_in", "fade_out"]
    seconds: Annotated[float, Field(gt=0, le=60)] = 1


class Gain(TaskData):
    """Makes it louder or quieter, as it is."""

    type: Literal["gain"]
    gain: Decibels


class Denoise(TaskData):
    """Takes steady noise away."""

    type: Literal["denoise"]
    reduction: Annotated[float, Field(ge=1, le=40)] = 12
    """Decibels."""


class Level(TaskData):
    """Brings it to a loudness by EBU R128."""

    type: Literal["loudness"]
    target: Annotated[float, Field(ge=-40, le=-8)] = -23
    """LUFS."""
    true_peak: Annotated[float, Field(ge=-9, le=0)] = -1
    """dBTP that no peak exceeds."""


class Speed(TaskData):
    """Makes it faster or slower at the same pitch."""

    type: Literal["speed"]
    factor: Annotated[float, Field(ge=0.5, le=2)]


class Convert(TaskData):
    """Says what the file is to be."""

    type: Literal["convert"]
    format: AudioFormat | None = None
    sample_rate: SampleRate | None = None
    channels: Annotated[int, Field(ge=1, le=2)] | None = None


_OPERATIONS: Mapping[str, type[TaskData]] = {
    "mix": Mix,
    "trim": Trim,
    "fade_in": Fade,
    "fade_out": Fade,
    "gain": Gain,
    "denoise": Denoise,
    "loudness": Level,
    "speed": Speed,
    "convert": Convert,
}


def _operation(value: Any) -> TaskData:
    """The operation that a value describes. By hand: a union of models would put its own names into the path."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _OPERATIONS:
        raise ValueError(f"Must be an object whose type is one of {', '.join(_OPERATIONS)}")
    return _OPERATIONS[kind].model_validate(value)


class ProcessAudio(TaskData):
    """TS-086: ours. Nothing is required here; a task without any sound fails and says so (PI-023)."""

    inputs: Inputs = Field(default=[])
    operations: list[Annotated[Any, PlainValidator(_operation)]] = Field(default=[], max_length=12)
