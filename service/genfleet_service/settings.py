"""Settings of the API."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import AliasChoices, Field, SecretStr, field_validator

from genfleet.settings import ProgramSettings


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
    health_needs_key: bool = False
    """Whether /api/v1/health refuses requests without a key (PI-008)."""
    body_limit: int = Field(default=1024 * 1024, ge=1024)
    """Largest request body, in bytes."""
    allow_http_callbacks: bool = False
    """Whether `callback_url` may be http://, for development (TS-137)."""

    @field_validator("host")
    @classmethod
    def _is_address(cls, host: str) -> str:
        if host != "localhost":
            try:
                ip_address(host)
            except ValueError:
                raise ValueError("must be localhost or an IP address to listen on, such as 0.0.0.0") from None
        return host

    def keys(self) -> tuple[str, ...]:
        """The keys of the environment, one by one."""
        return tuple(filter(None, (key.strip() for key in self.api_key.get_secret_value().split(","))))
