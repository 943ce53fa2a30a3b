"""What every program's settings have in common. Each program has one frozen class, built in its `main` and passed down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from genfleet.errors import ConfigurationError


def _redis_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix", "redis+socket"):
        raise ValueError("must start with redis://, rediss:// or unix://, such as redis://localhost:6379/0")
    return url.replace("redis+socket://", "unix://", 1)


RedisUrl = Annotated[str, AfterValidator(_redis_url)]


class ProgramSettings(BaseSettings):
    """From the environment; names are GENFLEET_<FIELD> unless a field says otherwise."""

    model_config = SettingsConfigDict(env_prefix="GENFLEET_", frozen=True, populate_by_name=True, extra="ignore")

    redis_url: RedisUrl = Field(
        default="redis://localhost:6379/0",
        validation_alias=AliasChoices("CELERY_BROKER_URL", "REDIS_URL"),
    )
    """Queue and store. CELERY_BROKER_URL counts before REDIS_URL (XC-010). A unix:// path is understood as well."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    """`json` for machines, one object a line."""
    log_errors_apart: bool = False
    """Errors to stderr, everything else to stdout. Otherwise all goes to stdout."""
    media_dir: Path = Path("media")
    """Folder of finished files. Workers write to it, the API serves it."""
    media_url: str = "http://localhost:8001/media"
    """What `media_url` of a result begins with: where clients reach the folder."""

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
            name = cls._variable(str(fault["loc"][0])) if fault["loc"] else "settings"
            lines.append(f"{name}: {fault['msg'].removeprefix('Value error, ')}")
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
