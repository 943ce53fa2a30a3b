"""Arguments of `render_animation`. `docs/task-types.md` describes them for those who send them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from genfleet.contract.task_data import Film, TaskData, Text

MOST_CHARACTERS = 8

Easing = Literal["smooth", "linear", "ease_in", "ease_out", "ease_in_out", "hold"]
"""How it goes on to the next keyframe; `smooth` takes the ones before and after into account, and stops nowhere between."""


class Position(TaskData):
    """Where a character's feet are in the frame: 0, 0 is its upper left corner, 1, 1 its lower right one."""

    name: Text = ""
    """In words, such as `left` or `center_background`, for what `x` and `y` leave open."""
    x: Annotated[float, Field(ge=-1, le=2)] | None = None
    y: Annotated[float, Field(ge=-1, le=2)] | None = None


def _named(value: Any) -> Any:
    """A position may be given by its name alone, as in `generate_video`."""
    return {"name": value} if isinstance(value, str) else value


class Keyframe(TaskData):
    """What holds for a character at a moment. What is left out goes on between those keyframes that have it."""

    time: Annotated[float, Field(ge=0, le=30)]
    """Seconds."""
    position: Annotated[Position | None, BeforeValidator(_named)] = None
    scale: Annotated[float, Field(ge=0.05, le=10)] | None = None
    """Times the size that a character has by itself."""
    rotation: Annotated[float, Field(ge=-3_600, le=3_600)] | None = None
    """Degrees, clockwise."""
    action: Text | None = None
    """What it does from here on: walking, running, waving, pointing, talking, jumping, dancing, standing."""
    easing: Easing = "smooth"


class Character(TaskData):
    """Someone in the animation."""

    character_id: Text = ""
    """The same id looks the same in every animation."""
    description: Text = ""
    """Words for what it wears: detective, woman, wizard, astronaut, man, …"""
    keyframes: Annotated[list[Keyframe], Field(max_length=200)] = Field(default=[])


class RenderAnimation(Film):
    """TS-086: ours, and what `generate_video` has in common with it. Nothing is required (PI-023)."""

    characters: list[Character] = Field(default=[], max_length=MOST_CHARACTERS)
