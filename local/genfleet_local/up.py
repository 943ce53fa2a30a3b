"""`genfleet up`: starts everything in order, shows it, and stops everything in the opposite order."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from genfleet.contract.queue import GenerationQueue
from genfleet.contract.task_types import QUEUES
from genfleet.errors import ConfigurationError
from genfleet.settings import ProgramSettings
from genfleet.store.client import AsyncStore
from genfleet.store.redis_check import Teller, keep_looking, look_at_start
from genfleet.store.rights import Program
from genfleet.store.upkeep import keep_up
from genfleet_local import resources
from genfleet_local.fleet import Fleet
from genfleet_local.home import Home
from genfleet_local.processes import Parts, tail
from genfleet_local.redis_server import RedisServer
from genfleet_local.worker_process import WorkerProcess

START_WITHIN_S = 30.0
"""Time for the API to answer."""
HAND_BACK_S = 5.0
"""How long running tasks may go on after ctrl-C. Then they are handed back, and the next `up` runs them again."""
STOP_WITHIN_S = 15.0
"""When a worker that has not left by then is killed."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `genfleet up` was asked for."""

    home: Home
    queues: Path
    host: str
    port: int
    redis_url: str | None = None
    """A Redis that is there already. None: one is started."""

    @property
    def url(self) -> str:
        """Where the API is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class ProcessLauncher:
    """Starts workers with this very Python."""

    def __init__(self, home: Home, environment: dict[str, str], parts: Parts) -> None:
        self._home, self._parts = home, parts
        self._environment = environment

    def launch(self, queue: GenerationQueue, number: int) -> WorkerProcess:
        """Start a worker of this queue."""
        name = queue.spec.queue
        worker_id = f"celery-redis-worker.{name}.{os.getpid()}-{number}@{os.uname().nodename}"
        command = [sys.executable, "-m", "genfleet_workers", "--queue", name, "--name", worker_id]
        command += ["--concurrency", str(queue.spec.concurrency)]
        log = self._home.logs / f"worker-{name}.log"
        return WorkerProcess(worker_id, self._parts.start(command, environment=self._environment, log=log))


async def up(options: Options, console: Console) -> None:
    """Run until told to stop. Raises ConfigurationError if it cannot start."""
    queues = resources.load(options.queues)
    options.home.make()
    async with AsyncExitStack() as stack:
        earlier = "waiting for the end of what an earlier `genfleet up` has left, which was killed"
        parts = stack.enter_context(options.home.claimed(lambda: _note(console, earlier)))
        _check_port(options)
        stack.callback(options.home.withdraw)  # the last thing: while the API answers, the command line finds its key
        stop = _stop_event()
        where, is_there = await stack.enter_async_context(_redis(options, parts, console))
        environment = _environment(options, where)
        address = ProgramSettings.redis_at(where)
        teller = await asyncio.to_thread(look_at_start, address, Program.API, time.time())  # noqa: TID251  an entry point
        if options.redis_url:
            _done(console, f"Redis at {address}")
        api = await stack.enter_async_context(_api(options, environment, parts, console))
        store = AsyncStore(address)
        stack.push_async_callback(store.close)
        fleet = Fleet(queues, store, ProcessLauncher(options.home, environment, parts))
        _done(console, f"fleet controller of {', '.join(queue.spec.queue for queue in queues)}")
        unserved = [name for name in QUEUES if name not in {queue.spec.queue for queue in queues}]
        if unserved:
            _note(
                console,
                f"nobody serves {', '.join(unserved)}: {options.queues} has no resource for that, so tasks wait",
            )
        stack.push_async_callback(_stop_fleet, fleet, console)
        api_key = environment["API_KEY"].split(",")[0].strip()
        options.home.announce(options.url, api_key)
        _welcome(console, options, api_key)
        logs = options.home.logs
        running = {logs / "redis.log": is_there, logs / "api.log": lambda: api.poll() is None}
        await _until_stopped(stop, fleet, store, teller, running)


def _check_port(options: Options) -> None:
    """Before anything is started. Raises ConfigurationError."""
    with socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            raise ConfigurationError(
                f"port {options.port} of {options.host} cannot be used ({error.strerror}): stop the program that has "
                f'it, or choose another port: `genfleet up --port {options.port + 1}`, or make up ARGS="--port {options.port + 1}"'
            ) from None


def _stop_event() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


def _environment(options: Options, redis_url: str) -> dict[str, str]:
    """What the programs are told. A broker of the surrounding environment is none of theirs."""
    home = options.home
    inherited = {name: value for name, value in os.environ.items() if name not in ("CELERY_BROKER_URL", "REDIS_URL")}
    return {
        # What suits one machine, unless the surrounding environment says otherwise.
        "GENFLEET_REMOTE_CONTROL": "true",
        "GENFLEET_ALLOW_HTTP_CALLBACKS": "true",
        "GENFLEET_ALLOW_PRIVATE_CALLBACKS": "true",
        "GENFLEET_DRAIN_SECONDS": f"{HAND_BACK_S:g}",
        **inherited,
        "REDIS_URL": redis_url,
        "API_KEY": home.api_keys(),
        "GENFLEET_HOST": options.host,
        "PORT": str(options.port),
        "GENFLEET_MEDIA_DIR": str(home.media),
        "GENFLEET_MEDIA_URL": f"{options.url}/media",
        "GENFLEET_SCRATCH_DIR": str(home.scratch),
        "PYTHONUNBUFFERED": "1",
    }


@asynccontextmanager
async def _redis(options: Options, parts: Parts, console: Console) -> AsyncIterator[tuple[str, Callable[[], bool]]]:
    """The address, and whether what we started is still there."""
    if options.redis_url:
        yield options.redis_url, lambda: True
        return
    home = options.home
    server = RedisServer(home, parts)
    try:
        with console.status("starting Redis"):
            await server.start(dict(os.environ))
        _done(console, f"Redis ({server.program.name}, append-only file in {home.redis})")
        yield server.url, server.running
    finally:
        await server.stop()
        _done(console, "Redis stopped, its data is on disk")


@asynccontextmanager
async def _api(
    options: Options, environment: dict[str, str], parts: Parts, console: Console
) -> AsyncIterator[subprocess.Popen[bytes]]:
    log = options.home.logs / "api.log"
    process = parts.start([sys.executable, "-m", "genfleet_service"], environment=environment, log=log)
    try:
        with console.status("starting the API"):
            await _wait_for_api(options, process, log)
        _done(console, f"API on {options.url}")
        yield process
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
        _done(console, "API stopped")


async def _wait_for_api(options: Options, process: subprocess.Popen[bytes], log: Path) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            async with asyncio.timeout(START_WITHIN_S):
                while not await _answers(client, f"{options.url}/health"):
                    if process.poll() is not None:
                        raise ConfigurationError(f"the API did not start:\n{tail(log)}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise ConfigurationError(f"the API did not answer in {START_WITHIN_S:g} s, see {log}") from None


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def _until_stopped(
    stop: asyncio.Event, fleet: Fleet, store: AsyncStore, teller: Teller, parts: dict[Path, Callable[[], bool]]
) -> None:
    """Run the fleet until ctrl-C, or until a part is gone. Raises ConfigurationError for the latter."""
    work: list[Awaitable[object]] = [
        fleet.run(),
        keep_up(store, "fleet"),
        keep_looking(store, teller),
        stop.wait(),
        _part_gone(parts),
    ]
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _part_gone(parts: dict[Path, Callable[[], bool]]) -> None:
    """Ends when a part, known by its log, has ended. Raises ConfigurationError."""
    while True:
        for log, is_there in parts.items():
            if not is_there():
                raise ConfigurationError(f"{log.stem} has ended by itself; the end of {log}:\n{tail(log)}")
        await asyncio.sleep(0.5)


async def _stop_fleet(fleet: Fleet, console: Console) -> None:
    with console.status(f"stopping: what still runs in {HAND_BACK_S:g} seconds is handed back, for the next start"):
        await fleet.stop(STOP_WITHIN_S)
    _done(console, "workers stopped")


def _done(console: Console, what: str) -> None:
    console.print(Text("✓ ", style="green") + Text(what, style="default"), soft_wrap=True)


def _note(console: Console, what: str) -> None:
    console.print(Text("! ", style="yellow") + Text(what, style="default"), soft_wrap=True)


def _welcome(console: Console, options: Options, api_key: str) -> None:
    """What a newcomer needs: where it is, the key, and commands to try, each on a line of its own to be copied."""
    table = Table.grid(padding=(0, 2))
    for name, value in (("API", options.url), ("API key", api_key), ("Data", str(options.home.folder))):
        table.add_row(name, Text(value, overflow="fold"))
    console.print(Panel(table, title="genfleet is up", subtitle="ctrl-C stops it", border_style="green", expand=False))
    console.print(f"In another terminal{', in this folder' if _is_found_here(options) else ''}:")
    for line in _to_try(options):
        console.print(Text(f"  {line}"), soft_wrap=True)


def _to_try(options: Options) -> list[str]:
    command = "genfleet" if shutil.which("genfleet") else str(Path(sys.executable).parent / "genfleet")
    setting = [] if _is_found_here(options) else [f"export GENFLEET_DATA={shlex.quote(str(options.home.folder))}"]
    picture = f"""{command} submit generate_image --data '{{"prompt":"rainy neon city"}}' --wait"""
    video = Path("examples/generate_video.json")
    return [
        *setting,
        picture,
        *([f"{command} submit --file {video} --wait"] if video.exists() else []),
        f"{command} queues --watch",
    ]


def _is_found_here(options: Options) -> bool:
    """Whether the command line finds this installation without being told, when it is called in this folder."""
    return options.home.folder == Path.cwd() / ".genfleet"
