"""The animation engine moves characters as their keyframes say, and shows it in the pixels of a real film."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from celery.exceptions import SoftTimeLimitExceeded

from genfleet.contract.animation_data import RenderAnimation
from genfleet_workers.engines.animation import AnimationEngine
from genfleet_workers.engines.base import Job, Product
from genfleet_workers.engines.procedural.acting import Action, Key, Moment, Timing, action_of, script
from tests.support.attempts import Told, children
from tests.support.products import file_of

SCENE = {"scene_description": "desert at noon, wide", "duration": 1, "fps": 10, "resolution": "320x180", "seed": 3}
STILL = Key(0, x=0.5, y=0.9, scale=1.0, rotation=0.0)
TALL = 0.3
"""Of a figure in tests of scripts alone: of the frame's height, which is here as large as its width."""

Picture = npt.NDArray[Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The scratch folder of an attempt."""
    scratch = tmp_path / "attempt"
    scratch.mkdir()
    return scratch


def rendered(folder: Path, told: Told | None = None, **data: Any) -> tuple[Product, list[Picture]]:
    """An animation as it would be asked for by JSON, and its frames."""
    asked = RenderAnimation.model_validate_json(json.dumps(SCENE | data))
    product = AnimationEngine().run(Job("task-1", "project-1", asked, folder, 1), told or Told())
    with av.open(str(file_of(product))) as film:
        return product, [frame.to_ndarray(format="gray").astype(np.int16) for frame in film.decode(video=0)]


def one(*keyframes: dict[str, Any], character: str = "a man") -> list[dict[str, Any]]:
    """A character with these keyframes."""
    return [{"character_id": character, "keyframes": list(keyframes)}]


def silhouette(frame: Picture, ground: float = 0.9) -> tuple[float, float, float]:
    """Where the dark figure on bright sand is across the frame, and how wide and tall it is; shares of the frame."""
    height, width = frame.shape
    dark = frame[: round(ground * height)] < 70
    columns, rows = np.flatnonzero(dark.sum(axis=0) > 2), np.flatnonzero(dark.sum(axis=1) > 1)
    return float(columns.mean()) / width, float(np.ptp(columns)) / width, float(np.ptp(rows)) / height


def acted(*keys: Key, frames: int = 25, usual: Key = STILL) -> tuple[Moment, ...]:
    """The moments of a script of 24 frames a second, in a square frame."""
    return script(keys, usual, TALL, Timing(frames, 24, 1.0)).moments


# -- what is seen --------------------------------------------------------------------------------------------------------


def test_a_character_goes_where_its_keyframes_say(folder: Path) -> None:
    """TS-086, TS-087: from place to place, in a film of exactly the asked length, size and rate, with true metadata."""
    told = Told()
    ways = one({"time": 0, "position": {"x": 0.2}, "easing": "linear"}, {"time": 1, "position": {"x": 0.8}})
    product, frames = rendered(folder, told, characters=ways)
    assert product.metadata == {
        "duration": 1.0,
        "resolution": "320x180",
        "fps": 10,
        "seed": 3,
        "generation_model": "genfleet-procedural-1",
        "frames": 10,
        "characters": 1,
    }
    assert (len(frames), frames[0].shape) == (10, (180, 320))
    places = [silhouette(frame)[0] for frame in frames]
    assert places == pytest.approx([0.2 + 0.06 * number for number in range(10)], abs=0.04)
    assert told.moved_forward()
    assert [step for _, step in told.steps][:2] == ["reading_keyframes", "painting_layers"]
    with av.open(str(file_of(product))) as film:
        assert film.streams.video[0].codec_context.name == "h264"
        assert film.streams.video[0].average_rate == 10


def test_scale_and_rotation_are_seen(folder: Path) -> None:
    """TS-086: half as large is half as tall; turned by 90 degrees, a figure is wider than tall."""
    half = one({"time": 0, "scale": 0.5})
    lying = one({"time": 0, "rotation": 90})
    _, whole_frames = rendered(folder, characters=one({"time": 0, "scale": 1}))
    _, half_frames = rendered(folder, characters=half)
    _, lying_frames = rendered(folder, characters=lying)
    _, _, tall = silhouette(whole_frames[0])
    assert silhouette(half_frames[0])[2] == pytest.approx(tall / 2, abs=0.05)
    _, wide, low = silhouette(lying_frames[0])
    assert wide * 320 > 1.3 * low * 180


def test_two_characters_are_dressed_and_placed_apart(folder: Path) -> None:
    """TS-086: each has a place of its own and clothes by its words."""
    pair = [{"character_id": "detective_jones"}, {"character_id": "astronaut"}]
    _, frames = rendered(folder, characters=pair)
    dark = frames[0][:162] < 70
    left, right = dark[:, :160].sum(), dark[:, 160:].sum()
    assert left > 150
    assert right > 150
    assert abs(int(left) - int(right)) > 40  # a space suit is not a coat


def test_the_form_of_generate_video_is_understood(folder: Path) -> None:
    """TS-080, TS-086: `character_positions` places by words, and a walk without keyframes passes its place."""
    people = [{"character_id": "detective_jones", "position": "left", "action": "walking_slowly"}]
    _, frames = rendered(folder, character_positions=people)
    places = [silhouette(frame)[0] for frame in frames]
    assert places[len(places) // 2] == pytest.approx(0.27, abs=0.06)
    steps = [after - before for before, after in pairwise(places)]
    assert abs(places[-1] - places[0]) > 0.05
    assert min(steps) * max(steps) > -1e-3


def test_an_empty_object_is_an_animation(folder: Path) -> None:
    """PI-023, TS-081: nothing is required: seven seconds in which someone walks through a scene."""
    assert RenderAnimation().duration == 7
    asked = RenderAnimation.model_validate({"duration": 1, "fps": 6, "resolution": "64x36"})
    product = AnimationEngine().run(Job("task-1", "project-1", asked, folder, 1), Told())
    with av.open(str(file_of(product))) as film:
        frames = [frame.to_ndarray(format="gray").astype(np.int16) for frame in film.decode(video=0)]
    assert len(frames) == 6
    assert all(np.abs(before - after).mean() > 0.2 for before, after in pairwise(frames))


def test_the_same_input_is_the_same_film(folder: Path) -> None:
    """TS-086: the same bytes for the same input, others for another seed."""
    cast = one({"time": 0, "action": "dancing"})
    first = file_of(rendered(folder, characters=cast)[0]).read_bytes()
    assert file_of(rendered(folder, characters=cast)[0]).read_bytes() == first
    assert file_of(rendered(folder, characters=cast, seed=4)[0]).read_bytes() != first


def test_what_cannot_be_shown_is_told(folder: Path) -> None:
    """TS-086: more than eight characters, and keyframes after the end, are warnings."""
    crowd: list[dict[str, Any]] = [{"character_id": f"extra {number}", "position": "center"} for number in range(8)]
    crowd.append({"character_id": ["no", "name"], "position": 7, "action": {}})  # any object is taken
    product, _ = rendered(folder, character_positions=crowd, characters=one({"time": 9}))
    assert product.metadata["characters"] == 8
    assert [warning.partition(":")[0] for warning in product.metadata["warnings"]] == [
        "character_positions",
        "characters",
    ]


def test_a_stopped_animation_leaves_no_ffmpeg(folder: Path) -> None:
    """TS-108: when the soft limit strikes in the middle, ffmpeg is gone before the exception is."""
    before, told = children(), Told(stop_at=0.12)
    with pytest.raises(SoftTimeLimitExceeded):
        rendered(folder, told, duration=20)
    assert told.steps[-1][1] == "rendering_animation"
    assert children() == before


# -- how it moves --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("easing", "quarter"),
    [
        ("linear", 0.25),
        ("ease_in", 0.0625),
        ("ease_out", 0.4375),
        ("ease_in_out", 0.1464),
        ("smooth", 0.1563),
        ("hold", 0),
    ],
)
def test_an_easing_is_the_way_to_the_next_keyframe(easing: str, quarter: float) -> None:
    """TS-086: where a character is after a quarter of the time; it starts and arrives exactly."""
    moments = acted(Key(0, x=0.0, easing=easing), Key(1, x=1.0))
    assert moments[6].x == pytest.approx(quarter, abs=1e-3)
    assert (moments[0].x, moments[24].x) == (0.0, 1.0)


def test_a_smooth_path_goes_through_its_keyframes_without_a_stop_or_a_detour() -> None:
    """TS-086: between two keyframes nothing leaves their range, and one in the middle of the way is passed at speed."""
    xs = [moment.x for moment in acted(Key(0, x=0.0), Key(0.25, x=0.2), Key(0.75, x=0.9), Key(1, x=0.3))]
    assert (xs[6], xs[18]) == pytest.approx((0.2, 0.9))
    assert max(xs) <= 0.9
    assert all(before <= after for before, after in pairwise(xs[:19]))
    assert xs[7] - xs[5] > 0.03


def test_what_a_keyframe_leaves_out_goes_on_between_those_that_have_it() -> None:
    """TS-086: a keyframe that only turns does not hold up the way; what no keyframe tells is as usual."""
    moments = acted(Key(0, x=0.0, easing="linear"), Key(0.5, rotation=90, action=Action.WAVING), Key(1, x=1.0))
    assert moments[12].x == pytest.approx(0.5)
    assert {moment.rotation for moment in moments} == {90.0}
    assert {moment.y for moment in moments} == {0.9}
    assert [moments[number].action for number in (6, 18)] == [Action.RUNNING, Action.WAVING]


@pytest.mark.parametrize(("far", "action"), [(0.15, Action.WALKING), (0.9, Action.RUNNING)])
def test_feet_do_not_slide(far: float, action: Action) -> None:
    """TS-086: who moves walks, who moves fast runs, and steps follow the way: twice as far is twice as many."""
    keys = Key(0, x=0.0, easing="linear"), Key(1, x=far)
    moments = acted(*keys)
    assert {moment.action for moment in moments[:-1]} == {action}
    assert {moment.heading for moment in moments[1:-1]} == {1}
    steps = np.mod(np.diff([moment.phase for moment in moments]), 1)
    cycle = far / 24 / TALL / steps[5]
    assert cycle == pytest.approx({Action.WALKING: 0.82, Action.RUNNING: 1.5}[action], rel=0.02)


@pytest.mark.parametrize(
    ("words", "action"),
    [
        ("walking_slowly", Action.WALKING),
        ("waves goodbye", Action.WAVING),
        ("Standing", Action.STANDING),
        ("???", None),
    ],
)
def test_actions_are_words(words: str, action: Action | None) -> None:
    """TS-080, TS-086: the documents' own `walking_slowly` is one of them."""
    assert action_of(words) == action
