"""The bodies of the API, as its OpenAPI document has them. Made by `make generate`: change the service, not this."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Alert(TypedDict):
    """Something to look at. `task_id` only where the alert is about one task."""

    severity: Literal["warning", "critical"]
    message: str
    metric: str
    value: float
    task_id: NotRequired[str]


class AliveBody(TypedDict):
    """The service is alive."""

    status: str


class AttemptBody(TypedDict):
    """One attempt. `status_code` and `response`, its start, only where there was an answer."""

    at: str
    status_code: int | None
    error: str | None
    duration_ms: int | None
    response: str | None


class AuditEntry(TypedDict):
    """A request that changed something, or tried to.

    `name` and `key_id` say whose key it was, `status` what it was answered.
    """

    id: str
    at: str
    action: str
    key_id: str | None
    name: str | None
    project: str | None
    target: str | None
    address: str | None
    status: int


class AuditBody(TypedDict):
    """Entries, the newest first. `next`: ask for those before this one; null: there are no more."""

    entries: list[AuditEntry]
    next: str | None


class SubmittedBody(TypedDict):
    """The answer to a submission. `warnings` only where there are any."""

    task_id: str
    status: State
    project_id: str
    estimated_duration: int
    queue_position: int
    created_at: str
    warnings: NotRequired[list[str]]


class BatchError(TypedDict):
    """Why a task was refused: the body that it would have been answered with alone, and its HTTP status."""

    status: int
    error: str
    message: str
    details: NotRequired[dict[str, str]]
    retry_after: NotRequired[int]


class BatchResult(TypedDict):
    """What came of one task: the answer to its submission, or an error."""

    index: int
    task: SubmittedBody | None
    error: BatchError | None


class BatchBody(TypedDict):
    """What came of each task, in the order given."""

    accepted: int
    refused: int
    results: list[BatchResult]


class ErrorBody(TypedDict):
    """The common shape of errors. `details` has a sentence for each wrong field, under its dotted path."""

    error: str
    message: str
    details: NotRequired[dict[str, str]]
    detail: NotRequired[str]
    retry_after: NotRequired[int]


class SampleTask(TypedDict):
    """A task that fits."""

    task_id: str
    task_type: str
    status: str
    created_at: str


class BulkBody(TypedDict):
    """What came of a request on many tasks.

    `done` of the `matched` are done, `skipped` had been done before. `remaining` is what the same request, with
    `cursor` if there is one, would go on with; `stopped_by` is the error that it stopped at, if so.
    """

    dry_run: bool
    matched: int
    done: int
    skipped: int
    remaining: int
    cursor: str | None
    stopped_by: ErrorBody | None
    sample: list[SampleTask]


class CancelledBody(TypedDict):
    """The answer to a cancellation."""

    task_id: str
    status: State
    message: str
    previous_state: State
    cancelled_at: str | None


class Chapter(TypedDict):
    """Something in a task's story: an attempt that did not complete it, or what somebody did about it (docs/tasks.md).."""

    at: str
    how: Literal["lost", "handed_back", "failed", "retried", "released"]
    reason: str | None
    attempt: int | None
    started_at: str | None
    worker: str | None
    new_task_id: str | None
    key_id: str | None


Code = Literal[
    "paused",
    "scheduled",
    "retry",
    "in_line",
    "no_fleet",
    "fleet_paused",
    "fleet_blind",
    "workers_failing",
    "unschedulable",
    "workers_starting",
    "at_maximum",
    "workers_busy",
    "next",
]
"""What a task waits for: a closed list. Several may hold at once."""


class Counts(TypedDict):
    """The six numbers of queue health."""

    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    success_rate: float
    failure_rate: float
    currently_running: int


class Usage(TypedDict):
    """Tasks by how they ended, and the time that workers spent on them.

    Each attempt counts with its time, also those that failed, were lost or cancelled. `gpu_seconds` is that time, times
    the GPUs of the worker.
    """

    completed: int
    failed: int
    cancelled: int
    attempts: int
    run_seconds: float
    gpu_seconds: float


class DayUsage(TypedDict):
    """One day (UTC): what ended in it."""

    date: str
    total: Usage
    by_type: dict[str, Usage]


class DeadLetter(TypedDict):
    """A message or record that could not be judged. `size` is null for a record. `times`: how often it came."""

    letter_id: int
    status: LetterState
    reason: str
    queue: str | None
    task_id: str | None
    task_type: str | None
    worker: str | None
    size: int | None
    times: int
    at: str
    last_at: str
    resent_at: str | None
    resent_by: str | None


class Pagination(TypedDict):
    """Where a page is. `total` counts after filters."""

    page: int
    limit: int
    total: int
    total_pages: int


class DeadLetters(TypedDict):
    """One page of them, the newest first."""

    dead_letters: list[DeadLetter]
    pagination: Pagination


class DeliveryBody(TypedDict):
    """The webhook of one task."""

    webhook_id: str
    task_id: str
    project_id: str
    task_type: str
    task_status: str
    callback_url: str
    status: str
    created_at: str
    next_attempt_at: str | None
    attempts: list[AttemptBody]


class Deliveries(TypedDict):
    """One page of them."""

    deliveries: list[DeliveryBody]
    pagination: Pagination


DeliveryState = Literal["pending", "delivered", "failed"]
"""How far the delivery of a webhook is. The task's own state never depends on it."""


class Finding(TypedDict):
    """What one check came to. `why` and `remedy` are empty where all is well."""

    subject: str
    check: str
    severity: Literal["ok", "unknown", "warning", "failure"]
    found: str
    why: str
    remedy: str


class DoctorBody(TypedDict):
    """Every check of an installation, and who asks."""

    version: str
    key_name: str
    key_scopes: list[str]
    findings: list[Finding]


class EstimateBody(TypedDict):
    """Seconds from now: half of such tasks need less than `p50`, nine of ten less than `p90`."""

    p50: float
    p90: float


class EtaBody(TypedDict):
    """When a queued task will start, and when it will be done, by what was measured of others."""

    start_seconds: EstimateBody
    completion_seconds: EstimateBody


class EventBody(TypedDict):
    """One event."""

    id: int
    event: str
    data: dict[str, Any]


class EventsBody(TypedDict):
    """The events of a task so far. `complete`: whether none of them is gone."""

    task_id: str
    events: list[EventBody]
    complete: bool


class Fleet(TypedDict):
    """What the fleet controller last decided for a queue."""

    wanted: int
    starting: int
    ready: int
    draining: int
    busy: int
    minimum: int
    maximum: int
    reason: str
    trouble: NotRequired[str | None]
    explanation: str


class FullDeadLetter(TypedDict):
    """One of them with the message itself: all of it, or its beginning if `complete` is false."""

    letter_id: int
    status: LetterState
    reason: str
    queue: str | None
    task_id: str | None
    task_type: str | None
    worker: str | None
    size: int | None
    times: int
    at: str
    last_at: str
    resent_at: str | None
    resent_by: str | None
    message: str | None
    complete: bool


class PendingReason(TypedDict):
    """One thing that a queued task waits for: a code of a closed list, a sentence, and the numbers in it."""

    code: Code
    message: str
    details: dict[str, int]
    until: NotRequired[str]


Unknown = Literal["paused", "no_worker_ready", "not_measured"]
"""Why there is no estimate: a closed list."""


class FullTask(TypedDict):
    """Everything that is kept of a task, and why it waits."""

    task_id: str
    project_id: str
    status: State
    progress: float | None
    current_step: str | None
    result: dict[str, Any] | None
    error: str | None
    started_at: str | None
    completed_at: str | None
    processing_time: int | None
    task_type: str
    created_at: str
    attempt: int
    max_attempts: int
    next_attempt_at: str | None
    last_error: str | None
    task_data: dict[str, Any]
    metadata: dict[str, Any]
    priority: int
    callback_url: str | None
    updated_at: str
    traceback: str | None
    deadline: str | None
    retry_of: str | None
    key_id: str | None
    quarantined_at: str | None
    story: list[Chapter]
    queue_position: int | None
    pending_reasons: list[PendingReason]
    eta: EtaBody | None
    eta_unknown: Unknown | None


class SystemLoad(TypedDict):
    """Load of the machines that run tasks."""

    cpu_percent: float
    memory_percent: float
    gpu_utilization: list[float]


class HealthBody(TypedDict):
    """The service, and the load of the machines that run tasks."""

    status: str
    redis_status: str
    worker_count: int
    queue_sizes: dict[str, int]
    system_load: SystemLoad
    uptime: int


class KeyView(TypedDict):
    """A key. A limit that is null is that of the settings, and so is `projects`: all of them."""

    key_id: str
    name: str
    source: str
    scopes: list[str]
    projects: list[str] | None
    submissions_per_minute: int | None
    status_reads_per_minute: int | None
    project_tasks: int | None
    created_at: str | None
    last_used_at: str | None
    previous_valid_until: str | None


class KeyList(TypedDict):
    """Every key."""

    keys: list[KeyView]
    total: int


LetterState = Literal["waiting", "resent"]
"""Whether somebody has seen to it."""


class LettersBody(TypedDict):
    """What came of a request on many. `skipped`: what cannot be sent again; it stays where it is."""

    dry_run: bool
    matched: int
    done: int
    skipped: int


class ListedTask(TypedDict):
    """A task in a list. A document above 16 KiB is null; `omitted` then tells its size in bytes."""

    task_id: str
    project_id: str
    task_type: str
    status: State
    task_data: dict[str, Any] | None
    result: dict[str, Any] | None
    created_at: str
    updated_at: str
    completed_at: str | None
    result_url: str | None
    omitted: NotRequired[dict[str, int]]


class LogLine(TypedDict):
    """One line that an engine said of its work."""

    id: int
    at: str
    level: str
    message: str


class LogsBody(TypedDict):
    """What the engines said of a task so far. `complete`: whether nothing of it is gone."""

    task_id: str
    logs: list[LogLine]
    complete: bool


class Losses(TypedDict):
    """What was lost and came back, and what waits for people.

    `quarantined` and `dead_letters` are those there now; the others count since the store was made, and `dropped_…`
    what nobody looked at in time.
    """

    quarantined: int
    dead_letters: int
    lost_workers_total: int
    recovered_messages_total: int
    quarantined_total: int
    dropped_quarantined_total: int
    dead_letters_total: int
    dropped_dead_letters_total: int


class MadeKey(TypedDict):
    """A key with its secret, which is shown this once."""

    key_id: str
    name: str
    source: str
    scopes: list[str]
    projects: list[str] | None
    submissions_per_minute: int | None
    status_reads_per_minute: int | None
    project_tasks: int | None
    created_at: str | None
    last_used_at: str | None
    previous_valid_until: str | None
    api_key: str


class Metrics(TypedDict):
    """Counters since the store was made, and rates in percent.

    `retried_tasks` counts automatic retries, each by itself; a retry that somebody asks for is a new task, in
    `total_tasks`.
    """

    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    success_rate: float
    failure_rate: float
    currently_running: int
    retried_tasks: int
    cancelled_tasks: int
    average_durations: dict[str, float]


class MetricsBody(TypedDict):
    """Lasting numbers of all tasks, and what was lost on the way."""

    metrics: Metrics
    losses: Losses
    timestamp: str


class PauseBody(TypedDict):
    """Since when and why nothing of a queue starts."""

    since: str
    reason: str


class PausedQueue(TypedDict):
    """The answer to pausing or resuming a queue."""

    queue: str
    paused: PauseBody | None


class QuarantinedTask(TypedDict):
    """A task in quarantine. `GET /api/v1/tasks/{task_id}` has its story."""

    task_id: str
    project_id: str
    task_type: str
    queue: str
    created_at: str
    quarantined_at: str
    error: str


class QuarantineBody(TypedDict):
    """One page of them, the newest first."""

    tasks: list[QuarantinedTask]
    pagination: Pagination


class Queue(TypedDict):
    """What waits and runs; `scheduled` are delayed tasks and retries that wait for their time.

    `fleet` is null where no controller looks after the queue.
    """

    queue: str
    waiting: int
    waiting_by_priority: dict[str, int]
    running: int
    scheduled: int
    oldest_wait_seconds: int | None
    mean_run_seconds: float | None
    workers: int
    paused: PauseBody | None
    fleet: Fleet | None


class QueueHealthBody(TypedDict):
    """Whether the queues are well, and what to look at if not."""

    status: Literal["healthy", "warning", "critical"]
    metrics: Counts
    alerts: list[Alert]
    timestamp: str


class QueuesBody(TypedDict):
    """Every queue that some task type is routed to."""

    queues: list[Queue]


class ReleasedBody(TypedDict):
    """A task was let go: it stays failed."""

    task_id: str
    status: State
    message: str


class RemovedLetter(TypedDict):
    """A dead letter is gone."""

    letter_id: int
    message: str


class RetriedBody(TypedDict):
    """The answer to a retry: the task has a new id."""

    new_task_id: str
    original_task_id: str
    status: State
    message: str


class RevokedKey(TypedDict):
    """A key that is none any more."""

    key_id: str
    status: str
    message: str


class SecretBody(TypedDict):
    """What the webhooks of a key are signed with."""

    secret: str
    created_at: str
    previous_valid_until: str | None


State = Literal["queued", "processing", "completed", "failed", "cancelled"]
"""Where a task is in its life. Clients stop polling on the three final ones; no state may be added."""


class StatusBody(TypedDict):
    """State and progress of a task: the same keys in every state, null until they apply."""

    task_id: str
    project_id: str
    status: State
    progress: float | None
    current_step: str | None
    result: dict[str, Any] | None
    error: str | None
    started_at: str | None
    completed_at: str | None
    processing_time: int | None
    task_type: str
    created_at: str
    attempt: int
    max_attempts: int
    next_attempt_at: str | None
    last_error: str | None


class Submission(TypedDict):
    """The body of a submission."""

    project_id: str
    task_type: Literal[
        "generate_video",
        "render_animation",
        "generate_image",
        "generate_character_voice",
        "process_audio",
        "evaluate_department",
        "automated_gather_creation",
        "test_prompt",
    ]
    task_data: dict[str, Any]
    priority: NotRequired[int]
    callback_url: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]
    delay_seconds: NotRequired[float | None]
    run_at: NotRequired[str | None]
    deadline_seconds: NotRequired[float | None]
    deadline: NotRequired[str | None]


class TaskDeliveries(TypedDict):
    """Those of one task: none, or one."""

    task_id: str
    deliveries: list[DeliveryBody]


class TaskList(TypedDict):
    """A page of a project's tasks, newest first."""

    tasks: list[ListedTask]
    pagination: Pagination


class UnhealthyBody(TypedDict):
    """Redis cannot be reached. What cannot be seen is null, not zero."""

    status: str
    redis_status: str
    worker_count: int | None
    queue_sizes: dict[str, int] | None
    system_load: SystemLoad | None
    uptime: int
    error: str
    message: str
    retry_after: int


class UsageBody(TypedDict):
    """What a project used. Days without use are left out."""

    project_id: str
    first_day: str
    last_day: str
    total: Usage
    by_type: dict[str, Usage]
    by_day: list[DayUsage]


class WebhookRules(TypedDict):
    """How webhooks are delivered."""

    addresses: list[str]
    attempts: int
    retry_delays_seconds: list[float]
    timeout_seconds: float
    success_codes: list[int]


class Worker(TypedDict):
    """One worker, as it last told. What it tells of its machine may be missing."""

    worker_id: str
    queue: str
    draining: bool
    silent_seconds: float
    phase: NotRequired[str]
    running: NotRequired[int]
    concurrency: NotRequired[int]
    consumer_restarts: NotRequired[int]
    trouble: NotRequired[str]
    host: NotRequired[str]
    pid: NotRequired[int]
    cpu_percent: NotRequired[float]
    memory_percent: NotRequired[float]
    gpu_utilization: NotRequired[list[float]]
    memory_bytes: NotRequired[dict[str, int]]


class WorkersBody(TypedDict):
    """Every worker that beats."""

    workers: list[Worker]
    total: int
