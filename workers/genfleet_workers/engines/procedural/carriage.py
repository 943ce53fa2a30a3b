"""How a body is held at each moment of an action. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from genfleet_workers.engines.procedural.acting import Action
from genfleet_workers.engines.procedural.wardrobe import Posture

DRAWINGS = 12
"""Of one round of an action."""


@dataclass(frozen=True, slots=True)
class Carriage:
    """A body at a moment."""

    posture: Posture
    rise: float = 0.0
    """Heights above the ground."""
    lean: float = 0.0
    """Degrees to the side that it faces."""


def carriage(action: Action, phase: float, heading: int) -> Carriage:
    """The body in a phase (0..1) of an action. `heading` is 0 for someone whom we see from the front."""
    turn = 2 * math.pi * phase
    if action in (Action.WALKING, Action.RUNNING):
        return _GAITS[action](turn, heading != 0)
    return _IN_PLACE[action](turn)


def _walking(turn: float, aside: bool) -> Carriage:
    rise = 0.011 * abs(math.sin(turn))
    if not aside:
        return Carriage(Posture(stride=math.cos(turn), sway=0.6 * math.sin(turn)), rise)
    swing = -24 * math.cos(turn)
    posture = Posture(
        step=turn / (2 * math.pi), right=(swing, swing + 14), left=(-swing, -swing - 4), sway=-0.5 * math.cos(2 * turn)
    )
    return Carriage(posture, rise, lean=2)


def _running(turn: float, aside: bool) -> Carriage:
    rise = 0.035 * abs(math.sin(turn))
    if not aside:
        return Carriage(Posture(stride=1.6 * math.cos(turn), right=(28, 110), left=(28, 110)), rise)
    swing = -48 * math.cos(turn)
    posture = Posture(
        step=turn / (2 * math.pi),
        reach=0.165,
        right=(swing, swing + 75),
        left=(-swing, -swing - 60),
        sway=-1 - math.cos(2 * turn),
    )
    return Carriage(posture, rise, lean=9)


def _standing(turn: float) -> Carriage:
    return Carriage(Posture(sway=0.12 * math.sin(turn)))


def _waving(turn: float) -> Carriage:
    return Carriage(Posture(right=(128, 172 + 24 * math.sin(turn))), lean=-1)


def _pointing(turn: float) -> Carriage:
    return Carriage(Posture(right=(87, 91 + 2 * math.sin(turn))), lean=1)


def _talking(turn: float) -> Carriage:
    right, left = (20 + 6 * math.sin(turn), 88 + 28 * math.sin(turn)), (14, 52 + 20 * math.sin(2 * turn + 1))
    return Carriage(Posture(right=right, left=left), lean=0.8 * math.sin(turn))


def _jumping(turn: float) -> Carriage:
    air = min(turn / (2 * math.pi) / 0.7, 1.0)
    rise = 0.9 * air * (1 - air)
    arms = (30 + 420 * rise, 40 + 480 * rise)
    return Carriage(Posture(right=arms, left=arms, stride=0.0), rise)


def _dancing(turn: float) -> Carriage:
    up, down = 95 + 50 * math.sin(turn), 95 - 50 * math.sin(turn)
    posture = Posture(right=(up, up + 35), left=(down, down + 35), stride=math.cos(turn), sway=math.sin(turn))
    return Carriage(posture, 0.03 * abs(math.sin(turn)), lean=5 * math.sin(turn))


_GAITS: Mapping[Action, Callable[[float, bool], Carriage]] = {Action.WALKING: _walking, Action.RUNNING: _running}
_IN_PLACE: Mapping[Action, Callable[[float], Carriage]] = {
    Action.STANDING: _standing,
    Action.WAVING: _waving,
    Action.POINTING: _pointing,
    Action.TALKING: _talking,
    Action.JUMPING: _jumping,
    Action.DANCING: _dancing,
}
