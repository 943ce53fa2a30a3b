"""The client of the API, and the `genfleet` command line."""

from genfleet_client.api import AsyncClient, Client
from genfleet_client.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    NotFound,
    ServiceUnavailable,
    TaskCancelled,
    TaskFailed,
    TaskTimeout,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from genfleet_client.retries import Retries
from genfleet_client.sse import Event
from genfleet_client.task_service_client import TaskServiceClient

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Event",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "Retries",
    "ServiceUnavailable",
    "TaskCancelled",
    "TaskFailed",
    "TaskServiceClient",
    "TaskTimeout",
    "TooManyRequests",
    "Unauthorized",
    "Unreachable",
]
