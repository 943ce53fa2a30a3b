"""Settings of the operator."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import NoDecode

from genfleet.settings import ProgramSettings

ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where a pod finds the name of its namespace."""


class OperatorSettings(ProgramSettings):
    """What `genfleet-operator` reads from its environment."""

    namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Namespaces whose queues are looked after, separated by commas. Empty: those of the whole cluster."""
    worker_image: str = ""
    """Image of the workers, unless the worker template or a pool's template names another."""
    worker_template: Path | None = None
    """File with a pod template in YAML that is laid under every pool: environment, volumes, secrets of this installation.
    Of several documents in it each is laid over those before."""
    trust_templates: bool = False
    """Whether a pool's template may reach beyond its pod: host paths, host namespaces, privileges, a service account."""
    allowed_images: Annotated[tuple[str, ...], NoDecode] = ()
    """Repositories whose images a pool's template may name, separated by commas: `registry/team/worker`, or all below one,
    `registry/team/*`. Empty: any."""
    any_queue: bool = False
    """Whether queues get workers that no task type of this version is routed to: for an image of yours that knows more."""
    lease_name: str = "genfleet-operator"
    """Of several operators with the same lease, one leads."""
    lease_namespace: str = ""
    """Where the lease is. Default: the operator's own namespace."""
    identity: str = Field(default="", validation_alias=AliasChoices("POD_NAME", "GENFLEET_IDENTITY"))
    """Name of this operator among others. Default: the host's name."""
    host: str = "127.0.0.1"
    """Address for probes and metrics. The image sets 0.0.0.0."""
    probe_port: int = Field(default=8080, ge=1, le=65535)
    """Port of /healthz, /readyz and /metrics."""

    @field_validator("namespaces", "allowed_images", mode="before")
    @classmethod
    def _listed(cls, names: Any) -> Any:
        return tuple(filter(None, (name.strip() for name in names.split(",")))) if isinstance(names, str) else names

    @property
    def holder(self) -> str:
        """Who holds the lease if we do."""
        return self.identity or os.uname().nodename

    @property
    def home(self) -> str:
        """The namespace of the lease."""
        if self.lease_namespace:
            return self.lease_namespace
        if "POD_NAMESPACE" in os.environ:
            return os.environ["POD_NAMESPACE"]
        return ACCOUNT_NAMESPACE.read_text().strip() if ACCOUNT_NAMESPACE.exists() else "default"
