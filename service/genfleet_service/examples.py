"""An example of each body in the OpenAPI document, by the name of its schema: the documents' own where they have one."""

from __future__ import annotations

from typing import Any

_TASK, _PROJECT = "abc123-def456-ghi789", "detective_series_001"
_RESULT = {
    "media_url": "https://media.ft.tc/project_001/video_abc123.mp4",
    "payload_media_id": "64f1b2c3a8d9e0f1",
    "metadata": {"duration": 7.0, "resolution": "1920x1080", "file_size": 15728640},
}
_DATA = {
    "storyboard_images": ["https://media.ft.tc/project_001/board_1.png"],
    "scene_description": "Detective enters the dark alley",
    "camera_angle": "wide_shot",
    "lighting": "noir_dramatic",
    "duration": 7,
}
_METADATA = {"user_id": "user123", "agent_id": "video_generation_agent", "session_id": "session456"}
_CALLBACK = "https://auto-movie.ft.tc/api/webhooks/task-complete"
_CREATED, _STARTED, _COMPLETED = "2025-01-15T10:30:00Z", "2025-01-15T10:30:15Z", "2025-01-15T10:35:30Z"
_STATUS = {
    "task_id": _TASK,
    "project_id": _PROJECT,
    "status": "completed",
    "progress": 1.0,
    "current_step": "rendering_video",
    "result": _RESULT,
    "error": None,
    "started_at": _STARTED,
    "completed_at": _COMPLETED,
    "processing_time": 315,
    "task_type": "generate_video",
    "created_at": _CREATED,
    "attempt": 1,
    "max_attempts": 4,
    "next_attempt_at": None,
    "last_error": None,
}
_ATTEMPTS = [
    {
        "at": _COMPLETED,
        "status_code": 500,
        "error": "The receiver answered 500",
        "duration_ms": 84,
        "response": '{"error":"Internal server error"}',
    },
    {
        "at": "2025-01-15T10:35:31Z",
        "status_code": 200,
        "error": None,
        "duration_ms": 91,
        "response": '{"received":true}',
    },
]
_DELIVERY = {
    "webhook_id": f"msg_{_TASK}",
    "task_id": _TASK,
    "project_id": _PROJECT,
    "task_type": "generate_video",
    "task_status": "completed",
    "callback_url": _CALLBACK,
    "status": "delivered",
    "created_at": _COMPLETED,
    "next_attempt_at": None,
    "attempts": _ATTEMPTS,
}
_KEY = {
    "key_id": "4f1c2a9d0b7e",
    "name": "auto-movie",
    "source": "redis",
    "scopes": ["read", "submit"],
    "projects": ["detective_series_001"],
    "submissions_per_minute": 300,
    "status_reads_per_minute": None,
    "project_tasks": None,
    "created_at": _CREATED,
    "last_used_at": None,
    "previous_valid_until": None,
}
_SECRET = "gf_4f1c2a9d0b7e_" + "x" * 43
_COUNTS = {
    "total_tasks": 1523,
    "completed_tasks": 1398,
    "failed_tasks": 89,
    "success_rate": 91.8,
    "failure_rate": 5.8,
    "currently_running": 4,
}

_USAGE = {
    "completed": 41,
    "failed": 2,
    "cancelled": 1,
    "attempts": 46,
    "run_seconds": 12960.5,
    "gpu_seconds": 25921.0,
}

_QUARANTINED_AT = "2025-01-15T10:32:41Z"
_LETTER = {
    "letter_id": 17,
    "status": "waiting",
    "reason": "Unknown task type 'generate_hologram': this worker knows generate_image, generate_video",
    "queue": "gpu_heavy",
    "task_id": _TASK,
    "task_type": "generate_hologram",
    "worker": "gpu-heavy-7c9f@node-2",
    "size": 912,
    "times": 1,
    "at": _STARTED,
    "last_at": _STARTED,
    "resent_at": None,
    "resent_by": None,
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "QuarantineBody": {
        "tasks": [
            {
                "task_id": _TASK,
                "project_id": _PROJECT,
                "task_type": "generate_video",
                "queue": "gpu_heavy",
                "created_at": _CREATED,
                "quarantined_at": _QUARANTINED_AT,
                "error": "Gave up: 3 workers were lost while they ran this task (its worker stopped answering)",
            }
        ],
        "pagination": {"page": 1, "limit": 20, "total": 1, "total_pages": 1},
    },
    "QuarantineRetry": {"project_id": _PROJECT, "dry_run": True},
    "ReleasedBody": {
        "task_id": _TASK,
        "status": "failed",
        "message": "The task has left the quarantine, and stays failed",
    },
    "DeadLetters": {
        "dead_letters": [_LETTER],
        "pagination": {"page": 1, "limit": 20, "total": 1, "total_pages": 1},
    },
    "FullDeadLetter": {**_LETTER, "message": '{"headers": {"task": "generate_hologram"}}', "complete": True},
    "RemovedLetter": {"letter_id": 17, "message": "The dead letter has been removed"},
    "LetterFilter": {"queue": "gpu_heavy", "dry_run": True},
    "LettersBody": {"dry_run": True, "matched": 4, "done": 0, "skipped": 0},
    "EventsBody": {
        "task_id": _TASK,
        "events": [
            {"id": 0, "event": "state", "data": {"task_id": _TASK, "at": f"{_CREATED[:-1]}.107Z", "status": "queued"}},
            {
                "id": 1,
                "event": "state",
                "data": {"task_id": _TASK, "at": f"{_STARTED[:-1]}.031Z", "status": "processing", "attempt": 1},
            },
        ],
        "complete": True,
    },
    "AuditBody": {
        "entries": [
            {
                "id": "1736937000107-0",
                "at": f"{_CREATED[:-1]}.107Z",
                "action": "queues-pause",
                "key_id": "4f1c2a9d0b7e",
                "name": "on call",
                "project": None,
                "target": "gpu_heavy",
                "address": "203.0.113.9",
                "status": 200,
            }
        ],
        "next": None,
    },
    "LogsBody": {
        "task_id": _TASK,
        "logs": [
            {
                "id": 3,
                "at": f"{_STARTED[:-1]}.480Z",
                "level": "info",
                "message": "3 shots, 168 frames at 24 a second, 1920x1080, seed 7",
            }
        ],
        "complete": True,
    },
    "Submission": {
        "project_id": _PROJECT,
        "task_type": "generate_video",
        "task_data": _DATA,
        "priority": 1,
        "callback_url": _CALLBACK,
        "metadata": _METADATA,
    },
    "WebhookRules": {
        "addresses": ["203.0.113.7"],
        "attempts": 4,
        "retry_delays_seconds": [1, 2, 4],
        "timeout_seconds": 30,
        "success_codes": [200, 201, 202, 204],
    },
    "DeliveryBody": {**_DELIVERY, "status": "pending", "next_attempt_at": _COMPLETED},
    "TaskDeliveries": {"task_id": _TASK, "deliveries": [_DELIVERY]},
    "Deliveries": {
        "deliveries": [{**_DELIVERY, "attempts": _ATTEMPTS[-1:]}],
        "pagination": {"page": 1, "limit": 20, "total": 1, "total_pages": 1},
    },
    "SecretRotation": {"grace_seconds": 86400},
    "SecretBody": {
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "created_at": _CREATED,
        "previous_valid_until": "2025-01-16T10:30:00Z",
    },
    "PauseRequest": {"reason": "the model is being replaced"},
    "PausedQueue": {"queue": "gpu_heavy", "paused": {"since": _CREATED, "reason": "the model is being replaced"}},
    "Batch": {"tasks": [{"project_id": _PROJECT, "task_type": "generate_video", "task_data": _DATA}]},
    "BatchBody": {
        "accepted": 1,
        "refused": 1,
        "results": [
            {
                "index": 0,
                "task": {
                    "task_id": _TASK,
                    "status": "queued",
                    "project_id": _PROJECT,
                    "estimated_duration": 300,
                    "queue_position": 5,
                    "created_at": _CREATED,
                },
                "error": None,
            },
            {
                "index": 1,
                "task": None,
                "error": {
                    "status": 400,
                    "error": "validation_error",
                    "message": "Invalid task data",
                    "details": {"project_id": "Project ID is required"},
                },
            },
        ],
    },
    "CancelRequest": {"status": "queued", "task_type": "generate_video", "dry_run": True},
    "RetryRequest": {"status": "failed", "since": _CREATED},
    "BulkBody": {
        "dry_run": True,
        "matched": 1,
        "done": 0,
        "skipped": 0,
        "remaining": 1,
        "cursor": None,
        "stopped_by": None,
        "sample": [
            {"task_id": _TASK, "task_type": "generate_video", "status": "queued", "created_at": _CREATED},
        ],
    },
    "UsageBody": {
        "project_id": _PROJECT,
        "first_day": "2025-01-01",
        "last_day": "2025-01-30",
        "total": _USAGE,
        "by_type": {"generate_video": _USAGE},
        "by_day": [{"date": "2025-01-15", "total": _USAGE, "by_type": {"generate_video": _USAGE}}],
    },
    "SubmittedBody": {
        "task_id": _TASK,
        "status": "queued",
        "project_id": _PROJECT,
        "estimated_duration": 300,
        "queue_position": 5,
        "created_at": _CREATED,
    },
    "StatusBody": _STATUS,
    "FullTask": {
        **_STATUS,
        "task_data": _DATA,
        "metadata": _METADATA,
        "priority": 1,
        "callback_url": _CALLBACK,
        "updated_at": _COMPLETED,
        "traceback": None,
        "deadline": None,
        "retry_of": None,
        "key_id": "4f1c2a9d0b7e",
        "quarantined_at": None,
        "story": [
            {
                "at": "2025-01-15T10:30:12Z",
                "how": "lost",
                "reason": "its worker stopped answering",
                "attempt": 1,
                "started_at": "2025-01-15T10:30:02Z",
                "worker": "gpu-medium-7c9f@node-2",
                "new_task_id": None,
                "key_id": None,
            }
        ],
        "queue_position": None,
        "pending_reasons": [],
        "eta": None,
        "eta_unknown": None,
    },
    "TaskList": {
        "tasks": [
            {
                "task_id": _TASK,
                "project_id": _PROJECT,
                "task_type": "generate_video",
                "status": "completed",
                "task_data": _DATA,
                "result": _RESULT,
                "created_at": _CREATED,
                "updated_at": _COMPLETED,
                "completed_at": _COMPLETED,
                "result_url": _RESULT["media_url"],
            }
        ],
        "pagination": {"page": 1, "limit": 20, "total": 5, "total_pages": 1},
    },
    "CancelledBody": {
        "task_id": _TASK,
        "status": "cancelled",
        "message": "Task was queued and has been revoked",
        "previous_state": "queued",
        "cancelled_at": "2025-10-04T04:00:00Z",
    },
    "RetriedBody": {
        "new_task_id": "new123-task456-id789",
        "original_task_id": _TASK,
        "status": "queued",
        "message": "Task retry submitted successfully",
    },
    "KeyTerms": {
        "name": "auto-movie",
        "scopes": ["read", "submit"],
        "projects": ["detective_series_001"],
        "submissions_per_minute": 300,
    },
    "MadeKey": {**_KEY, "api_key": _SECRET},
    "KeyList": {"keys": [{**_KEY, "last_used_at": _COMPLETED}], "total": 1},
    "KeyRotation": {"grace_seconds": 86400},
    "RevokedKey": {"key_id": "4f1c2a9d0b7e", "status": "revoked", "message": "The API key has been revoked"},
    "AliveBody": {"status": "healthy"},
    "HealthBody": {
        "status": "healthy",
        "redis_status": "connected",
        "worker_count": 4,
        "queue_sizes": {"gpu_heavy": 3, "gpu_medium": 1, "cpu_intensive": 0, "default": 0},
        "system_load": {"cpu_percent": 45.2, "memory_percent": 62.8, "gpu_utilization": [85.5, 72.1, 0.0, 0.0]},
        "uptime": 86400,
    },
    "UnhealthyBody": {
        "status": "unhealthy",
        "redis_status": "disconnected",
        "worker_count": None,
        "queue_sizes": None,
        "system_load": None,
        "uptime": 86400,
        "error": "service_unavailable",
        "message": "Redis cannot be reached: connection refused",
        "retry_after": 5,
    },
    "MetricsBody": {
        "metrics": {
            **_COUNTS,
            "retried_tasks": 36,
            "cancelled_tasks": 0,
            "average_durations": {"generate_video": 280.4, "generate_image": 38.0},
        },
        "losses": {
            "quarantined": 1,
            "dead_letters": 1,
            "lost_workers_total": 7,
            "recovered_messages_total": 2,
            "quarantined_total": 1,
            "dropped_quarantined_total": 0,
            "dead_letters_total": 17,
            "dropped_dead_letters_total": 0,
        },
        "timestamp": _CREATED,
    },
    "DoctorBody": {
        "version": "0.1.0",
        "key_name": "operations",
        "key_scopes": ["admin", "read"],
        "findings": [
            {
                "subject": "redis",
                "check": "eviction",
                "severity": "ok",
                "found": "noeviction",
                "why": "",
                "remedy": "",
            },
            {
                "subject": "queue",
                "check": "gpu_heavy",
                "severity": "warning",
                "found": "nobody serves it",
                "why": "its tasks wait for ever",
                "remedy": "make a GenerationQueue for it, or start a worker",
            },
        ],
    },
    "QueueHealthBody": {
        "status": "warning",
        "metrics": {**_COUNTS, "failed_tasks": 175, "success_rate": 88.5, "failure_rate": 11.5},
        "alerts": [
            {
                "severity": "warning",
                "message": "Elevated failure rate: 11.50%",
                "metric": "failure_rate",
                "value": 11.5,
            },
            {
                "severity": "warning",
                "message": "Task abc-123-def running for 485 seconds",
                "metric": "task_duration",
                "value": 485,
                "task_id": "abc-123-def",
            },
        ],
        "timestamp": _CREATED,
    },
    "QueuesBody": {
        "queues": [
            {
                "queue": "gpu_medium",
                "waiting": 12,
                "waiting_by_priority": {"1": 2, "2": 10, "3": 0},
                "running": 8,
                "scheduled": 1,
                "oldest_wait_seconds": 3,
                "mean_run_seconds": 38.0,
                "workers": 2,
                "paused": None,
                "fleet": {
                    "wanted": 5,
                    "starting": 3,
                    "ready": 2,
                    "draining": 0,
                    "busy": 2,
                    "minimum": 0,
                    "maximum": 8,
                    "reason": "DemandRose",
                    "explanation": "20 tasks (12 waiting, the oldest for 3 s; 8 running; 0 due again): 5 workers needed; "
                    "up from 2.",
                },
            }
        ]
    },
    "WorkersBody": {
        "workers": [
            {
                "worker_id": "gpu-medium-7f9c@node-3",
                "queue": "gpu_medium",
                "draining": False,
                "silent_seconds": 0.6,
                "phase": "ready",
                "running": 4,
                "concurrency": 4,
                "consumer_restarts": 0,
                "host": "node-3",
                "pid": 7,
                "cpu_percent": 65.2,
                "memory_percent": 78.5,
                "gpu_utilization": [],
                "memory_bytes": {"7": 104857600, "21": 734003200},
            }
        ],
        "total": 1,
    },
}
