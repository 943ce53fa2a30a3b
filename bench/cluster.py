"""What measurements on a cluster share: a namespace, a Redis, the operator as a process, eyes on the API server.

Any cluster that KUBECONFIG names will do, if the definition of GenerationQueue is there. The operator runs on this
machine and from this tree, and looks after the measurement's own namespace only. Its workers are simulated, or wait for
a node that nobody has; so no image is needed.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import httpx2
import psutil
from lightkube import ApiError, AsyncClient
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_global_resource
from lightkube.types import OnErrorAction, OnErrorResult
from prometheus_client.parser import text_string_to_metric_families

from genfleet.store import capacity, steps
from genfleet.store.client import AsyncStore
from genfleet.store.records import NewTask
from genfleet_operator import names
from genfleet_operator.kube import DEPLOYMENTS, QUEUES
from tests.support.servers import Redis, free_port, program

Json = dict[str, Any]

NAMESPACES: Any = create_global_resource("", "v1", "Namespace", "namespaces")
NODES: Any = create_global_resource("", "v1", "Node", "nodes")
DEFINITIONS: Any = create_global_resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"
)

DEFINITION = "generationqueues.genfleet.dev"
NOWHERE = {"nodeSelector": {"genfleet.dev/bench": "nowhere"}}
"""For pools whose pods are only asked for: no node has this label."""
IMAGE = "genfleet-bench/never-pulled:none"
GONE_WITHIN_S = 180.0
"""Longest wait for a namespace to go."""


class AbsentError(Exception):
    """Something that a measurement needs is not there. Its message says what."""


def run(measure: Callable[[], Awaitable[None]]) -> None:
    """Measure, or say in a sentence what is missing."""

    async def measured() -> None:
        await measure()

    try:
        asyncio.run(measured())
    except AbsentError as error:
        sys.stderr.write(f"not measured: {error}\n")


def number(name: str, default: int) -> int:
    """How often, or how many, as the environment wants it: GENFLEET_BENCH_<name>."""
    return int(os.environ.get(f"GENFLEET_BENCH_{name}", default))


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    sys.stderr.write(f"{text}\n")


async def until(what: str, look: Callable[[], Awaitable[object]], *, within: float) -> None:
    """Wait until something is true. Fails with `what` at the deadline (seconds)."""
    deadline = time.monotonic() + within
    while not await look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s for: {what}")
        await asyncio.sleep(0.05)


def try_again(_error: Exception, _count: int) -> OnErrorResult:
    """For a watch that broke off."""
    return OnErrorResult(OnErrorAction.RETRY, sleep=0.5)


# -- what the API server says --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Replicas:
    """`spec.replicas` of the Deployments of a namespace, by queue, or by name for those that are not of a queue."""

    changes: int = 0
    """Times that a number changed."""
    _known: dict[str, dict[str, int]] = field(default_factory=dict)
    _awaited: list[tuple[str, Callable[[int], bool], asyncio.Future[float]]] = field(default_factory=list)

    def of(self, owner: str) -> int:
        """The present number."""
        return sum(self._known.get(owner, {}).values())

    async def become(self, owner: str, wanted: Callable[[int], bool], *, within: float) -> float:
        """The moment (monotonic) at which the number was seen to be as wanted."""
        if wanted(self.of(owner)):
            return time.monotonic()
        seen: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        entry = (owner, wanted, seen)
        self._awaited.append(entry)
        try:
            async with asyncio.timeout(within):
                return await seen
        except TimeoutError as error:
            raise TimeoutError(f"{owner} still has {self.of(owner)} replicas after {within:g} s") from error
        finally:
            self._awaited.remove(entry)

    async def follow(self, client: Any, namespace: str) -> None:
        """Take note of what the API server tells, for ever."""
        async for event, obj in client.watch(DEPLOYMENTS, namespace=namespace, on_error=try_again):
            self._take(event, obj, time.monotonic())

    def _take(self, event: str, obj: Any, now: float) -> None:
        name = obj["metadata"]["name"]
        owner = (obj["metadata"].get("labels") or {}).get(names.QUEUE, name)
        deployments, before = self._known.setdefault(owner, {}), self.of(owner)
        deployments[name] = 0 if event == "DELETED" else int(obj["spec"].get("replicas", 1))
        self.changes += self.of(owner) != before
        for awaited, wanted, seen in self._awaited:
            if awaited == owner and not seen.done() and wanted(self.of(owner)):
                seen.set_result(now)


# -- the stage -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stage:
    """A namespace and a Redis of the measurement's own."""

    client: Any
    namespace: str
    redis: Redis
    store: AsyncStore
    replicas: Replicas
    folder: Path

    async def apply(self, resource: Any, document: Json) -> None:
        """Make something in the namespace."""
        await self.client.apply(resource(document), namespace=self.namespace, force=True)

    async def apply_queue(self, name: str, *, pool: Json, queue: str = "", **scaling: Any) -> None:
        """Declare a queue with one pool."""
        document = {
            "apiVersion": f"{names.GROUP}/v1alpha1",
            "kind": "GenerationQueue",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"queue": queue or name, "scaling": scaling, "pools": [{"name": "all", **pool}]},
        }
        await self.apply(QUEUES, document)

    async def delete_queue(self, name: str) -> None:
        """Take a queue back."""
        await self.client.delete(QUEUES, name, namespace=self.namespace)

    async def submit(self, queue: str, number: int) -> list[str]:
        """Ids of so many new tasks, submitted in one round trip."""
        tasks = [
            NewTask(id=uuid.uuid4().hex, project="bench", type="generate_image", queue=queue, priority=2, data=b"{}")
            for _ in range(number)
        ]
        await self.store.run_all([steps.submit(task) for task in tasks])
        return [task.id for task in tasks]

    async def cancel(self, ids: Iterable[str]) -> None:
        """Cancel tasks, in one round trip."""
        await self.store.run_all([steps.cancel(task_id) for task_id in ids])

    async def demand(self, queue: str) -> int:
        """Tasks of a queue that wait or run."""
        (seen,) = (await self.store.run(capacity.observe([queue]))).queues
        return seen.waiting + seen.running


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A stage, of which nothing is left afterwards."""
    async with AsyncExitStack() as stack:
        client = await _client()
        stack.push_async_callback(client.aclose)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = Redis(folder, free_port())
        redis.start()
        stack.callback(redis.stop)
        store = AsyncStore(redis.url)
        stack.push_async_callback(store.close)
        namespace = f"genfleet-bench-{uuid.uuid4().hex[:6]}"
        await client.create(NAMESPACES({"metadata": {"name": namespace}}))
        stack.push_async_callback(_remove_namespace, client, namespace)
        replicas = Replicas()
        following = asyncio.create_task(replicas.follow(client, namespace))
        stack.push_async_callback(ended, following)
        yield Stage(client, namespace, redis, store, replicas, folder)


async def _client() -> Any:
    if not os.environ.get("KUBECONFIG"):
        raise AbsentError("no cluster: set KUBECONFIG")
    try:
        client: Any = AsyncClient(field_manager="genfleet-bench", timeout=httpx2.Timeout(30))
    except ConfigError as error:
        raise AbsentError(f"KUBECONFIG names no cluster: {error}") from error
    if not await is_defined(client, DEFINITION):
        raise AbsentError(f"the cluster does not know GenerationQueues: kubectl apply -f crds/{DEFINITION}.yaml")
    return client


async def is_defined(client: Any, definition: str) -> bool:
    """Whether the cluster knows a kind of custom resource."""
    try:
        await client.get(DEFINITIONS, definition)
    except ApiError as error:
        if error.status.code == 404:
            return False
        raise
    return True


async def _remove_namespace(client: Any, namespace: str) -> None:
    await client.delete(NAMESPACES, namespace)

    async def is_gone() -> bool:
        try:
            await client.get(NAMESPACES, namespace)
        except ApiError as error:
            return error.status.code == 404
        return False

    await until(f"namespace {namespace} is gone", is_gone, within=GONE_WITHIN_S)


async def ended(task: asyncio.Task[None]) -> None:
    """End a task that runs for ever."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


# -- the operator --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """What the operator had used at one moment."""

    at: float
    cpu_s: float
    rss_mib: float
    round_trips: float
    api_requests: float

    def since(self, before: Mark) -> Use:
        """What it used between two moments."""
        seconds = self.at - before.at
        return Use(
            cpu_percent=100 * (self.cpu_s - before.cpu_s) / seconds,
            rss_mib=self.rss_mib,
            round_trips=(self.round_trips - before.round_trips) / seconds,
            api_requests=(self.api_requests - before.api_requests) / seconds,
        )


@dataclass(frozen=True, slots=True)
class Use:
    """Share of one core; memory at the end; round trips to Redis, and requests to the API server, a second."""

    cpu_percent: float
    rss_mib: float
    round_trips: float
    api_requests: float


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator as a process of this machine."""

    process: psutil.Process
    port: int

    async def total(self, metric: str, labels: Mapping[str, str] | None = None) -> float:
        """Sum of one of its metrics, over all its series or those with these labels."""
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{self.port}/metrics")).text
        wanted = (labels or {}).items()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return sum(one.value for one in samples if one.name == metric and wanted <= one.labels.items())

    async def mark(self) -> Mark:
        """What it has used so far."""
        cpu = self.process.cpu_times()
        return Mark(
            at=time.monotonic(),
            cpu_s=cpu.user + cpu.system,
            rss_mib=self.process.memory_info().rss / 2**20,
            round_trips=await self.total("genfleet_redis_round_trips_total"),
            api_requests=await self.total("genfleet_api_server_requests_total"),
        )


@asynccontextmanager
async def operator(stage: Stage) -> AsyncIterator[Operator]:
    """The operator, leading. The end of its log is told if the block fails."""
    port, log = free_port(), stage.folder / "operator.log"
    environment = {
        "CELERY_BROKER_URL": stage.redis.url,
        "GENFLEET_NAMESPACES": stage.namespace,
        "GENFLEET_LEASE_NAMESPACE": stage.namespace,
        "GENFLEET_WORKER_IMAGE": IMAGE,
        "GENFLEET_ANY_QUEUE": "true",  # a thousand of them are more than there are
        "GENFLEET_PROBE_PORT": str(port),
        "POD_NAME": "bench",
    }
    with program("genfleet_operator.main", log=log, environment=environment) as process:
        it = Operator(psutil.Process(process.pid), port)

        async def leads() -> bool:
            return await _leads(it, process)

        try:
            await until("the operator leads", leads, within=60)
            yield it
        except BaseException:
            say("the operator's last words:\n" + "\n".join(log.read_text().splitlines()[-20:]))
            raise


async def _leads(it: Operator, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise RuntimeError("the operator ended at its start")
    with suppress(httpx.TransportError):
        return bool(await it.total("genfleet_operator_leader"))
    return False


# -- numbers -------------------------------------------------------------------------------------------------------------


def percentile(values: Iterable[float], percent: float) -> float:
    """The value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def random_pause(longest: float) -> None:
    """So that a trial begins at any phase of whatever turns in rounds."""
    await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  no secret
