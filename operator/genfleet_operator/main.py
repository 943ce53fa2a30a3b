"""`genfleet-operator`: looks after the GenerationQueues of a cluster."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import kopf
import structlog
import yaml

from genfleet import logs
from genfleet.errors import ConfigurationError
from genfleet.store.client import AsyncStore
from genfleet.store.redis_check import keep_looking, look_at_start
from genfleet.store.rights import Program
from genfleet.store.upkeep import keep_up
from genfleet_operator import watch
from genfleet_operator.blueprint import Installation, Manifest
from genfleet_operator.controller import Controller
from genfleet_operator.kube import Cluster
from genfleet_operator.leader import Leadership
from genfleet_operator.merge import laid
from genfleet_operator.probes import Probes, serving
from genfleet_operator.reporter import Reporter
from genfleet_operator.settings import OperatorSettings
from genfleet_operator.world import World

log = structlog.get_logger(__name__)

KOPF_ENDS_WITHIN_S = 5.0
"""Longer is not waited for: nothing of it is left to be done."""
WATCH_AGAIN_S, LONGEST_PAUSE_S = 2.0, 8.0
"""Before watches that were refused begin anew; twice as long each time. A pod that ends is started later and later."""


def main() -> int:
    """Read the settings, and look after the queues until told to stop."""
    argparse.ArgumentParser(prog="genfleet-operator", description=__doc__).parse_args()
    try:
        settings = OperatorSettings.load()
        installation = _installation(settings)
        logs.set_up(
            "operator", level=settings.log_level, style=settings.log_format, errors_apart=settings.log_errors_apart
        )
        for chatty in ("httpcore2", "httpx2", "kopf"):  # a line for each request and each event
            logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
        return asyncio.run(_operate(settings, installation))
    except ConfigurationError as error:
        sys.stderr.write(f"genfleet-operator: {error}\n")
        return 2


def _installation(settings: OperatorSettings) -> Installation:
    file = settings.worker_template
    return Installation(
        image=settings.worker_image,
        template=_template(file) if file else {},
        trust_templates=settings.trust_templates,
        allowed_images=settings.allowed_images,
        any_queue=settings.any_queue,
    )


def _template(file: Path) -> Manifest:
    """The pod template of the installation: each document of the file over those before it. Raises ConfigurationError."""
    try:
        documents = list(yaml.safe_load_all(file.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"GENFLEET_WORKER_TEMPLATE: {file}: {error}") from error
    for document in filter(None, documents):
        if not _is_template(document):
            raise ConfigurationError(f"GENFLEET_WORKER_TEMPLATE: {file}: should be a pod template: metadata and spec")
    template: Manifest = laid(documents)
    return template


def _is_template(value: object) -> bool:
    """Whether it has the shape of a pod template, as far as we look into one."""
    if not isinstance(value, dict) or not value.keys() <= {"metadata", "spec"}:
        return False
    spec = value.get("spec") or {}
    containers = (spec.get("containers") or []) if isinstance(spec, dict) else None
    return isinstance(containers, list) and all(isinstance(one, dict) for one in containers)


async def _operate(settings: OperatorSettings, installation: Installation) -> int:
    """The exit status: 0 after SIGTERM, 1 when somebody else has to take over."""
    stop = asyncio.Event()
    _stop_on_signals(stop)
    probes, cluster, store = Probes(), Cluster(settings.namespaces), AsyncStore(settings.redis)
    leadership = probes.leadership = Leadership(cluster, settings.home, settings.lease_name, settings.holder, _now)
    world = World()
    controller = Controller(
        cluster=cluster,
        store=store,
        world=world,
        installation=installation,
        reporter=Reporter(cluster, store, _now),
        clock=_now,
    )
    watching_over, watches = asyncio.Event(), None
    async with serving(settings, probes):
        try:
            teller = await asyncio.to_thread(look_at_start, settings.redis, Program.OPERATOR, _now().timestamp())
            if not await _first(leadership.win(), stop.wait()):
                return 0 if stop.is_set() else 1
            probes.leading = controller
            watches = asyncio.create_task(_watch(settings, world, controller, stop, watching_over))
            await _first(
                stop.wait(),
                controller.run(),
                leadership.keep(),
                keep_up(store, settings.holder),
                keep_looking(store, teller),
                asyncio.shield(watches),
            )
            log.info("stopping")
            return 0 if stop.is_set() else 1
        finally:
            await leadership.leave()  # before kopf ends, which takes seconds
            watching_over.set()
            if watches:
                await asyncio.wait((watches,), timeout=KOPF_ENDS_WITHIN_S)
            await store.close()
            await cluster.close()


def _stop_on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _first(*parts: Awaitable[object]) -> bool:
    """Run all until one ends, then end the others. Whether it was the first one, and well. Errors are logged."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("part_failed", exc_info=result)
    return tasks[0] in done and tasks[0].exception() is None


async def _watch(
    settings: OperatorSettings, world: World, controller: Controller, stop: asyncio.Event, over: asyncio.Event
) -> None:
    """Kopf, until it is told that it is over. Where a watch is refused, all of it ends with an error: then it begins anew."""
    # Not before: kopf looks once for what there is to watch, and would never hear of a definition that comes later.
    if await _first(over.wait(), controller.listed.wait()):
        return
    pause = WATCH_AGAIN_S
    while not over.is_set():
        try:
            await _watch_once(settings, world, controller, stop, over)
            break
        except Exception as error:  # noqa: BLE001  whatever it is: our own lists and all decisions go on meanwhile
            log.warning("watches_ended", reason=repr(error), again_after_s=pause)
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def _watch_once(
    settings: OperatorSettings, world: World, controller: Controller, stop: asyncio.Event, over: asyncio.Event
) -> None:
    """One run of kopf. It puts signal handlers in the place of ours, which we take back."""
    ready = asyncio.Event()
    kopf_runs = asyncio.create_task(
        kopf.operator(
            registry=watch.registry(world, controller.news, controller.watch_began),
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=over,
            ready_flag=ready,
        )
    )
    await asyncio.wait((asyncio.ensure_future(ready.wait()), kopf_runs), return_when=asyncio.FIRST_COMPLETED)
    _stop_on_signals(stop)
    await kopf_runs


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    raise SystemExit(main())
