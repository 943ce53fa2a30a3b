"""The built-in engines make real sound: speech as it was asked for, and edits that can be measured."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded

from genfleet.contract.audio_data import GenerateCharacterVoice, ProcessAudio
from genfleet.errors import PermanentError
from genfleet_workers.engines.audio import AudioEngine
from genfleet_workers.engines.base import Job, Product
from genfleet_workers.engines.sound import ambience, espeak
from genfleet_workers.engines.sources import Sources
from genfleet_workers.engines.voice import VoiceEngine
from tests.support.attempts import Told, children
from tests.support.products import file_of
from tests.support.sounds import Samples, heard, level, loudness, pitch, silence, strength, tone, wav

BASE = "https://media.test/files"
LINE = "I've been expecting you, detective."
RATE = 48_000


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """An empty media folder."""
    folder = tmp_path / "media"
    folder.mkdir()
    return Sources(folder, BASE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The scratch folder of an attempt."""
    scratch = tmp_path / "attempt"
    scratch.mkdir()
    return scratch


def data_uri(content: bytes, kind: str = "audio/wav") -> str:
    """A file inside the request itself."""
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def spoken(sources: Sources, folder: Path, told: Told | None = None, **data: Any) -> Product:
    """What the voice engine makes of `task_data`."""
    data = {"text": LINE, "output_format": "wav", "sample_rate": 22_050} | data
    asked = GenerateCharacterVoice.model_validate_json(json.dumps(data))
    return VoiceEngine(sources).run(Job("task-1", "project-1", asked, folder, 1), told or Told())


def processed(sources: Sources, folder: Path, told: Told | None = None, **data: Any) -> Product:
    """What the audio engine makes of `task_data`, as it would come by JSON."""
    asked = ProcessAudio.model_validate_json(json.dumps(data))
    return AudioEngine(sources).run(Job("task-1", "project-1", asked, folder, 1), told or Told())


def worked(sources: Sources, folder: Path, sound: Samples, *operations: dict[str, Any]) -> Samples:
    """What operations make of a sound."""
    product = processed(sources, folder, inputs=[data_uri(wav(sound))], operations=list(operations))
    return heard(file_of(product))[0]


# -- generate_character_voice ----------------------------------------------------------------------------------------------


def test_the_documents_own_line_is_spoken(sources: Sources, folder: Path) -> None:
    """TS-084, TS-087: an MP3 of the asked rate, words between moments of rain; the profile nobody can read is named."""
    told = Told()
    product = spoken(
        sources,
        folder,
        told,
        character_voice_profile="https://10.0.0.1/voices/detective_voice.json?key=secret",
        emotion="mysterious",
        pace="slow",
        background_noise="rain_ambience",
        output_format="mp3",
        sample_rate=44_100,
    )
    samples, rate = heard(file_of(product))
    facts = product.metadata
    assert (rate, facts["sample_rate"], facts["format"], facts["channels"]) == (44_100, 44_100, "mp3", len(samples))
    assert samples.shape[1] / rate == pytest.approx(facts["duration"], abs=0.1)
    (warning,) = facts["warnings"]
    assert warning.startswith("character_voice_profile could not be used and was left out: https://10.0.0.1/voices/")
    assert "secret" not in warning
    assert facts["loudness"]["integrated"] == pytest.approx(loudness(file_of(product)), abs=1)
    rain, words = samples[:, int(0.3 * rate) : int(0.6 * rate)], samples[:, rate : 2 * rate]
    assert -60 < level(rain) < level(words) - 12
    assert told.moved_forward()
    assert list(dict.fromkeys(step for _, step in told.steps)) == ["reading_profile", "speaking", "mixing", "encoding"]


@pytest.mark.parametrize(
    ("form", "asked", "made"),
    [("wav", 8_000, 8_000), ("ogg", 96_000, 96_000), ("flac", 192_000, 192_000), ("MP3", 96_000, 48_000)],
)
def test_a_voice_has_the_asked_format_and_rate(
    sources: Sources, folder: Path, form: str, asked: int, made: int
) -> None:
    """TS-084, TS-087: every rate that is accepted is made; MP3 has nine, and what was taken instead is said."""
    product = spoken(sources, folder, output_format=form, sample_rate=asked)
    samples, rate = heard(file_of(product))
    assert (rate, product.metadata["sample_rate"]) == (made, made)
    assert file_of(product).suffix == f".{form.lower()}"
    assert level(samples) > -40
    assert bool(product.metadata.get("warnings")) == (asked != made)


def test_pace_and_emotion_change_the_voice(sources: Sources, folder: Path) -> None:
    """TS-084: slow takes longer; happiness is quicker, higher and louder than sadness."""
    asked_for: dict[str, dict[str, Any]] = {
        "plain": {},
        "slow": {"pace": "very slow"},
        "happy": {"emotion": "happy"},
        "sad": {"emotion": "deeply_sad"},
    }
    made = {name: (spoken(sources, folder, **asked), *heard(folder / "voice.wav")) for name, asked in asked_for.items()}
    lasts = {name: product.metadata["duration"] for name, (product, _, _) in made.items()}
    high = {name: pitch(samples, rate) for name, (_, samples, rate) in made.items()}
    loud = {name: product.metadata["loudness"]["integrated"] for name, (product, _, _) in made.items()}
    assert lasts["slow"] > 1.25 * lasts["plain"]
    assert lasts["happy"] < lasts["plain"] < lasts["sad"]
    assert high["happy"] > 1.15 * high["plain"]
    assert high["sad"] < 0.95 * high["plain"]
    assert loud["happy"] > loud["plain"] > loud["sad"] + 2


def test_a_profile_is_a_voice_of_its_own(sources: Sources, folder: Path) -> None:
    """TS-084: language, gender, pitch and speed come from the JSON; one out of bounds is left out and named."""
    profile = {"language": "de", "gender": "female", "pitch": 80, "words_per_minute": 240, "name": "ignored"}
    (sources.media_dir / "voice.json").write_text(json.dumps(profile))
    product = spoken(sources, folder, text="Guten Abend, Herr Kommissar", character_voice_profile=f"{BASE}/voice.json")
    assert product.metadata["voice"].startswith("de+f")
    assert product.metadata["words_per_minute"] == 240
    assert pitch(*heard(file_of(product))) > 170

    wrong = data_uri(b'{"pitch": 800}', "application/json")
    product = spoken(sources, folder, character_voice_profile=wrong)
    (warning,) = product.metadata["warnings"]
    assert "data:application/json;base64: pitch: Input should be less than or equal to 100" in warning
    nobody = data_uri(b'{"language": "xx", "variant": "m1"}', "application/json")
    assert "no voice 'xx+m1'" in spoken(sources, folder, character_voice_profile=nobody).metadata["warnings"][0]


def test_the_same_line_is_the_same_file(sources: Sources, folder: Path) -> None:
    """TS-084: the same input gives the same bytes, another seed another rain."""
    first = file_of(spoken(sources, folder, background_noise="rain", seed=1)).read_bytes()
    assert file_of(spoken(sources, folder, background_noise="rain", seed=1)).read_bytes() == first
    assert file_of(spoken(sources, folder, background_noise="rain", seed=2)).read_bytes() != first


def test_words_that_are_not_known_change_nothing_and_are_named(sources: Sources, folder: Path) -> None:
    """TS-084: the documents list no values, so any text is taken, and the metadata say what was not understood."""
    plain = file_of(spoken(sources, folder)).read_bytes()
    product = spoken(sources, folder, emotion="mauve", pace="glacial", background_noise="didgeridoo")
    assert file_of(product).read_bytes() == plain
    assert [warning.partition(":")[0] for warning in product.metadata["warnings"]] == [
        "emotion",
        "pace",
        "background_noise",
    ]


@pytest.mark.parametrize("name", ambience.names())
def test_every_ambience_is_a_circle_of_sound(folder: Path, name: str) -> None:
    """TS-084: none is silent or clipped, none jumps where its end meets its beginning, and the name alone is enough."""
    ambience.record(name, 7, folder / "a.au")
    samples, _ = heard(folder / "a.au")
    assert ambience.named(f"{name}_ambience") == name
    assert level(samples) == pytest.approx(-20, abs=1.5)
    jumps = np.abs(np.diff(samples, axis=1))
    assert np.abs(samples[:, 0] - samples[:, -1]).max() <= 1.2 * jumps.max()


@pytest.mark.parametrize("text", ["", "  \n", "\u200b"])
def test_a_voice_without_words_fails_and_says_so(sources: Sources, folder: Path, text: str) -> None:
    """TS-112, PI-023: nothing is refused for absence, but nothing cannot be spoken either."""
    with pytest.raises(PermanentError, match=r"task_data\.text"):
        spoken(sources, folder, text=text)


def test_a_machine_without_a_speaker_says_what_is_missing(
    sources: Sources, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TS-112: neither the wheel nor the system has espeak-ng: the task fails with the remedy, at once."""
    program = Path(espeak.__file__).read_text().replace("import espeakng_loader", "raise ImportError")
    elsewhere = folder / "espeak.py"
    elsewhere.write_text(program.replace('find_library("espeak-ng")', 'find_library("nowhere-to-be-found")'))
    monkeypatch.setattr(espeak, "__file__", str(elsewhere))
    with pytest.raises(PermanentError, match=r"This worker cannot speak: .*install the package espeak-ng"):
        spoken(sources, folder)


@pytest.mark.parametrize(("stop_at", "step"), [(0.1, "speaking"), (0.5, "mixing"), (0.7, "encoding")])
def test_a_stopped_voice_leaves_no_process(sources: Sources, folder: Path, stop_at: float, step: str) -> None:
    """TS-108: whenever the soft limit strikes, the speaker or ffmpeg is gone before the exception is."""
    before, told = children(), Told(stop_at)
    with pytest.raises(SoftTimeLimitExceeded):
        spoken(sources, folder, told, text=LINE * 250, background_noise="room")
    assert told.steps[-1][1] == step
    assert children() == before


# -- process_audio -------------------------------------------------------------------------------------------------------


def test_sounds_are_mixed_where_and_as_loud_as_asked(sources: Sources, folder: Path) -> None:
    """TS-086: each input has its gain and its moment; of media of this installation, of a data: URI; the rest is silent."""
    (sources.media_dir / "low.wav").write_bytes(wav(tone(440, 1)))
    inputs = [f"{BASE}/low.wav", {"source": data_uri(wav(tone(1_000, 1))), "gain": -12, "offset": 1.5}]
    told = Told()
    product = processed(sources, folder, told, inputs=inputs)
    samples, rate = heard(file_of(product))
    assert (rate, samples.shape) == (RATE, (1, round(2.5 * RATE)))
    first, between, second = samples[:, :RATE], samples[:, RATE : round(1.5 * RATE)], samples[:, round(1.5 * RATE) :]
    assert strength(first, rate, 440) == pytest.approx(-12, abs=0.3)
    assert strength(second, rate, 1_000) == pytest.approx(-24, abs=0.3)
    assert strength(second, rate, 440) < -60
    assert level(between) < -80
    assert product.metadata["duration"] == 2.5
    assert told.moved_forward()


def test_music_makes_room_for_a_voice(sources: Sources, folder: Path) -> None:
    """TS-086: a looped bed lasts as long as what it lies under, and is lower while that sounds."""
    speech = np.concatenate([silence(1), tone(1_000, 2), silence(2)], axis=1)
    bed = {"source": data_uri(wav(tone(200, 0.5, gain=0.1))), "loop": True, "duck": True}
    mix = {"type": "mix", "inputs": [bed]}
    samples = worked(sources, folder, speech, mix)
    assert samples.shape[1] == 5 * RATE
    alone, under, after = (
        strength(samples[:, round(start * RATE) : round((start + 0.5) * RATE)], RATE, 200) for start in (0.3, 2.0, 4.5)
    )
    assert under < alone - 6
    assert after == pytest.approx(alone, abs=1)


@pytest.mark.parametrize(("target", "gain"), [(-16, 0.02), (-23, 0.5), (-14, 0.9)])
def test_loudness_is_brought_to_its_target(sources: Sources, folder: Path, target: float, gain: float) -> None:
    """TS-086: within 1 LU by an independent measurement, no peak above its ceiling, and both loudnesses are told."""
    chance = np.random.default_rng(3)
    noise = chance.standard_normal((2, 4 * RATE)) * 0.15 * gain
    noise[:, :: RATE // 7] = gain  # sharp peaks, which a gain alone would lift over the ceiling
    operation = {"type": "loudness", "target": target, "true_peak": -2}
    product = processed(sources, folder, inputs=[data_uri(wav(np.clip(noise, -1, 1)))], operations=[operation])
    assert loudness(file_of(product)) == pytest.approx(target, abs=1)
    assert np.abs(heard(file_of(product), 192_000)[0]).max() <= 10 ** (-2 / 20) + 0.01
    told = product.metadata["loudness"]
    assert told["after"]["integrated"] == pytest.approx(target, abs=1)
    assert abs(told["before"]["integrated"] - target) > 2
    assert "warnings" not in product.metadata


def test_silence_has_no_loudness(sources: Sources, folder: Path) -> None:
    """TS-086: nothing is raised to a target, and the metadata say so; JSON knows no minus infinity."""
    product = processed(
        sources, folder, inputs=[data_uri(wav(silence(1)))], operations=[{"type": "loudness", "target": -16}]
    )
    assert product.metadata["loudness"]["after"]["integrated"] is None
    assert product.metadata["warnings"][0].startswith("operations[0]: silence")


def test_noise_goes_and_the_tone_stays(sources: Sources, folder: Path) -> None:
    """TS-086: denoise lowers steady noise by much, and a voice-like tone by little."""
    noise = np.random.default_rng(1).standard_normal((1, 4 * RATE)) * 0.01
    sound = noise + np.concatenate([silence(2), tone(700, 2)], axis=1)
    samples = worked(sources, folder, sound, {"type": "denoise", "reduction": 24})
    assert level(samples[:, RATE : 2 * RATE]) < level(sound[:, RATE : 2 * RATE]) - 12
    assert strength(samples[:, 3 * RATE :], RATE, 700) == pytest.approx(-12, abs=1)


def test_trim_and_fades_shape_the_ends(sources: Sources, folder: Path) -> None:
    """TS-086: a part is kept, the silence around it goes, and what is left begins and ends softly."""
    sound = np.concatenate([silence(1), tone(500, 1), silence(0.5), tone(500, 1), silence(1)], axis=1)
    kept = worked(sources, folder, sound, {"type": "trim", "start": 0.5, "end": 3.8, "silence": True})
    assert kept.shape[1] / RATE == pytest.approx(2.5, abs=0.01)
    assert level(kept[:, round(1.1 * RATE) : round(1.4 * RATE)]) < -80  # a pause in the middle is no end
    faded = worked(
        sources, folder, tone(500, 2), {"type": "fade_in", "seconds": 1}, {"type": "fade_out", "seconds": 0.5}
    )
    tenth = RATE // 10
    assert level(faded[:, :tenth]) < level(faded[:, RATE : RATE + tenth]) - 20
    assert level(faded[:, -tenth:]) < level(faded[:, RATE : RATE + tenth]) - 15


def test_speed_keeps_the_pitch_and_gain_is_gain(sources: Sources, folder: Path) -> None:
    """TS-086: twice as fast is half as long, at the same pitch."""
    samples = worked(sources, folder, tone(500, 2), {"type": "speed", "factor": 2}, {"type": "gain", "gain": -6})
    assert samples.shape[1] / RATE == pytest.approx(1, abs=0.03)
    assert strength(samples[:, RATE // 4 : RATE // 2], RATE, 500) == pytest.approx(-18, abs=1.5)


def test_convert_decides_what_the_file_is(sources: Sources, folder: Path) -> None:
    """TS-086, TS-087: format, rate and channels; two channels become their mean, so nothing is clipped."""
    stereo = np.concatenate([tone(500, 1), silence(1)], axis=0)
    convert = {"type": "convert", "format": "ogg", "sample_rate": 22_050, "channels": 1}
    product = processed(sources, folder, inputs=[data_uri(wav(stereo))], operations=[convert])
    samples, rate = heard(file_of(product))
    assert (file_of(product).suffix, rate, len(samples)) == (".ogg", 22_050, 1)
    assert strength(samples, rate, 500) == pytest.approx(-18, abs=0.5)
    facts = {name: product.metadata[name] for name in ("format", "sample_rate", "channels", "operations")}
    assert facts == {"format": "ogg", "sample_rate": 22_050, "channels": 1, "operations": ["convert"]}


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ([], "name at least one source in task_data.inputs"),
        (["data:audio/wav;base64,!!!"], "not valid base64"),
        ([data_uri(b"")], "Not sound that can be read"),
        ([data_uri(b"RIFF\x00\x00\x00\x00WAVEfmt ")], "Not sound that can be read"),
        ([data_uri(wav(silence(0)))], "no sound in it|Not sound that can be read|nothing"),
        ([data_uri(b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")], "Not sound that can be read"),
        ([data_uri(b"ffconcat version 1.0\nfile /etc/passwd\n")], "Not sound that can be read"),
        ([data_uri(b"\x89PNG\r\n\x1a\n" + bytes(99))], "Not sound that can be read"),
        (["concat:/etc/passwd|/etc/group"], "Only http and https"),
        (["file:///etc/passwd"], "Only http and https"),
        ([f"{BASE}/../secret.wav"], "out of the media folder"),
        (["http://127.0.0.1:9/a.wav"], "not a public address"),
    ],
)
def test_what_is_no_sound_fails_the_task(sources: Sources, folder: Path, inputs: list[str], complaint: str) -> None:
    """TS-112, PI-023: neither nothing, nor garbage, nor a list of other files is processed; the input is named."""
    with pytest.raises(PermanentError, match=complaint) as caught:
        processed(sources, folder, inputs=inputs)
    assert str(caught.value).startswith("inputs[0] could not be read" if inputs else "There is no sound")


@pytest.mark.parametrize("trim", [{"start": 2}, {"start": 2, "silence": True}, {"silence": True}])
def test_a_sound_that_is_all_trimmed_away_is_said_to_be(sources: Sources, folder: Path, trim: dict[str, Any]) -> None:
    """TS-112: an empty file is no result; the operation is named."""
    with pytest.raises(PermanentError, match=r"operations\[0\]: nothing is left"):
        worked(sources, folder, silence(1), {"type": "trim", **trim})


def test_lengths_are_bounded(sources: Sources, folder: Path) -> None:
    """TS-112: neither an input nor what is made of it lasts more than ten minutes."""
    (sources.media_dir / "long.wav").write_bytes(wav(silence(601, rate=8_000), 8_000))
    with pytest.raises(PermanentError, match="Longer than the 10 minutes"):
        processed(sources, folder, inputs=[f"{BASE}/long.wav"])
    late = {"source": data_uri(wav(tone(500, 1))), "offset": 600}
    with pytest.raises(PermanentError, match="The mix would last longer than the 10 minutes"):
        processed(sources, folder, inputs=[late])


def test_a_stopped_edit_leaves_no_process(sources: Sources, folder: Path) -> None:
    """TS-108: ffmpeg is gone before the exception is."""
    before, told = children(), Told(stop_at=0.3)
    (sources.media_dir / "long.wav").write_bytes(wav(tone(300, 500, rate=8_000), 8_000))
    with pytest.raises(SoftTimeLimitExceeded):
        processed(sources, folder, told, inputs=[f"{BASE}/long.wav"], operations=[{"type": "denoise"}])
    assert told.steps[-1][1] == "denoise"
    assert children() == before
