"""Which callback URLs are accepted. Pure: a name is looked up when it is called, by `genfleet.egress`, not before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from genfleet.egress import is_public

LONGEST = 2_000
"""Characters of a URL. A longer one is not looked at: what is found out is remembered, and would fill the memory."""


@dataclass(frozen=True, slots=True)
class CallbackRules:
    """What this installation allows."""

    allow_http: bool
    """http:// besides https:// (TS-137)."""
    allow_private: bool
    """Addresses that are not on the public internet (TS-138)."""

    def fault(self, url: str) -> str | None:
        """What is wrong with a URL, as the rest of a sentence; None: nothing that can be seen without a look-up."""
        return _fault(self, url) if len(url) <= LONGEST else f"must have at most {LONGEST} characters"


@lru_cache  # an application sends the same few all day
def _fault(rules: CallbackRules, url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in (("https", "http") if rules.allow_http else ("https",)) or not host:
        return f"must begin with {'http:// or https://' if rules.allow_http else 'https://'} and name a host"
    if not url.isprintable() or " " in url:
        return "must not contain spaces or control characters"
    if "@" in parts.netloc:
        return "must not contain a user name or password: webhooks are signed instead"
    if not rules.allow_private and _is_inside(host):
        return "must lead to a public address, unless GENFLEET_ALLOW_PRIVATE_CALLBACKS of the service is set"
    return None


def _is_inside(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name
