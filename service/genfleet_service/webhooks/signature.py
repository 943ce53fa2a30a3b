"""Standard Webhooks 1.0 (standardwebhooks.com): how a receiver knows that a webhook is ours, and not an old one (NS-003).

Signed is `id.timestamp.body`, by HMAC-SHA256, once with each secret that is valid: two while a secret is being changed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
_BYTES = 32
"""The standard allows 24 to 64."""


def new_secret() -> str:
    """A secret as people see it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def message_id(task_id: str) -> str:
    """The `webhook-id` of a task's webhook: the same in every attempt, and when it is sent again."""
    return f"msg_{task_id}"


def headers(message: str, timestamp: int, body: bytes, signing: Iterable[str]) -> dict[str, str]:
    """The three headers of one attempt. `timestamp`: of this attempt, in seconds since the epoch."""
    return {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(message, timestamp, body, secret) for secret in signing),
    }


def _signature(message: str, timestamp: int, body: bytes, secret: str) -> str:
    content = f"{message}.{timestamp}.".encode() + body
    digest = hmac.digest(base64.b64decode(secret.removeprefix(PREFIX)), content, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()
