"""Names with a slip of the pen: what was probably meant, for bodies, submissions and queries."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from genfleet_service import replies

LOOKED_AT, _LENGTH = 10, 40
"""Unknown names, and characters of one, that are compared with the known ones: nobody is to buy our time with names."""
ALIKE, ALIKE_ALONE = 0.8, 0.75
"""How like a known name another has to be: beside others that are allowed, and where it would be refused or lost anyway."""


def question(name: str, known: Iterable[str], alike: float = ALIKE) -> str | None:
    """Asks whether a known name was meant. None: it is like none of them."""
    close = get_close_matches(name[:_LENGTH], list(known), 1, alike)
    return f"{name[:_LENGTH]} is not known; did you mean '{close[0]}'?" if close else None


async def refuse_misspelt_query(request: Request) -> None:
    """For every route: a filter with a slip of the pen is not passed over, as then everything would fit. Raises Refusal.

    A parameter that is like none of the route's is passed over.
    """
    route = request.scope.get("route")
    if not request.scope["query_string"] or not isinstance(route, APIRoute):
        return
    known = {field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, params.Query)}
    sent = request.query_params.keys()
    unknown = sorted(sent - known)[:LOOKED_AT]
    questions = {name: question(name, known - sent, ALIKE_ALONE) for name in unknown}
    if faults := {name: words for name, words in questions.items() if words}:
        raise replies.invalid(faults, "Invalid query")
