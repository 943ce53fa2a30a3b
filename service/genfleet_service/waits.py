"""Why a task waits and for how long, as it looks from outside."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract import waits
from genfleet.contract.waits import Code, Eta, Line, Unknown
from genfleet_service.views import KeptTask, Moment, timestamp


class PendingReason(TypedDict):
    """One thing that a queued task waits for: a code of a closed list, a sentence, and the numbers in it."""

    code: Code
    message: str
    details: dict[str, int]
    until: NotRequired[Moment]


class EstimateBody(TypedDict):
    """Seconds from now: half of such tasks need less than `p50`, nine of ten less than `p90`."""

    p50: float
    p90: float


class EtaBody(TypedDict):
    """When a queued task will start, and when it will be done, by what was measured of others."""

    start_seconds: EstimateBody
    completion_seconds: EstimateBody


class WaitBody(TypedDict):
    """What a queued task waits for. Nothing of it applies in another state."""

    queue_position: int | None
    pending_reasons: list[PendingReason]
    eta: EtaBody | None
    eta_unknown: Unknown | None


class FullTask(KeptTask, WaitBody):
    """Everything that is kept of a task (NS-001), and why it waits."""


def told(line: Line | None) -> WaitBody:
    """What is told of a task's wait. None: it does not wait."""
    if line is None:
        return {"queue_position": None, "pending_reasons": [], "eta": None, "eta_unknown": None}
    eta = waits.eta(line)
    return {
        "queue_position": line.position,
        "pending_reasons": [_reason(pending) for pending in waits.pending_reasons(line)],
        "eta": _eta(eta) if isinstance(eta, Eta) else None,
        "eta_unknown": eta if isinstance(eta, Unknown) else None,
    }


def _reason(pending: waits.Pending) -> PendingReason:
    body: PendingReason = {"code": pending.code, "message": pending.message, "details": dict(pending.details)}
    if pending.until_ms is not None:
        body["until"] = timestamp(pending.until_ms)
    return body


def _eta(eta: Eta) -> EtaBody:
    return {"start_seconds": _estimate(eta.start), "completion_seconds": _estimate(eta.completion)}


def _estimate(estimate: waits.Estimate) -> EstimateBody:
    return {"p50": round(estimate.p50, 1), "p90": round(estimate.p90, 1)}
