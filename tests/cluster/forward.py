"""A Service of the cluster at a port of this machine, by `kubectl port-forward`, which dies with the pod behind it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.waiting import wait_for

TRIES_S = 60.0
"""How long a request is repeated while nobody answers: a lost pod needs a while until it is replaced."""


@dataclass(slots=True)
class Api:
    """The API behind a Service, for a client that repeats what was not answered, as ours does."""

    namespace: str
    service: str
    key: str = field(repr=False)
    repeated: int = 0
    """How often a request had to be sent again."""
    _forward: subprocess.Popen[str] | None = None
    _client: httpx.Client | None = field(default=None, repr=False)

    def get(self, path: str) -> httpx.Response:
        """GET, once somebody answers."""
        return self._ask("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """POST, once somebody answers."""
        return self._ask("POST", path, json=body)

    def close(self) -> None:
        """Forget the connection."""
        if self._client:
            self._client.close()
        if self._forward:
            self._forward.kill()
            self._forward.communicate()
        self._client = self._forward = None

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        # In a list, as a response that says no would count as none.
        return wait_for(f"an answer to {method} {path}", lambda: self._try(method, path, **more), within=TRIES_S)[0]

    def _try(self, method: str, path: str, **more: Any) -> list[httpx.Response] | None:
        try:
            response = self._connected().request(method, path, **more)
        except (httpx.TransportError, ConnectionError):
            self.close()
            self.repeated += 1
            return None
        if response.status_code >= 500:  # Redis is away: the API says so
            self.repeated += 1
            return None
        return [response]

    def _connected(self) -> httpx.Client:
        if self._client is None:
            self._forward = subprocess.Popen(
                (shutil.which("kubectl") or "kubectl", "port-forward", "-n", self.namespace, self.service, ":8001"),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert self._forward.stdout
            said = self._forward.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            if not found:
                raise ConnectionError(said)
            self._client = httpx.Client(
                base_url=f"http://127.0.0.1:{found[1]}", headers={"X-API-Key": self.key}, timeout=10, trust_env=False
            )
        return self._client
