"""What `genfleet doctor` shows of an installation, for those who look after it."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract.keys import key
from genfleet.contract.redis_terms import Severity
from genfleet.contract.task_types import QUEUES
from genfleet.store import capacity, redis_check
from genfleet.store.calls import Call
from genfleet.store.dead_letters import LetterState
from genfleet_service import examination, openapi
from genfleet_service.context import CallerDep, ServiceDep
from genfleet_service.replies import json_reply

router = APIRouter(prefix="/api/v1", tags=["fleet"])


class Finding(TypedDict):
    """What one check came to. `why` and `remedy` are empty where all is well."""

    subject: str
    check: str
    severity: Annotated[str, Field(json_schema_extra={"enum": [severity.value for severity in Severity]})]
    found: str
    why: str
    remedy: str


class DoctorBody(TypedDict):
    """Every check of an installation, and who asks."""

    version: str
    key_name: str
    key_scopes: list[str]
    findings: list[Finding]


def _card(name: str) -> Call[int]:
    return Call("ZCARD", (name,), int)


@router.get("/doctor", responses=openapi.answers(DoctorBody))
async def doctor(caller: CallerDep, service: ServiceDep) -> Response:
    """Whether Redis is set up so that nothing is lost, who serves which queue, and what was set aside."""
    now = time.time()  # noqa: TID251  compared with the clock of Redis, and nothing else
    aside: list[Call[Any]] = [_card(key("quarantine")), _card(key("dead_letters", LetterState.WAITING))]
    (survey, quarantined, letters), redis = await asyncio.gather(
        service.store.run_all([capacity.observe(QUEUES), *aside]), redis_check.look_again(service.store, now)
    )
    findings: list[Finding] = [
        {
            "subject": subject,
            "check": one.check,
            "severity": one.severity.value,
            "found": one.found,
            "why": one.why,
            "remedy": one.remedy,
        }
        for subject, one in examination.findings(redis, survey.queues, quarantined, letters)
    ]
    body: DoctorBody = {
        "version": version("genfleet"),
        "key_name": caller.name,
        "key_scopes": sorted(caller.scopes),
        "findings": findings,
    }
    return json_reply(body)
