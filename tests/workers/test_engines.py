"""The built-in engines make real pictures and real films, exactly as asked, whatever the sources are like."""

from __future__ import annotations

import base64
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from PIL import Image

from genfleet.contract.task_data import GenerateImage, GenerateVideo, TaskData
from genfleet.egress import EgressRefused
from genfleet.errors import PermanentError, TransientError
from genfleet_workers.engines.base import Job, Product
from genfleet_workers.engines.encoder import Encoder, Format
from genfleet_workers.engines.image import ImageEngine
from genfleet_workers.engines.pictures import PictureSources, decode
from genfleet_workers.engines.procedural.choices import Setting
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.stage import Camera, build
from genfleet_workers.engines.sources import Sources, shown
from genfleet_workers.engines.video import VideoEngine
from tests.support.attempts import Told, children
from tests.support.products import file_of
from tests.support.waiting import wait_for

BASE = "https://media.test/files"
NOIR = "1920s detective in film noir style, wearing trench coat"


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """A media folder with a red picture in it, and one outside."""
    folder = tmp_path / "media"
    (folder / "boards").mkdir(parents=True)
    (folder / "boards" / "red one.png").write_bytes(png((200, 20, 20)))
    (tmp_path / "secret.png").write_bytes(png((0, 0, 255)))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    return Sources(folder, BASE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The scratch folder of an attempt."""
    scratch = tmp_path / "attempt"
    scratch.mkdir()
    return scratch


def png(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> bytes:
    """A picture of one colour."""
    content = BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()


def data_uri(content: bytes) -> str:
    """A picture inside the request itself."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def made(sources: Sources, folder: Path, data: TaskData, told: Told | None = None) -> Product:
    """What the engine of this kind of data makes."""
    engine = (
        ImageEngine(PictureSources(sources))
        if isinstance(data, GenerateImage)
        else VideoEngine(PictureSources(sources))
    )
    return engine.run(Job("task-1", "project-1", data, folder, 1), told or Told())


def image(sources: Sources, folder: Path, **data: Any) -> tuple[Product, np.ndarray[Any, Any]]:
    """A made picture and its pixels."""
    product = made(sources, folder, GenerateImage(**{"resolution": "160x120", **data}))
    with Image.open(file_of(product)) as picture:
        return product, np.asarray(picture.convert("RGB"), dtype=np.int16)


def frames(file: Path) -> Iterator[np.ndarray[Any, Any]]:
    """The frames of a film, by a decoder that is not the encoder's."""
    with av.open(str(file)) as film:
        for frame in film.decode(video=0):
            yield frame.to_ndarray(format="rgb24").astype(np.int16)


def colour_of(frame: np.ndarray[Any, Any]) -> list[float]:
    """The mean red, green and blue of the middle of a frame."""
    height, width = frame.shape[:2]
    middle = frame[height // 4 : -height // 4, width // 4 : -width // 4]
    return [float(channel) for channel in middle.mean(axis=(0, 1))]


def test_an_image_has_the_asked_size_and_says_what_it_is(sources: Sources, folder: Path) -> None:
    """TS-083, TS-087: a PNG of exactly the asked resolution, with its facts in the metadata and in the file."""
    product, pixels = image(sources, folder, prompt=NOIR, resolution="200x130", seed=7)
    assert pixels.shape == (130, 200, 3)
    assert product.metadata == {
        "resolution": "200x130",
        "format": "png",
        "seed": 7,
        "generation_model": "genfleet-procedural-1",
    }
    with Image.open(file_of(product)) as picture:
        assert (picture.format, picture.info["Description"], picture.info["Seed"]) == ("PNG", NOIR, "7")


@pytest.mark.parametrize("resolution", ["16x16", "17x301", "1024x16", "16x640"])
def test_odd_shapes_are_drawn_too(sources: Sources, folder: Path, resolution: str) -> None:
    """TS-087: every resolution that admission accepts is drawn."""
    _, pixels = image(sources, folder, prompt=NOIR, resolution=resolution)
    assert f"{pixels.shape[1]}x{pixels.shape[0]}" == resolution


@pytest.mark.parametrize("setting", list(Setting))
def test_every_setting_is_a_picture(setting: Setting) -> None:
    """Each setting, by day and night, in rain and snow, has both light and dark and moves when the camera does."""
    for words in ("night rain detective walking", "day snow woman umbrella", "sunset fog astronaut close"):
        scene = replace(Scene.from_text(words, 5), setting=setting)
        stage = build(scene, (128, 72), moving=True)
        start, end = (stage.frame(time, Camera(across)) for time, across in ((0.0, -0.5), (3.0, 0.5)))
        first, last = np.asarray(start, dtype=np.int16), np.asarray(end, dtype=np.int16)
        assert first.std() > 8, scene
        assert np.abs(first - last).mean() > 1, scene


def test_the_same_input_makes_the_same_file(sources: Sources, folder: Path) -> None:
    """Without a seed one is made from the input: the same input gives the same bytes, another one others."""
    first = file_of(image(sources, folder, prompt=NOIR)[0]).read_bytes()
    assert file_of(image(sources, folder, prompt=NOIR)[0]).read_bytes() == first
    assert file_of(image(sources, folder, prompt=NOIR, pose="walking")[0]).read_bytes() != first


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "desert dunes at noon"},
        {"prompt": NOIR, "seed": 2},
        {"prompt": NOIR, "seed": 1, "lighting": "neon"},
        {"prompt": NOIR + " on a beach at sunrise, wide", "seed": 1},
    ],
)
def test_other_words_and_seeds_make_other_pictures(sources: Sources, folder: Path, other: dict[str, Any]) -> None:
    """Prompt, seed and lighting each change the picture plainly."""
    _, first = image(sources, folder, prompt=NOIR, seed=1)
    _, second = image(sources, folder, **other)
    assert np.abs(first - second).mean() > 10


def test_a_character_looks_alike_everywhere() -> None:
    """TS-083: the same `character_id` has the same build in every scene, and other names have others."""
    looks = [
        Scene.from_text(f"detective {place}", seed, "detective_jones").figures[0].look
        for seed, place in enumerate(["street", "ocean"])
    ]
    assert looks[0] == looks[1]
    assert Scene.from_text("detective street", 0, "someone_else").figures[0].look != looks[0]


def test_a_style_guide_colours_the_picture(sources: Sources, folder: Path) -> None:
    """TS-083: the colours of `style_guide` and `reference_images` are blended into the scene's."""
    _, plain = image(sources, folder, prompt="mountains at noon", seed=3)
    product, styled = image(
        sources, folder, prompt="mountains at noon", seed=3, style_guide=f"{BASE}/boards/red%20one.png"
    )
    assert "warnings" not in product.metadata
    assert styled[..., 0].mean() - styled[..., 2].mean() > plain[..., 0].mean() - plain[..., 2].mean() + 20


def test_a_missing_style_guide_is_a_warning(sources: Sources, folder: Path) -> None:
    """TS-083: a picture that cannot be opened is named; the work goes on without it."""
    product, _ = image(sources, folder, style_guide=f"{BASE}/gone.png", reference_images=["http://127.0.0.1:9/a"])
    style, reference = product.metadata["warnings"]
    assert style.startswith("style_guide[0] could not be opened")
    assert reference.startswith("reference_images[0] could not be opened")


def test_image_progress_moves_forward(sources: Sources, folder: Path) -> None:
    """Progress starts at the composition, passes the layers and ends at 1."""
    told = Told()
    made(sources, folder, GenerateImage(prompt=NOIR, resolution="64x64"), told)
    fractions = [fraction for fraction, _ in told.steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert list(dict.fromkeys(step for _, step in told.steps)) == [
        "composing_scene",
        "painting_layers",
        "grading",
        "encoding_png",
    ]


def test_a_video_is_exact_to_the_frame(sources: Sources, folder: Path) -> None:
    """TS-080, TS-082, TS-087: H.264 of the asked size, rate and length, that moves, and whose metadata is true."""
    data = GenerateVideo(scene_description=NOIR + " walking", duration=1.5, fps=12, resolution="192x108", seed=4)
    product = made(sources, folder, data)
    assert product.metadata == {
        "duration": 1.5,
        "resolution": "192x108",
        "fps": 12,
        "seed": 4,
        "generation_model": "genfleet-procedural-1",
        "frames": 18,
        "shots": 1,
    }
    with av.open(str(product.file)) as film:
        stream = film.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.width, context.height, context.pix_fmt) == ("h264", 192, 108, "yuv420p")
        assert stream.average_rate == 12
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(1.5)
    shown_frames = list(frames(file_of(product)))
    assert len(shown_frames) == 18
    assert all(np.abs(one - next_).mean() > 0.2 for one, next_ in pairwise(shown_frames))


def test_video_progress_is_that_of_the_encoder(sources: Sources, folder: Path) -> None:
    """Progress follows the frames that ffmpeg has finished, never falls, and ends at 1."""
    told = Told()
    made(sources, folder, GenerateVideo(duration=2, fps=24, resolution="64x36"), told)
    fractions = [fraction for fraction, _ in told.steps]
    assert fractions == sorted(fractions)
    assert told.steps[0] == (0.0, "opening_storyboard")
    fraction, step = told.steps[-2]
    assert (round(fraction, 6), step) == (0.98, "rendering_video")  # ffmpeg said that it has encoded all frames
    assert told.steps[-1] == (1.0, "finishing")


def test_a_video_can_start_before_it_is_loaded(sources: Sources, folder: Path) -> None:
    """TS-082: the index of the file precedes its pictures (faststart), so that players need not fetch all of it."""
    product = made(sources, folder, GenerateVideo(duration=1, fps=5, resolution="64x64"))
    content = file_of(product).read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_a_larger_video_is_enlarged_from_bounded_frames(sources: Sources, folder: Path) -> None:
    """TS-080: sizes beyond those that are painted are honoured to the pixel."""
    product = made(sources, folder, GenerateVideo(duration=1, fps=1, resolution="1920x1080"))
    (frame,) = frames(file_of(product))
    assert frame.shape == (1080, 1920, 3)


def test_the_storyboard_is_what_is_seen(sources: Sources, folder: Path) -> None:
    """TS-080: the first shot shows the first picture, the last shot the last, and between them they are blended."""
    green = data_uri(png((20, 180, 40)))
    board = [green, f"{BASE}/boards/red%20one.png"]
    product = made(sources, folder, GenerateVideo(storyboard_images=board, duration=2, fps=10, resolution="96x64"))
    assert product.metadata["shots"] == 2
    assert "warnings" not in product.metadata
    shots = [colour_of(frame) for frame in frames(file_of(product))]
    assert shots[0] == pytest.approx((20, 180, 40), abs=12)
    assert shots[-1] == pytest.approx((200, 20, 20), abs=12)
    between = shots[11]
    assert 40 < between[0] < 180
    assert 40 < between[1] < 160


def test_a_storyboard_picture_that_is_gone_is_drawn(sources: Sources, folder: Path) -> None:
    """TS-080: an unreachable picture is replaced by a drawn shot and named, without its query."""
    board = ["https://10.0.0.1/a.jpg?token=secret", data_uri(png((20, 180, 40)))]
    data = GenerateVideo(storyboard_images=board, scene_description=NOIR, duration=1, fps=8, resolution="96x64")
    product = made(sources, folder, data)
    (warning,) = product.metadata["warnings"]
    assert warning.startswith("storyboard_images[0] could not be opened and was left out: https://10.0.0.1/a.jpg: ")
    assert "secret" not in warning
    shots = list(frames(file_of(product)))
    assert shots[0].std() > 8
    assert colour_of(shots[-1]) == pytest.approx((20, 180, 40), abs=12)


def test_a_storyboard_longer_than_the_film_is_cut(sources: Sources, folder: Path) -> None:
    """TS-080: as many pictures as can be seen are shown; the rest is named."""
    board = [data_uri(png((shade, 90, 90))) for shade in range(10)]
    product = made(sources, folder, GenerateVideo(storyboard_images=board, duration=1, fps=4, resolution="32x32"))
    assert product.metadata["shots"] == 2
    assert product.metadata["warnings"] == ["storyboard_images: the last 8 do not fit into 1 seconds"]


def test_people_stand_where_they_were_put() -> None:
    """TS-080: `character_positions` places one figure each, side by side where they share a place."""
    scene = Scene.from_text("two people in a street", 1, "a b", (-0.5, 0.5))
    assert [figure.place for figure in scene.figures] == [-0.5, 0.5]


def test_a_stopped_video_leaves_no_ffmpeg(sources: Sources, folder: Path) -> None:
    """TS-108: when the soft limit strikes in the middle, ffmpeg is gone before the exception is."""
    before, told = children(), Told(stop_at=0.09)
    with pytest.raises(SoftTimeLimitExceeded):
        made(sources, folder, GenerateVideo(duration=20, fps=24, resolution="64x64"), told)
    assert told.steps[-1][1] == "rendering_video"
    assert children() == before


def test_ffmpeg_dies_with_its_worker(folder: Path) -> None:
    """TS-108: a worker that is killed cannot clean up; ffmpeg ends by itself when its input does."""
    code = (
        "import sys, pathlib; from genfleet_workers.engines.encoder import Encoder, Format\n"
        "with Encoder(Format((64, 64), (64, 64), 24), pathlib.Path(sys.argv[1])) as encoder:\n"
        "    encoder.write(bytes(64 * 64 * 3)); print(encoder._process.pid, flush=True); sys.stdin.read()\n"
    )
    pipe, paths = subprocess.PIPE, os.pathsep.join(sys.path)
    command = [sys.executable, "-c", code, str(folder / "a.mp4")]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env={**os.environ, "PYTHONPATH": paths}) as worker:
        assert worker.stdout is not None
        ffmpeg = Path("/proc", worker.stdout.readline().decode().strip())
        assert ffmpeg.exists()
        worker.send_signal(signal.SIGKILL)
    wait_for("ffmpeg to end", lambda: not ffmpeg.exists())


def test_a_full_disk_is_transient() -> None:
    """TS-111: resource exhaustion is worth another attempt."""
    with pytest.raises(TransientError, match="No space left"):
        encode(Path("/dev/full"))


def test_other_failures_of_ffmpeg_are_permanent_and_say_why(folder: Path) -> None:
    """TS-112: what ffmpeg complains about is in the message."""
    with pytest.raises(PermanentError, match="No such file or directory"):
        encode(folder / "missing" / "a.mp4")


def test_a_killed_ffmpeg_is_transient(folder: Path) -> None:
    """TS-111: the kernel kills what takes too much memory; later there may be enough."""
    with Encoder(Format((64, 64), (64, 64), 24), folder / "a.mp4") as encoder:
        encoder._process.kill()
        with pytest.raises(TransientError, match="signal 9"):
            wait_for("ffmpeg's end to be seen", lambda: encoder.write(bytes(64 * 64 * 3)))


def encode(file: Path) -> None:
    """A short film into this file."""
    with Encoder(Format((64, 64), (64, 64), 24), file) as encoder:
        for _ in range(24):
            encoder.write(bytes(64 * 64 * 3))
        while not encoder.finish():
            pass


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (f"{BASE}/../secret.png", "out of the media folder"),
        (f"{BASE}/%2e%2e/secret.png", "out of the media folder"),
        (f"{BASE}/boards/..%2f..%2fsecret.png", "out of the media folder"),
        (f"{BASE}/%2fetc/passwd", "out of the media folder"),
        (f"{BASE}/link.png", "out of the media folder"),
        (f"{BASE}/%00.png", "Not the name of a media file"),
        (f"{BASE}/boards", "no such media file"),
        (f"{BASE}/gone.png", "no such media file"),
        ("data:image/png;base64,!!!", "not valid base64"),
        ("data:image/png;base64,é", "not valid base64"),
        ("data:image/png;base64,AAAA", "Not a picture"),
        ("data:text/html;base64,AAAA", "Only http and https"),
        ("/etc/passwd", "Only http and https"),
    ],
)
def test_sources_that_are_not_pictures_are_refused(sources: Sources, source: str, complaint: str) -> None:
    """TS-112: neither a path out of the media folder nor a link out of it nor garbage is opened."""
    with pytest.raises(PermanentError, match=complaint):
        PictureSources(sources).open(source)


def test_a_media_url_is_no_prefix_of_another_host(tmp_path: Path) -> None:
    """A host whose name begins like this installation's is another host, and goes through the guard."""
    with pytest.raises(EgressRefused):
        PictureSources(Sources(tmp_path, "http://127.0.0.1")).open("http://127.0.0.1.nip.invalid@127.0.0.1/a.png")


def test_bombs_are_refused_before_they_unfold() -> None:
    """TS-112: a small file that claims more pixels than memory should hold is refused by its header."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 8000, 7000, 8, 2, 0, 0, 0)
    claim = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(PermanentError, match="more than 50,000,000 pixels"):
        decode(claim + png((0, 0, 0))[33:])


def test_pictures_are_upright() -> None:
    """A photograph that says it lies on its side is turned."""
    content, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(content, "JPEG", exif=exif)
    assert decode(content.getvalue()).size == (20, 40)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "CMYK"])
def test_pictures_of_any_mode_become_rgb(mode: str) -> None:
    """Whatever colours a file has, the engines see red, green and blue."""
    content = BytesIO()
    Image.new(mode, (4, 4)).save(content, "TIFF")
    assert decode(content.getvalue()).mode == "RGB"


def test_a_source_is_shown_without_what_it_hides() -> None:
    """Messages hold neither a whole data: URI nor the query of a URL."""
    assert shown(data_uri(b"x" * 1000)) == "data:image/png;base64"
    assert shown("https://a.test/b.png?key=1") == "https://a.test/b.png"
    assert len(shown("https://a.test/" + "b" * 500)) == 120
