"""What a character does in an animation, frame by frame: keyframes become a script. Pure.

Places are shares of the frame: 0, 0 is its upper left corner. A path is smooth where nothing else is asked for: it goes
through all of its keyframes without stopping, never beyond them, and starts and ends softly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from genfleet_workers.engines.procedural.choices import Vocabulary, chosen, vocabulary, words

Numbers = npt.NDArray[Any]


class Action(StrEnum):
    """What a figure can be seen doing."""

    STANDING = "standing"
    WALKING = "walking"
    RUNNING = "running"
    WAVING = "waving"
    POINTING = "pointing"
    TALKING = "talking"
    JUMPING = "jumping"
    DANCING = "dancing"


ACTIONS: Vocabulary[Action] = {
    Action.RUNNING: vocabulary("run runs running sprint sprinting chase chasing flee fleeing rush rushing hurrying"),
    Action.WALKING: vocabulary(
        "walk walks walking stroll strolling enter enters entering leave leaves leaving approach approaching moving "
        "striding pacing slowly"
    ),
    Action.WAVING: vocabulary("wave waves waving greet greets greeting hello goodbye"),
    Action.POINTING: vocabulary("point points pointing aim aims aiming accusing"),
    Action.TALKING: vocabulary("talk talks talking speak speaks speaking argue arguing explaining telling shouting"),
    Action.JUMPING: vocabulary("jump jumps jumping hop hops hopping leap leaps leaping"),
    Action.DANCING: vocabulary("dance dances dancing celebrate celebrates celebrating cheering"),
    Action.STANDING: vocabulary("stand stands standing wait waits waiting idle still confident leaning watching"),
}

_MOVING = 0.02
"""Heights of the figure a second: what is slower stands."""
_RUNNING = 1.35
"""Heights a second from which someone whose action is not told runs."""
_CYCLE = {Action.WALKING: 0.82, Action.RUNNING: 1.5}
"""Heights that two steps cover: feet that meet the ground at another pace would slide."""
_IN_PLACE = {
    Action.WALKING: 0.85,
    Action.RUNNING: 1.5,
    Action.WAVING: 1.5,
    Action.POINTING: 0.25,
    Action.TALKING: 0.7,
    Action.JUMPING: 1.0,
    Action.DANCING: 0.9,
    Action.STANDING: 0.25,
}
"""Cycles a second of what is done in one place."""


@dataclass(frozen=True, slots=True)
class Key:
    """A moment that was told. None: not told here."""

    time: float
    x: float | None = None
    y: float | None = None
    scale: float | None = None
    rotation: float | None = None
    action: Action | None = None
    easing: str = "smooth"


@dataclass(frozen=True, slots=True)
class Moment:
    """How a character is in one frame."""

    x: float
    y: float
    """Where its feet are."""
    scale: float
    rotation: float
    """Degrees, clockwise."""
    action: Action
    phase: float
    """How far the action is: 0..1 is one round of it."""
    heading: int
    """-1: to the left; 1: to the right; 0: toward us or away."""


@dataclass(frozen=True, slots=True)
class Script:
    """A character's part."""

    fps: int
    moments: tuple[Moment, ...]

    def at(self, time: float) -> Moment:
        """The moment of a frame."""
        return self.moments[min(max(round(time * self.fps), 0), len(self.moments) - 1)]


@dataclass(frozen=True, slots=True)
class Timing:
    """The frames of an animation, and the shape of each."""

    frames: int
    fps: int
    aspect: float
    """Width by height."""


def script(keys: Sequence[Key], usual: Key, tall: float, timing: Timing) -> Script:
    """The part that keyframes tell. `usual` has what none of them tells, `tall` is the figure's height at scale 1."""
    ordered = sorted(keys, key=lambda key: key.time)
    times = np.arange(timing.frames) / timing.fps
    x, y, scale, rotation = (
        _track(ordered, name, times, float(getattr(usual, name))) for name in ("x", "y", "scale", "rotation")
    )
    across = np.gradient(x, times) * timing.aspect / (tall * scale) if timing.frames > 1 else np.zeros_like(x)
    along = np.gradient(y, times) / (tall * scale) if timing.frames > 1 else np.zeros_like(x)
    speed = np.hypot(across, along)
    actions = [_action(ordered, usual, float(time), float(pace)) for time, pace in zip(times, speed, strict=True)]
    phases = (
        np.cumsum([_advance(action, float(pace)) for action, pace in zip(actions, speed, strict=True)]) / timing.fps
    )
    headings = [_heading(float(u), float(v)) for u, v in zip(across, along, strict=True)]
    numbers = (track.tolist() for track in (x, y, scale, rotation))
    moments = map(Moment, *numbers, actions, (phases % 1).tolist(), headings)
    return Script(timing.fps, tuple(moments))


def _track(keys: Sequence[Key], name: str, times: Numbers, usual: float) -> Numbers:
    """One number over all frames."""
    told = {
        round(key.time, 3): (float(getattr(key, name)), key.easing) for key in keys if getattr(key, name) is not None
    }
    if not told:
        return np.full(times.shape, usual)
    at = np.array(list(told))
    values, easings = np.array([value for value, _ in told.values()]), [easing for _, easing in told.values()]
    track: Numbers = np.where(times < at[0], values[0], values[-1])
    slopes = _slopes(at, values)
    for number, (start, end) in enumerate(pairwise(at)):
        inside = (times >= start) & (times < end)
        share = (times[inside] - start) / (end - start)
        first, last = values[number], values[number + 1]
        if easings[number] == "smooth":
            track[inside] = _hermite(share, (first, last), slopes[number : number + 2] * (end - start))
        else:
            track[inside] = first + (last - first) * _eased(easings[number], share)
    return track


def _slopes(at: Numbers, values: Numbers) -> Numbers:
    """At each keyframe, so that the curve keeps between its neighbours (Fritsch and Carlson)."""
    slopes = np.zeros(len(at))
    steps = np.diff(values) / np.diff(at)
    for number in range(1, len(at) - 1):
        before, after = steps[number - 1], steps[number]
        if before * after > 0:
            slopes[number] = 2 * before * after / (before + after)
    return slopes


def _hermite(share: Numbers, ends: tuple[float, float], slopes: Numbers) -> Numbers:
    square, cube = share**2, share**3
    curve: Numbers = ends[0] * (2 * cube - 3 * square + 1) + ends[1] * (3 * square - 2 * cube)
    bend: Numbers = slopes[0] * (cube - 2 * square + share) + slopes[1] * (cube - square)
    curve += bend
    return curve


def _eased(easing: str, share: Numbers) -> Numbers:
    curves = {
        "linear": share,
        "ease_in": share**2,
        "ease_out": 1 - (1 - share) ** 2,
        "ease_in_out": (1 - np.cos(np.pi * share)) / 2,
        "hold": np.zeros_like(share),
    }
    return curves[easing]


def _action(keys: Sequence[Key], usual: Key, time: float, pace: float) -> Action:
    """What is told for this time; where nothing is, what the movement looks like."""
    told = [key.action for key in keys if key.action is not None and key.time <= time]
    action = told[-1] if told else usual.action
    if action is None or (action is Action.STANDING and pace > _MOVING):
        return Action.STANDING if pace <= _MOVING else Action.RUNNING if pace > _RUNNING else Action.WALKING
    return action


def _advance(action: Action, pace: float) -> float:
    """Rounds of an action a second."""
    if action in _CYCLE and pace > _MOVING:
        return pace / _CYCLE[action]
    return _IN_PLACE[action]


def _heading(across: float, along: float) -> int:
    if abs(across) < max(_MOVING, 0.5 * abs(along)):
        return 0
    return 1 if across > 0 else -1


def action_of(text: str) -> Action | None:
    """The action that words ask for: `walking_slowly` is walking."""
    return chosen(words(text), ACTIONS)
