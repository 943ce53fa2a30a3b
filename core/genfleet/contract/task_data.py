"""One model per task type of what `task_data` may hold (requirements 2.10, 2.11).

The media types reject nothing for being absent (PI-023): only types and ranges are checked, and keys that are not
listed here are kept and passed on. Messages are written for the person who sent the request; the service puts them
under the dotted path of the field (TS-146).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from genfleet.contract.departments import BY_SLUG

RESOLUTION = re.compile(r"(\d{2,4})x(\d{2,4})")
ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
SMALLEST, LARGEST = 16, 4096
"""Bounds of each side of a picture or video, in pixels."""


def _resolution(value: str) -> str:
    match = RESOLUTION.fullmatch(value)
    if not match or not all(SMALLEST <= int(side) <= LARGEST for side in match.groups()):
        raise ValueError(f"Resolution must be <width>x<height>, each side {SMALLEST} to {LARGEST}, such as 1024x1024")
    return value


def _even(value: str) -> str:
    """H.264 keeps colour at half the resolution; the variants without that are not generally shown by players."""
    if any(side % 2 for side in size_of(value)):
        raise ValueError("Both sides of a video's resolution must be even, such as 1280x720")
    return value


def _duration(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 1 <= value <= 30:
        raise ValueError("Duration must be between 1 and 30 seconds")
    return value


Resolution = Annotated[str, AfterValidator(_resolution)]
VideoResolution = Annotated[Resolution, AfterValidator(_even)]
Duration = Annotated[float, BeforeValidator(_duration)]
Text = Annotated[str, Field(max_length=20_000)]
Source = Annotated[str, Field(max_length=2_000_000)]
"""Where a picture or sound comes from: an https URL, a media_url of this installation, or a data: URI."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Chance that can be had again: the same seed and input make the same file."""


def size_of(resolution: str) -> tuple[int, int]:
    """Width and height in pixels of a valid resolution."""
    width, height = resolution.split("x")
    return int(width), int(height)


class TaskData(BaseModel):
    """Base of all: unlisted keys are kept, nothing is coerced from another type."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class Film(TaskData):
    """What the two types that make a film have in common (TS-080, TS-081, TS-087)."""

    scene_description: Text = ""
    camera_angle: Text | None = None
    lighting: Text | None = None
    character_positions: list[dict[str, Any]] = Field(default=[], max_length=64)
    duration: Duration = 7
    fps: int = Field(default=24, ge=1, le=60)
    resolution: VideoResolution = "1280x720"
    seed: Seed | None = None


class GenerateVideo(Film):
    """TS-080."""

    storyboard_images: list[Source] = Field(default=[], max_length=64)


class GenerateImage(TaskData):
    """TS-083, TS-087."""

    prompt: Text = ""
    style_guide: Source | None = None
    reference_images: list[Source] = Field(default=[], max_length=16)
    character_id: Text | None = None
    pose: Text | None = None
    lighting: Text | None = None
    resolution: Resolution = "1024x1024"
    quality: Text | None = None
    seed: Seed | None = None


class TestPrompt(TaskData):
    """TS-085. `{{name}}` in the template stands for a parameter; one that is not used is allowed."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    prompt_id: Text | None = None
    prompt_template: Text = ""
    agent_type: Text | None = None
    test_parameters: dict[str, Any] = {}
    test_result_id: Text | None = None


class Gathered(TaskData):
    """One piece of gathered content (TS-090)."""

    content: Text = ""
    summary: Text = ""
    context: Text = ""


class EarlierEvaluation(TaskData):
    """What another department got (TS-090, PI-019)."""

    department: Text = ""
    rating: float = Field(default=0, ge=0, le=100)
    summary: Text = ""


class EvaluateDepartment(TaskData):
    """TS-090, TS-091, PI-007."""

    department_slug: Annotated[str, Field(min_length=1, max_length=100)]
    department_number: int = Field(ge=1, le=12)
    gather_data: list[Gathered] = Field(max_length=1_000)
    previous_evaluations: list[EarlierEvaluation] = Field(default=[], max_length=100)
    threshold: int = Field(default=80, ge=0, le=100)


def _as_source(value: Any) -> Any:
    """A source may be written as a text alone: an address, or the content itself."""
    if not isinstance(value, str):
        return value
    return {"url": value} if ADDRESS.match(value) else {"text": value}


def _address(value: str | None) -> str | None:
    if value is not None and not ADDRESS.fullmatch(value):
        raise ValueError("Must begin with https:// or http:// and hold no spaces")
    return value


def _department(value: str | None) -> str | None:
    if value is not None and value not in BY_SLUG:
        raise ValueError(f"Unknown department: use one of {', '.join(BY_SLUG)}")
    return value


DepartmentSlug = Annotated[str, AfterValidator(_department)]


class GatherSource(TaskData):
    """Where content comes from: a text, or the address of a document."""

    text: Annotated[str, Field(max_length=1_000_000)] = ""
    url: Annotated[str | None, Field(max_length=2_000), AfterValidator(_address)] = None
    title: Annotated[str, Field(max_length=300)] = ""
    format: Literal["auto", "text", "markdown", "html", "json"] = "auto"
    department: DepartmentSlug | None = None
    """Where all of it belongs. Without it, each piece is assigned by what it is about."""


class AutomatedGatherCreation(TaskData):
    """TS-086: no document describes these arguments; they are ours. None is required (PI-023)."""

    sources: list[Annotated[GatherSource, BeforeValidator(_as_source)]] = Field(default=[], max_length=64)
    departments: list[DepartmentSlug] = Field(default=[], max_length=12)
    """For whom content is gathered. Empty: for all twelve."""
    context: Annotated[str, Field(max_length=2_000)] = ""
    """What the production is; it begins the `context` of every item."""
    max_items: int = Field(default=20, ge=1, le=100)
    """Items of a department, at most; those that say the most about it are kept."""
    summary_sentences: int = Field(default=2, ge=1, le=10)
