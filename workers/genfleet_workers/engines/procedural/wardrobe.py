"""Who can stand in a scene: the outline of each outfit in each pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfleet_workers.engines.procedural.choices import Outfit, Pose
from genfleet_workers.engines.procedural.outlines import Outline, Points, curve, disc, limb, lines, points, swayed
from genfleet_workers.engines.procedural.scene import Figure

WIDEST = 0.42
"""No outline reaches farther from the middle than this."""
TALLEST = 0.30
"""Nor farther above the crown than this (an umbrella does)."""

Lifted = tuple[float, float]
"""The angles of upper arm and forearm in degrees: 0 hangs down, 90 points away from the body, 180 straight up."""

_HEAD = curve("-34,60 0,34 34,60 36,98 22,130 0,140 -22,130 -36,98")
_FEDORA = (
    curve("-47,62 -49,34 -38,8 -16,4 4,13 24,3 42,12 49,36 47,62"),
    curve("-90,72 -60,58 0,53 60,53 92,60 70,73 0,81 -60,80"),
)
_COLLAR = curve("-26,118 26,118 60,138 62,176 0,196 -62,176 -60,138")
_TRENCH_COAT = curve(
    "-45,158 -90,174 -122,206 -117,300 -96,410 -100,470 -128,640 -146,772 -70,786 0,772 72,786 146,768 126,640 "
    "100,470 96,410 117,300 122,206 90,174 45,158"
)
_TRENCH_COAT_FOLDS = lines(
    "-50,165 -60,230 -10,360|50,165 60,230 -10,360|-98,425 0,436 98,425|-98,452 0,463 98,452|4,463 12,770|"
    "-60,480 -82,770|66,480 94,765|-48,64 48,60|-130,310 -138,370|126,300 138,360"
)
_GOWN = curve(
    "-30,160 -82,182 -98,215 -78,300 -56,385 -90,480 -98,560 -100,760 -150,985 0,1000 140,985 96,760 98,560 90,480 "
    "56,385 78,300 98,215 82,182 30,160"
)
_GOWN_FOLDS = lines("-50,390 50,390|-20,500 -60,970|30,520 50,970|60,600 100,960")
_LONG_HAIR = curve("-42,50 0,22 42,50 54,110 66,165 30,176 -30,176 -62,160 -52,105")
_WIDE_HAT = curve("-105,78 -60,40 -30,14 20,6 52,34 110,50 60,70 0,82")
_CLOAK = curve(
    "0,8 -40,30 -62,85 -66,140 -118,185 -142,270 -140,450 -160,700 -190,975 -80,990 20,978 120,992 178,970 150,700 "
    "138,450 140,270 112,185 60,140 58,85 36,30"
)
_CLOAK_FOLDS = lines("-30,60 0,130 30,60|0,200 -20,960|-80,240 -110,960|70,260 90,960")
_SPACESUIT = curve("-50,155 -120,185 -132,300 -118,430 -122,540 0,560 122,540 118,430 132,300 120,185 50,155")
_SPACESUIT_FOLDS = lines(
    "-60,300 60,300 60,380 -60,380 -60,300|-120,450 120,450|-130,750 -30,750|30,750 130,750|"
    "-58,85 -50,55 0,34 50,55 58,85 50,115 0,136 -50,115 -58,85"
)
_BACKPACK = points("-140,165 140,165 144,440 -144,440")
_JACKET = curve(
    "-32,150 -82,174 -112,206 -106,300 -90,420 -104,500 -106,585 0,596 106,585 104,500 90,420 106,300 112,206 82,174 "
    "32,150"
)
_JACKET_FOLDS = lines("-35,165 -10,300 -8,590|35,165 -10,300")
_SHORT_HAIR = curve("-38,85 -40,48 -22,26 10,21 34,40 39,82 0,60")


@dataclass(frozen=True, slots=True)
class Posture:
    """How a body is held."""

    stride: float = 0.0
    """The moment of a walk toward us or away: the left foot is raised at -1, the right one at 1."""
    step: float | None = None
    """The moment of a walk to the right, 0..1 for two steps. None: we see it from the front."""
    reach: float = 0.105
    """How far its feet are apart then."""
    right: Lifted | None = None
    left: Lifted | None = None
    umbrella: bool = False
    sway: float = 0.0
    """To which side the hem swings, -1..1."""


def outline_of(figure: Figure, stride: float = 0.9) -> Outline:
    """The outline of a figure as it stands or walks in its scene."""
    posture = Posture(stride=stride if figure.pose is Pose.WALKING else 0.0, umbrella=figure.pose is Pose.UMBRELLA)
    body = outline_in(figure.outfit, posture)
    return body if figure.look % 2 else body.turned()


def outline_in(outfit: Outfit, posture: Posture) -> Outline:
    """The outline of an outfit in a posture."""
    body = _BODIES[outfit](posture)
    if posture.umbrella and outfit in _HANDS_FREE:
        return Outline((*body.solids, *_umbrella()), body.folds)
    return body


def _trench_coat(posture: Posture) -> Outline:
    pocketed = _arm(posture.left, (-0.106, 0.215), 0.033) or limb(
        (-0.106, 0.215, 0.033), (-0.143, 0.362, 0.030), (-0.104, 0.482, 0.028)
    )
    other = _arm(posture.right, (0.106, 0.215), 0.033) or limb(
        (0.106, 0.215, 0.033), (0.141, 0.365, 0.030), (0.106, 0.482, 0.028)
    )
    raised = limb((0.106, 0.215, 0.033), (0.145, 0.330, 0.030), (0.090, 0.262, 0.026))
    coat = swayed(_TRENCH_COAT, 0.022 * posture.stride + 0.03 * posture.sway)
    arms = (*pocketed, *(raised if posture.umbrella else other))
    return Outline((*_legs(posture), coat, *arms, _COLLAR, _HEAD, *_FEDORA), _TRENCH_COAT_FOLDS)


def _gown(posture: Posture) -> Outline:
    neck = limb((0.0, 0.12, 0.022), (0.0, 0.18, 0.026))
    on_hip = _arm(posture.left, (-0.090, 0.205), 0.021) or limb(
        (-0.090, 0.205, 0.021), (-0.150, 0.330, 0.018), (-0.080, 0.425, 0.016)
    )
    hanging = _arm(posture.right, (0.090, 0.205), 0.021) or limb(
        (0.090, 0.205, 0.021), (0.118, 0.340, 0.018), (0.112, 0.475, 0.015)
    )
    raised = limb((0.090, 0.205, 0.021), (0.128, 0.320, 0.018), (0.084, 0.255, 0.016))
    gown = swayed(_GOWN, 0.03 * posture.stride + 0.05 * posture.sway)
    arms = (*on_hip, *(raised if posture.umbrella else hanging))
    return Outline((gown, _LONG_HAIR, _HEAD, *neck, *arms, _WIDE_HAT), _GOWN_FOLDS)


def _cloak(posture: Posture) -> Outline:
    free = _arm(posture.left, (-0.105, 0.235), 0.036) or ()
    arm = limb((0.110, 0.235, 0.040), (0.172, 0.340, 0.036), (0.212, 0.352, 0.020))
    staff = (*limb((0.212, 0.015, 0.0085), (0.216, 0.985, 0.0075)), disc(0.212, 0.010, 0.020))
    cloak = swayed(_CLOAK, 0.03 * posture.stride + 0.05 * posture.sway)
    return Outline((cloak, *free, *arm, *staff), _CLOAK_FOLDS)


def _spacesuit(posture: Posture) -> Outline:
    left = _arm(posture.left, (-0.130, 0.225), 0.046) or limb(
        (-0.130, 0.225, 0.048), (-0.205, 0.370, 0.042), (-0.215, 0.500, 0.038)
    )
    right = _arm(posture.right, (0.130, 0.225), 0.046) or limb(
        (0.130, 0.225, 0.048), (0.200, 0.370, 0.042), (0.215, 0.495, 0.038)
    )
    legs: tuple[Points, ...] = (*_boot(-1, max(-posture.stride, 0.0)), *_boot(1, max(posture.stride, 0.0)))
    if posture.step is not None:
        legs = _stepping(posture.step, posture.reach, 0.54, 0.054)
    return Outline((_BACKPACK, disc(0.0, 0.085, 0.080), _SPACESUIT, *left, *right, *legs), _SPACESUIT_FOLDS)


def _plain(posture: Posture) -> Outline:
    swing = 0.03 * posture.stride
    left = _arm(posture.left, (-0.096, 0.215), 0.028) or limb(
        (-0.096, 0.215, 0.030), (-0.122, 0.365, 0.026), (-0.116 + swing, 0.505, 0.019)
    )
    right = _arm(posture.right, (0.096, 0.215), 0.028) or limb(
        (0.096, 0.215, 0.030), (0.122, 0.365, 0.026), (0.116 + swing, 0.500, 0.019)
    )
    raised = limb((0.096, 0.215, 0.030), (0.138, 0.330, 0.026), (0.090, 0.262, 0.020))
    neck = limb((0.0, 0.120, 0.025), (0.0, 0.175, 0.032))
    arms, legs = (*left, *(raised if posture.umbrella else right)), _legs(posture, hip=0.57, stance=0.050)
    return Outline((*legs, _JACKET, *arms, *neck, _HEAD, _SHORT_HAIR), _JACKET_FOLDS)


def _arm(lifted: Lifted | None, shoulder: tuple[float, float], thick: float) -> tuple[Points, ...] | None:
    """An arm that is held in some way; None where it hangs as the outfit has it."""
    if lifted is None:
        return None
    x, y = shoulder
    side = 1.0 if x > 0 else -1.0
    joints = [(x, y, thick)]
    for angle, length, share in ((lifted[0], 0.150, 0.85), (lifted[1], 0.120, 0.62), (lifted[1], 0.032, 0.42)):
        x, y = x + side * length * float(np.sin(np.radians(angle))), y + length * float(np.cos(np.radians(angle)))
        joints.append((x, y, thick * share))
    return limb(*joints)


def _legs(posture: Posture, hip: float = 0.70, stance: float = 0.046) -> tuple[Points, ...]:
    if posture.step is not None:
        return _stepping(posture.step, posture.reach, hip, 0.036)
    stride = posture.stride
    return (*_leg(-1, max(-stride, 0.0), hip, stance), *_leg(1, max(stride, 0.0), hip, stance))


def _stepping(step: float, reach: float, hip: float, thick: float) -> tuple[Points, ...]:
    """Both legs seen from the side: one carries the body and goes back under it, the other one swings to the front."""
    parts: list[Points] = []
    for turn in (2 * np.pi * step, 2 * np.pi * step + np.pi):
        foot, lift = reach * float(np.cos(turn)), max(float(-np.sin(turn)), 0.0)
        ankle = 0.955 - 0.10 * reach / 0.105 * lift * (0.6 if thick > 0.05 else 0.75)
        knee = (foot * 0.45 + 0.055 * lift + 0.012, (hip + ankle) / 2 - 0.02 * lift)
        tilt = 0.022 * lift - 0.010 * float(np.cos(turn)) * (1 - lift)
        parts += limb((0.0, hip, thick * 1.25), (*knee, thick), (foot, ankle, thick * 0.75))
        heel, toe = (foot - 0.024, ankle + 0.031 - tilt), (foot + 0.068, ankle + 0.031 + tilt)
        parts.append([heel, (foot - 0.02, ankle - 0.01), (foot + 0.028, ankle - 0.006), (toe[0], toe[1] - 0.016), toe])
    return tuple(parts)


def _leg(side: int, raised: float, hip: float, stance: float) -> tuple[Points, ...]:
    """A leg seen from the front or the back: a raised foot is higher up and nearer to the middle."""
    lift = 0.055 * raised
    foot = side * (stance - 0.014 * raised)
    bones = limb((side * 0.039, hip, 0.046), (side * 0.046, 0.84 - lift / 2, 0.035), (foot, 0.95 - lift, 0.027))
    x, y, half = foot + side * 0.010, 0.972 - lift, 0.042 - 0.008 * raised
    sole = [(x - half, y + 0.014), (x - half * 0.7, y - 0.014), (x + half * 0.7, y - 0.014), (x + half, y + 0.014)]
    return (*bones, sole)


def _boot(side: int, raised: float) -> tuple[Points, ...]:
    lift = 0.06 * raised
    return limb((side * 0.060, 0.54, 0.062), (side * 0.080, 0.75 - lift / 2, 0.054), (side * 0.082, 0.95 - lift, 0.05))


def _umbrella() -> tuple[Points, ...]:
    """Held over the head: a dome of five panels on a thin stick."""
    dome = [(0.09 + 0.32 * np.cos(turn), 0.015 + 0.235 * np.sin(turn)) for turn in np.linspace(np.pi, 2 * np.pi, 29)]
    edge = [(0.41 - 0.64 * at, 0.015 - 0.028 * abs(np.sin(at * np.pi * 5))) for at in np.linspace(0, 1, 41)]
    return ([*dome, *edge], *limb((0.09, -0.255, 0.004), (0.09, 0.27, 0.006)))


_BODIES = {
    Outfit.TRENCH_COAT: _trench_coat,
    Outfit.GOWN: _gown,
    Outfit.CLOAK: _cloak,
    Outfit.SPACESUIT: _spacesuit,
    Outfit.PLAIN: _plain,
}
_HANDS_FREE = frozenset({Outfit.TRENCH_COAT, Outfit.GOWN, Outfit.PLAIN})
