"""What every program's settings have in common. Each program has one frozen class, built in its `main` and passed down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from genfleet.errors import ConfigurationError
from genfleet.redis_address import RedisAddress, Tls


class LogSettings(BaseSettings):
    """From the environment; names are GENFLEET_<FIELD> unless a field says otherwise."""

    model_config = SettingsConfigDict(env_prefix="GENFLEET_", frozen=True, populate_by_name=True, extra="ignore")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    """`json` for machines, one object a line."""
    log_errors_apart: bool = False
    """Errors to stderr, everything else to stdout. Otherwise all goes to stdout."""

    @classmethod
    def load(cls) -> Self:
        """From the environment. Raises ConfigurationError that names each wrong variable and what it should be."""
        try:
            return cls()
        except ValidationError as error:
            raise ConfigurationError(cls.explain(error)) from error

    @classmethod
    def explain(cls, error: ValidationError) -> str:
        """One line for each fault: the variable, and what is wrong with it. Never the value, which may be secret."""
        lines = []
        for fault in error.errors(include_input=False, include_url=False):
            name = (
                f"{cls._variable(str(fault['loc'][0]))}: " if fault["loc"] else ""
            )  # else its words name the settings
            lines.append(f"{name}{fault['msg'].removeprefix('Value error, ')}")
        return "\n".join(lines)

    @classmethod
    def _variable(cls, name: str) -> str:
        """The variable that a fault is about: of several names for a field, the one that is set."""
        for field in cls.model_fields.values():
            alias = field.validation_alias
            names = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else []
            if name in names:
                return next((known for known in names if known in os.environ), name)
        return f"GENFLEET_{name.upper()}"


class ProgramSettings(LogSettings):
    """What every program needs besides."""

    redis_url: str = Field(
        default="redis://localhost:6379/0",
        validation_alias=AliasChoices("CELERY_BROKER_URL", "REDIS_URL"),
        repr=False,
    )
    """Queue and store. CELERY_BROKER_URL counts before REDIS_URL (XC-010). redis://, rediss:// (TLS), unix:// or sentinel://."""
    redis_ca: Path | None = None
    """Authorities whose word is taken for the certificate of Redis, as PEM. Default: those of the system."""
    redis_cert: Path | None = None
    """Our certificate, for a Redis that asks for one, as PEM."""
    redis_key: Path | None = None
    """Its key, if that is not in the same file."""
    redis_verify: bool = True
    """Whether the certificate of Redis has to be good, and that of its host. Off, anybody on the way may listen."""
    redis_tls: bool = False
    """Whether Sentinels, and the Redis that they name, are spoken to by TLS. For others rediss:// says that."""
    redis_master: str = ""
    """How the Sentinels of a sentinel:// address call what they watch."""
    redis_sentinel_username: str | None = None
    redis_sentinel_password: SecretStr | None = None
    """What the Sentinels themselves ask for. Those of Redis stand in the address."""
    media_dir: Path = Path("media")
    """Folder of finished files. Workers write to it, the API serves it."""
    media_url: str = "http://localhost:8001/media"
    """What `media_url` of a result begins with: where clients reach the folder."""

    @model_validator(mode="after")
    def _redis_can_be_found(self) -> Self:
        try:
            address = self.redis
        except ValueError as error:
            raise ValueError(f"{self._variable('REDIS_URL')}: {error}") from None
        if self.redis_key and not self.redis_cert:
            raise ValueError("GENFLEET_REDIS_KEY is the key of a certificate: set GENFLEET_REDIS_CERT as well")
        tls = address.tls or Tls()
        for name, file in (("CA", tls.ca), ("CERT", tls.certificate), ("KEY", tls.key)):
            if file and not os.access(file, os.R_OK):
                raise ValueError(f"GENFLEET_REDIS_{name}: {file} cannot be read")
        return self

    @property
    def redis(self) -> RedisAddress:
        """Where Redis is, and how it is spoken to."""
        tls = Tls(self.redis_ca, self.redis_cert, self.redis_key, self.redis_verify, check_host=self.redis_verify)
        sentinels = urlsplit(self.redis_url).scheme == "sentinel"
        password = self.redis_sentinel_password
        return RedisAddress.of(
            self.redis_url,
            tls=tls if self.redis_tls or not sentinels else None,
            master=self.redis_master,
            sentinel_username=self.redis_sentinel_username,
            sentinel_password=password.get_secret_value() if password else None,
        )

    @classmethod
    def redis_at(cls, url: str | None) -> RedisAddress:
        """A Redis that is given in place of the environment's; certificates and Sentinels as set there.

        Raises ConfigurationError.
        """
        given: dict[str, Any] = {"CELERY_BROKER_URL": url} if url else {}
        try:
            return cls(**given).redis
        except ValidationError as error:
            raise ConfigurationError(cls.explain(error)) from error
