"""The media types through a real worker: what is submitted comes out as a file that can be played, one made of another."""

from __future__ import annotations

import json
from typing import Any

import av

from genfleet.store.client import SyncStore
from genfleet.store.records import TaskRecord
from tests.support.servers import ROOT, Site
from tests.support.tasks import record, submitted
from tests.support.waiting import wait_for

OURS = "genfleet_workers.engines:engines"
URL = "https://media.test"


def example(name: str) -> dict[str, Any]:
    """The arguments of an example."""
    data: dict[str, Any] = json.loads((ROOT / "examples" / f"{name}.json").read_text())["task_data"]
    return data


def completed(store: SyncStore, task_id: str) -> TaskRecord:
    """The record of a task that has ended well."""
    wait_for(f"{task_id} ends", lambda: record(store, task_id).finished_ms, within=60)
    ended = record(store, task_id)
    assert ended.result is not None, ended.error
    return ended


def test_a_voice_is_spoken_and_then_edited(site: Site, store: SyncStore) -> None:
    """TS-084, TS-086: the documents' own line; its media_url is then the input of process_audio."""
    with site.worker(queue="cpu_intensive", GENFLEET_ENGINES=OURS, GENFLEET_MEDIA_URL=URL):
        spoken = completed(
            store, submitted(store, kind="generate_character_voice", **example("generate_character_voice"))
        )
        assert spoken.result is not None
        assert (spoken.result["metadata"]["format"], spoken.result["metadata"]["sample_rate"]) == ("mp3", 44_100)
        again = {"source": spoken.result["media_url"], "offset": 1.0}
        operations = example("process_audio")["operations"]
        edit = submitted(store, kind="process_audio", inputs=[spoken.result["media_url"], again], operations=operations)
        edited = completed(store, edit)
    assert edited.result is not None
    facts = edited.result["metadata"]
    assert facts["loudness"]["after"]["integrated"] > -17
    with av.open(str(site.folder / "media" / edited.result["media_url"].removeprefix(URL + "/"))) as sound:
        assert sound.streams.audio[0].codec_context.name.startswith("mp3")


def test_an_animation_is_rendered(site: Site, store: SyncStore) -> None:
    """TS-086, TS-105: the example, shorter and smaller, by the worker of videos."""
    smaller = example("render_animation") | {"duration": 1, "resolution": "160x90"}
    with site.worker(queue="gpu_heavy", GENFLEET_ENGINES=OURS, GENFLEET_MEDIA_URL=URL):
        rendered = completed(store, submitted(store, kind="render_animation", **smaller))
    assert rendered.result is not None
    with av.open(str(site.folder / "media" / rendered.result["media_url"].removeprefix(URL + "/"))) as film:
        assert sum(1 for _ in film.decode(video=0)) == 24
