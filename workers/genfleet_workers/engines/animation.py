"""`render_animation`: characters that move through a drawn scene as their keyframes say, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from genfleet.contract.animation_data import MOST_CHARACTERS, Character, Position, RenderAnimation
from genfleet.contract.task_data import size_of
from genfleet_workers.engines.base import Job, Product, Report
from genfleet_workers.engines.encoder import Format, encode
from genfleet_workers.engines.inputs import MODEL, arguments, joined, product, seed_of
from genfleet_workers.engines.procedural.acting import Action, Key, Timing, action_of, script
from genfleet_workers.engines.procedural.cast import GROUND, height_of
from genfleet_workers.engines.procedural.choices import OUTFITS, Outfit, Pose, chosen, words
from genfleet_workers.engines.procedural.scene import Figure, Scene, random
from genfleet_workers.engines.procedural.stage import bounded, build
from genfleet_workers.engines.shots import DrawnShot, film, move_for

_MOST_PIXELS, _MOST_PAINTED = 1280 * 720, 1024 * 576
"""Frames are made with no more pixels than this, and layers painted; the rest is enlargement."""
_CIVILIANS = (Outfit.TRENCH_COAT, Outfit.GOWN, Outfit.PLAIN, Outfit.CLOAK)
"""What those wear of whom no word tells."""
_PACES = {Action.WALKING: 0.75, Action.RUNNING: 1.7}
"""Heights of the figure a second, of those whose way is not told."""


class AnimationEngine:
    """Makes an H.264 MP4 of exactly `round(duration * fps)` frames (TS-086). The same `task_data` makes the same film."""

    def run(self, job: Job, report: Report) -> Product:
        """Read the keyframes, paint the scene, film it."""
        data, warnings = arguments(job, RenderAnimation), list[str]()
        size, frames = size_of(data.resolution), max(round(data.duration * data.fps), 1)
        form = Format(bounded(*size, _MOST_PIXELS), size, data.fps)
        report(0.0, "reading_keyframes")
        parts = _parts(data, warnings)
        timing = Timing(frames, data.fps, form.frame_size[0] / form.frame_size[1])
        scene = _scene(data, parts, timing)
        job.log(
            f"{len(parts)} characters, {frames} frames at {data.fps} a second, {data.resolution}, seed {seed_of(data)}"
        )

        def painted(layers: int) -> None:
            report(0.02 + 0.08 * (1 - 0.87**layers), "painting_layers")

        stage = build(scene, form.frame_size, moving=True, most=_MOST_PAINTED, painted=painted)
        shot = DrawnShot(stage, move_for(data.camera_angle or "static", 0))
        file = job.folder / "animation.mp4"
        pictures = (frame.tobytes() for frame in film([lambda: shot], frames, data.fps))
        encode(pictures, form, file, lambda done: report(0.1 + 0.88 * done / frames, "rendering_animation"))
        report(1.0, "finishing")
        return product(job, file, _metadata(data, frames, parts), warnings)


@dataclass(frozen=True, slots=True)
class _Part:
    """A character as it was described, in whichever way."""

    name: str
    about: str
    keys: tuple[Key, ...]
    usual: Key
    """What holds where its keyframes say nothing."""


def _parts(data: RenderAnimation, warnings: list[str]) -> list[_Part]:
    """Those in `characters`, then those in `character_positions` who are not among them; someone, if there is nobody."""
    placed = [_placed(person) for person in data.character_positions]
    told = {part.name: part for part in placed if part.name}
    parts = [_directed(character, told.get(character.character_id)) for character in data.characters]
    names = {part.name for part in parts} - {""}
    parts += [part for part in placed if part.name not in names]
    if len(parts) > MOST_CHARACTERS:
        warnings.append(f"character_positions: no more than {MOST_CHARACTERS} characters are drawn")
    late = sum(key.time > data.duration for part in parts for key in part.keys)
    if late:
        warnings.append(f"characters: {late} keyframes are after the end, at {data.duration:g} seconds")
    return parts[:MOST_CHARACTERS] or [_Part("", "", (), Key(0, action=Action.WALKING))]


def _directed(character: Character, beside: _Part | None) -> _Part:
    """A character with keyframes; `beside` is the same one in `character_positions`."""
    keys = tuple(
        Key(
            key.time,
            *_place(key.position),
            scale=key.scale,
            rotation=key.rotation,
            action=action_of(key.action or ""),
            easing=key.easing,
        )
        for key in character.keyframes
    )
    about, usual = (beside.about, beside.usual) if beside else ("", Key(0))
    return _Part(character.character_id, joined(character.description, about), keys, usual)


def _placed(person: dict[str, Any]) -> _Part:
    """Of the form that `generate_video` has: a place and an action in words."""
    action, name = person.get("action"), person.get("character_id")
    where = person.get("position")
    place = _place(Position(name=where) if isinstance(where, str) else None)
    usual = Key(0, *place, action=action_of(action) if isinstance(action, str) else None)
    return _Part(name if isinstance(name, str) else "", joined(person.get("description"), action), (), usual)


def _place(position: Position | None) -> tuple[float | None, float | None]:
    """Across and down. What neither numbers nor words tell stays open."""
    if position is None:
        return None, None
    spoken = set(words(position.name))
    outer = 0.14 if spoken & {"far", "edge"} else 0.0
    x = 0.27 - outer if "left" in spoken else 0.73 + outer if "right" in spoken else 0.5 if spoken else None
    y = 0.86 if "background" in spoken else 1.0 if "foreground" in spoken else None
    return (x if position.x is None else position.x), (y if position.y is None else position.y)


def _scene(data: RenderAnimation, parts: Sequence[_Part], timing: Timing) -> Scene:
    """The scene, with its figures and what they do."""
    told = joined(data.scene_description, data.lighting)
    people = joined(*(joined(part.name, part.about) for part in parts))
    scene = Scene.from_text(joined(told or people, data.camera_angle), seed_of(data))
    figures = tuple(_figure(scene, part, number, parts, timing) for number, part in enumerate(parts))
    return replace(scene, figures=figures)


def _figure(scene: Scene, part: _Part, number: int, parts: Sequence[_Part], timing: Timing) -> Figure:
    chance = random("look", part.name, 0)
    look = int(chance.integers(2**32)) + (0 if part.name else number)
    outfit = chosen(words(joined(part.name, part.about)), OUTFITS) or _CIVILIANS[look % len(_CIVILIANS)]
    tall = height_of(scene, look)
    side = (number + 1) / (len(parts) + 1)
    usual = replace(
        part.usual,
        x=side if part.usual.x is None else part.usual.x,
        y=GROUND if part.usual.y is None else part.usual.y,
        scale=1.0,
        rotation=0.0,
    )
    moves = any(key.x is not None or key.y is not None for key in part.keys)
    keys = part.keys if moves else (*part.keys, *_way(usual, tall, timing, look))
    return Figure(outfit, Pose.STANDING, 0.0, look, script(keys, usual, tall, timing))


def _way(usual: Key, tall: float, timing: Timing, look: int) -> tuple[Key, ...]:
    """The way of someone who is told to walk or run, but not where: past its place, at the pace of the action."""
    if usual.action not in _PACES or usual.x is None:
        return ()
    seconds = timing.frames / timing.fps
    half = min(_PACES[usual.action] * tall / timing.aspect * seconds / 2, 0.65) * (1 if look % 2 else -1)
    return Key(0, x=usual.x - half, easing="linear"), Key(seconds, x=usual.x + half)


def _metadata(data: RenderAnimation, frames: int, parts: Sequence[_Part]) -> dict[str, Any]:
    return {
        "duration": round(frames / data.fps, 6),
        "resolution": data.resolution,
        "fps": data.fps,
        "seed": seed_of(data),
        "generation_model": MODEL,
        "frames": frames,
        "characters": len(parts),
    }
