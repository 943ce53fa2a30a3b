"""What makes things. One engine per task type, behind the seam of `engines.base`.

Engines load large libraries, and a child process holds what it has loaded. So each is made when it is first asked for,
and only those of the worker's own queue are made ahead, before the first task comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers.engines.base import Engine
from genfleet_workers.engines.sources import Sources
from genfleet_workers.settings import WorkerSettings

if TYPE_CHECKING:
    from genfleet_workers.engines.model.endpoint import Model
    from genfleet_workers.engines.pictures import PictureSources

Make = Callable[[WorkerSettings], Engine]
"""Makes an engine. Imports it, too: see above."""


def engines(settings: WorkerSettings) -> Mapping[str, Engine]:
    """The engines of this version, by the name of their task type."""
    made = OnDemand(_MAKERS, settings)
    for name in _MAKERS:
        if TASK_TYPES[name].queue == settings.queue:
            made[name]
    return made


class OnDemand(Mapping[str, Engine]):
    """Engines by task type, each made at the first look."""

    def __init__(self, makers: Mapping[str, Make], settings: WorkerSettings) -> None:
        self._makers, self._settings = makers, settings
        self._made: dict[str, Engine] = {}

    def __getitem__(self, name: str) -> Engine:
        if name not in self._made:
            self._made[name] = self._makers[name](self._settings)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _sources(settings: WorkerSettings) -> Sources:
    return Sources(settings.media_dir, settings.media_url, settings.allow_private_sources)


def _pictures(settings: WorkerSettings) -> PictureSources:
    from genfleet_workers.engines.pictures import PictureSources

    return PictureSources(_sources(settings))


def _image(settings: WorkerSettings) -> Engine:
    from genfleet_workers.engines.image import ImageEngine

    return ImageEngine(_pictures(settings))


def _video(settings: WorkerSettings) -> Engine:
    from genfleet_workers.engines.video import VideoEngine

    return VideoEngine(_pictures(settings))


def _voice(settings: WorkerSettings) -> Engine:
    from genfleet_workers.engines.voice import VoiceEngine

    return VoiceEngine(_sources(settings))


def _audio(settings: WorkerSettings) -> Engine:
    from genfleet_workers.engines.audio import AudioEngine

    return AudioEngine(_sources(settings))


def _animation(_settings: WorkerSettings) -> Engine:
    from genfleet_workers.engines.animation import AnimationEngine

    return AnimationEngine()


def _model(settings: WorkerSettings) -> Model | None:
    from genfleet_workers.engines.model.endpoint import Endpoint, Model

    if not settings.llm_url or not settings.llm_name:
        return None
    return Model(
        Endpoint(
            url=settings.llm_url,
            name=settings.llm_name,
            key=settings.llm_key,
            timeout=settings.llm_timeout,
            max_tokens=settings.llm_max_tokens,
            temperature=settings.llm_temperature,
        )
    )


def _prompt(settings: WorkerSettings) -> Engine:
    from genfleet_workers.engines.prompt import PromptEngine

    return PromptEngine(_model(settings))


def _evaluation(settings: WorkerSettings) -> Engine:
    from genfleet_workers.engines.evaluation import EvaluationEngine

    return EvaluationEngine(_model(settings))


def _gathering(settings: WorkerSettings) -> Engine:
    from genfleet_workers.engines.gathering import GatheringEngine

    return GatheringEngine(_sources(settings), _model(settings))


_MAKERS: Mapping[str, Make] = {
    "generate_image": _image,
    "generate_video": _video,
    "generate_character_voice": _voice,
    "process_audio": _audio,
    "render_animation": _animation,
    "evaluate_department": _evaluation,
    "automated_gather_creation": _gathering,
    "test_prompt": _prompt,
}
