"""Settings of the API."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator

from genfleet.contract.limits import Limits, Rate
from genfleet.settings import ProgramSettings
from genfleet_service.webhooks.rules import CallbackRules


class ServiceSettings(ProgramSettings):
    """What `genfleet-api` reads from its environment."""

    host: str = "127.0.0.1"
    """Address to listen on. The image sets 0.0.0.0."""
    port: int = Field(default=8001, ge=1, le=65535, validation_alias=AliasChoices("PORT", "GENFLEET_PORT"))
    api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("API_KEY", "CELERY_API_KEY", "CELERY_TASK_API_KEY"),
    )
    """Keys that are always valid, separated by commas (PI-021). Others are made by `genfleet-api create-key`."""
    trusted_proxies: str = ""
    """Addresses or networks, separated by commas, whose `X-Forwarded-For` is believed, for the audit log. None: nobody's."""
    docs: bool = True
    """Whether `/docs` and `/openapi.json` are served."""
    health_needs_key: bool = False
    """Whether /api/v1/health refuses requests without a key (PI-008)."""
    body_limit: int = Field(default=4 * 1024 * 1024, ge=1024)
    """Largest request body, in bytes. A `data:` URI of 2 MB fits (`genfleet.contract.task_data.Source`), and what is around it."""
    head_seconds: float = Field(default=10, gt=0)
    """How long a client may take for the head of a request, or be silent before it, until its connection is closed."""
    request_seconds: float = Field(default=60, gt=0)
    """The same for a whole request with its body."""
    heartbeat_seconds: float = Field(default=15, ge=0.05, le=600)
    """An event stream on which nothing happens says so this often, so that nobody on the way takes it for dead."""
    longest_wait_seconds: int = Field(default=60, ge=0, le=600)
    """Longest wait that `Prefer: wait` is granted."""
    key_listeners: int = Field(default=1000, ge=0)
    """Event streams and waits that one key may have open at a time in this process. 0 is no limit."""
    alert_period_seconds: float = Field(default=10, ge=0.05, le=600)
    """How often one of the API processes looks for alerts, and logs those that are raised or over (TS-079)."""
    allow_http_callbacks: bool = False
    """Whether `callback_url` may be http://, for development (TS-137)."""
    allow_private_callbacks: bool = False
    """Whether `callback_url` may lead to private addresses, for receivers beside the service (TS-138)."""
    webhook_timeout: float = Field(default=30.0, gt=0)
    """Seconds for one attempt, from the look-up of the name to the end of the answer (TS-131)."""
    webhook_delays: tuple[Annotated[float, Field(ge=0)], ...] = (1.0, 2.0, 4.0)
    """Seconds between a failed attempt and the next; their number is that of the retries (TS-129)."""
    webhook_concurrency: int = Field(default=200, ge=0)
    """Deliveries that this process has under way at a time. 0: it delivers none, others do."""
    webhook_host_concurrency: int = Field(default=4, ge=1)
    """Those of them that may go to one host, so that a slow one holds up nobody else."""
    webhook_addresses: tuple[str, ...] = ()
    """Addresses that webhooks come from, as receivers see them, for `GET /api/v1/webhooks` to publish (TS-136)."""

    submissions_per_minute: int = Field(default=100, ge=0)
    """What a key may submit (TS-150). 0 is no limit, here and below; a key may have numbers of its own."""
    submissions_saved_seconds: int = Field(default=60, ge=1, le=3600)
    """For how long a key's unused submissions are saved up, to be made at once."""
    status_reads_per_minute: int = Field(default=1000, ge=0)
    """How often a key may look at tasks (TS-151)."""
    status_reads_saved_seconds: int = Field(default=300, ge=1, le=3600)
    """The same for looks. With five minutes' worth, 50 tasks may be polled every 2 s for 10 minutes (TS-153)."""
    project_tasks: int = Field(default=50, ge=0)
    """Tasks of one project that may be queued or running (TS-152)."""
    queue_length: int = Field(default=10_000, ge=0)
    """Tasks that may wait in one queue before it refuses more with 503 (TS-147)."""

    @field_validator("host")
    @classmethod
    def _is_address(cls, host: str) -> str:
        if host != "localhost":
            try:
                ip_address(host)
            except ValueError:
                raise ValueError("must be localhost or an IP address to listen on, such as 0.0.0.0") from None
        return host

    def callbacks(self) -> CallbackRules:
        """Which callback URLs are accepted."""
        return CallbackRules(self.allow_http_callbacks, self.allow_private_callbacks)

    def limits(self) -> Limits:
        """What everybody may, unless their key says otherwise."""
        return Limits(
            submissions=Rate(self.submissions_per_minute, self.submissions_saved_seconds),
            reads=Rate(self.status_reads_per_minute, self.status_reads_saved_seconds),
            project_tasks=self.project_tasks,
            queue_length=self.queue_length,
        )

    def keys(self) -> tuple[str, ...]:
        """The keys of the environment, one by one."""
        return tuple(filter(None, (key.strip() for key in self.api_key.get_secret_value().split(","))))
