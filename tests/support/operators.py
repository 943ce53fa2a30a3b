"""The operator as a program of its own, beside an API server and a Redis of the test; and what these tests look at."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from genfleet.store import capacity
from genfleet.store.client import SyncStore
from tests.support.api_objects import Json, Objects
from tests.support.api_pods import HUMAN, QUEUE, Pods
from tests.support.api_server import ApiServer, Ask
from tests.support.servers import Redis, clean_environment, free_port, program
from tests.support.tasks import submitted
from tests.support.waiting import wait_for

NAME = "images"


def queue(name: str = NAME, *, queue: str = QUEUE, **spec: Any) -> Json:
    """A queue of at most three workers that wait for nothing."""
    scaling = {"maxReplicas": 3, "target": {"tasksPerWorker": 1}, "cooldownSeconds": 0} | spec.pop("scaling", {})
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"queue": queue, "scaling": scaling, **spec},
    }


def of_queue(name: str) -> Any:
    """Picks the requests that are about one queue's Deployments."""

    def picks(ask: Ask) -> bool:
        return ask.plural == "deployments" and ask.name.startswith(f"{name}-")

    return picks


@dataclass
class Operator:
    """A process of `genfleet-operator`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    @property
    def leads(self) -> bool:
        """Whether it says so."""
        return self.readiness == "leading\n"

    @property
    def readiness(self) -> str:
        """What it says of that; empty: it does not answer."""
        with contextlib.suppress(httpx.TransportError):
            return self._get("/readyz").text
        return ""

    def number(self, name: str) -> float:
        """A metric without labels, or the sum over its labels."""
        lines = [line for line in self._get("/metrics").text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def ended(self, *, within: float) -> int:
        """Its exit status."""
        wait_for(f"the operator ends (log: {self.log})", lambda: not self.alive, within=within)
        return self.process.wait()

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5, trust_env=False)


@dataclass
class Place:
    """An API server, its pods and a Redis: everything an operator needs."""

    api: ApiServer
    pods: Pods
    store: SyncStore
    redis: Redis
    folder: Path

    @property
    def objects(self) -> Objects:
        """What is in the API server."""
        return self.api.objects

    def environment(self, name: str, port: int, **more: str) -> dict[str, str]:
        """What an operator is told."""
        return {
            "KUBECONFIG": str(self.api.kubeconfig),
            "CELERY_BROKER_URL": self.redis.url,
            "GENFLEET_WORKER_IMAGE": "worker:test",
            "GENFLEET_ANY_QUEUE": "true",  # tests need more of them than there are
            "GENFLEET_LEASE_NAMESPACE": "default",
            "GENFLEET_PROBE_PORT": str(port),
            "POD_NAME": name,
            **more,
        }

    @contextlib.contextmanager
    def operator(self, name: str = "operator", *, leads: bool = True, **more: str) -> Iterator[Operator]:
        """A running operator, with shorter times (see `quick_operator`); once it leads, unless it is not to."""
        port = free_port()
        log = self.folder / f"{name}.log"
        environment = clean_environment() | self.environment(name, port, **more)
        with program("tests.support.quick_operator", log=log, environment=environment) as process:
            operator = Operator(process, port, log)
            if leads:
                wait_for(f"{name} leads (log: {log})", lambda: operator.leads or not operator.alive, within=20)
            yield operator

    def clear(self) -> None:
        """As new: no queue, no task, no fault."""
        self.pods.busy.clear()
        for one in self.objects.find("generationqueues"):
            self.objects.delete("generationqueues", "default", one["metadata"]["name"])
        wait_for("no pod is left", lambda: not self.pods.there())
        self.redis.client.flushall()

    def edit(self, name: str, spec: Json) -> None:
        """A person changes a queue."""
        self.objects.merge(("generationqueues", "default", name), {"spec": spec}, HUMAN)

    def submit(self, number: int = 1) -> None:
        """Tasks for the queue."""
        for _ in range(number):
            submitted(self.store)

    def replicas(self, name: str = NAME) -> int | None:
        """What a queue's Deployments add up to. None: it has none."""
        found = self.deployments(name)
        return sum(found.values()) if found else None

    def deployments(self, name: str = NAME) -> dict[str, int]:
        """Replicas of a queue's Deployments, by name."""
        found = [one for one in self.objects.find("deployments") if one["metadata"]["name"].startswith(f"{name}-")]
        return {one["metadata"]["name"]: one["spec"]["replicas"] for one in found}

    def told(self) -> list[str]:
        """The reasons of the Events."""
        return [one["reason"] for one in self.objects.find("events")]

    def condition(self, kind: str, name: str = NAME) -> tuple[str, str, str]:
        """Status, reason and message of a queue's condition; empty if there is none."""
        status = self.objects.get("generationqueues", "default", name).get("status") or {}
        for one in status.get("conditions", ()):
            if one["type"] == kind:
                return one["status"], one["reason"], one["message"]
        return "", "", ""

    def degraded(self, name: str = NAME) -> str:
        """The reason of condition Degraded, if it is true."""
        state, reason, _ = self.condition("Degraded", name)
        return reason if state == "True" else ""

    def shown(self, queue: str = QUEUE) -> Json:
        """The last decision as it is kept in Redis."""
        (seen,) = self.store.run(capacity.observe([queue])).queues
        return seen.fleet or {}

    def has(self, number: int, *, within: float = 10.0) -> None:
        """Wait until so many workers are asked for, and there."""
        wait_for(
            f"{number} workers (log: {self.folder / 'operator.log'})",
            lambda: (self.replicas() or 0, len(self.pods.there())) == (number, number),
            within=within,
        )


@contextlib.contextmanager
def place(redis: Redis, folder: Path, pods_of: type[Pods] = Pods) -> Iterator[Place]:
    """All of it, running."""
    api = ApiServer(folder)
    store = SyncStore(redis.url)
    pods = pods_of(api.objects, store)
    with api.running(), pods.running():
        yield Place(api, pods, store, redis, folder)
    store.close()
