"""What wakes people: recording rules and alerts, each alert beside the two stories that prove it.

A story is what Prometheus sees, and what it says then. `promtool test rules` plays all of them, with everything of the fleet
exported by two processes of the API, as in any installation that matters: nothing may be counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from genfleet.contract import measures as m
from genfleet.contract.measures import Measure, Source
from genfleet.contract.redis_terms import MEMORY_FAILURE, MEMORY_WARNING
from genfleet_service.fleet_health import FAILURE_RATE, RECENT_LEAST, WORKER_MEMORY
from tools.monitoring.queries import INSTALLATION, Scope, name_of, share

Json = dict[str, Any]

RUNBOOKS = "docs/runbooks/"
"""Where they are: in this repository. The chart puts an address of yours in its place (`monitoring.prometheusRule.runbooks`)."""

WAIT_SECONDS = 60
"""The promise: so many attempts out of a hundred are claimed within this time."""
WAIT_SHARE = 0.99
BURNS = ((14.4, "1h", "5m", "critical"), (6, "6h", "30m", "warning"))
"""How fast the allowance of a month may be used up: in two days, or in five. The long window says that it matters, the short
one that it still goes on."""
LEAST_CLAIMS = 10
"""In the long window; of fewer a single slow one would be an alert."""

RECENT = "10m"
AGE_OF_A_STUCK_WAIT = 300
BLIND_SECONDS = 60
LOST_WARNING = 3
"""In `RECENT`. One worker goes now and then, with its machine; three hardly by chance."""
WEBHOOKS_FAILED_SHARE, WEBHOOKS_FAILED_LEAST = 0.05, 3
REMEMBERED = "1d"
"""How long something that has gone is missed."""

QUEUE = f"{INSTALLATION}, queue"
ASK = Scope()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A number that is worked out once, for all that ask."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Story:
    """What Prometheus sees from minute 0 on, and what it then says of an alert. `says`: labels, and the text."""

    told: str
    series: Mapping[str, str]
    at: str
    says: Sequence[tuple[str, Mapping[str, str], str]] = ()
    """Severity, labels and text of each alert of this name that is to be firing; none: silence."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that needs somebody. Its name is also its runbook's."""

    name: str
    severity: str
    expression: str
    lasts: str
    """How long it has to hold."""
    summary: str
    """One sentence; Prometheus fills in labels and value."""
    means: str
    stories: Sequence[Story] = field(default=())

    @property
    def runbook(self) -> str:
        """Where it says what to do."""
        return f"{RUNBOOKS}{self.name}.md"


# -- recording rules -----------------------------------------------------------------------------------------------------


def _since(measure: Measure, part: str = "", over: str = RECENT) -> Recorded:
    """What a number of the fleet grew by, exactly, and only where Prometheus saw the fleet at both ends of that time.

    The guard keeps all that ever happened from looking new to a Prometheus that has just been started.
    """
    seen_then = f"max by ({INSTALLATION}) ({m.API_REDIS_UP.name} offset {over}) == 1"
    name = f"fleet:{name_of(measure, part)}:increase{over}"
    return Recorded(name, f"{ASK.grown(measure, over, part)} and on ({INSTALLATION}) {seen_then}")


def _slow(over: str) -> Recorded:
    """The share of attempts that waited longer than is promised."""
    return Recorded(f"queue:genfleet_queue_wait_slow:ratio_rate{over}", ASK.above(WAIT_SECONDS, m.WAIT, QUEUE, over))


SLOW = {over: _slow(over) for _, long, short, _ in BURNS for over in (long, short)}
CLAIMS = {over: _since(m.WAIT, "count", over) for over in (RECENT, *(long for _, long, *_ in BURNS))}
ENDED, ATTEMPTS = _since(m.ENDED), _since(m.ATTEMPTS)
POISONED = _since(m.POISONED, over="1h")
WEBHOOKS = _since(m.WEBHOOKS, over="1h")
RECORDED = (*SLOW.values(), *CLAIMS.values(), ENDED, ATTEMPTS, POISONED, WEBHOOKS)

# -- what the stories see --------------------------------------------------------------------------------------------------

STUDIO = {"namespace": "studio", "queue": "gpu_medium"}
IMAGES = STUDIO | {"type": "generate_image"}


def seen(measure: Measure, values: str, part: str = "", **labels: str) -> dict[str, str]:
    """One of our numbers as Prometheus gets it: from two processes of the API if it is the fleet's."""
    pods = ("api-1", "api-2") if measure.source is Source.FLEET else ("only",)
    name = name_of(measure, part)
    return {f"{name}{{{_shown({**labels, 'instance': pod, 'pod': pod})}}}": values for pod in pods}


def _shown(labels: Mapping[str, str]) -> str:
    return ", ".join(f'{name}="{value}"' for name, value in labels.items())


UP = seen(m.API_REDIS_UP, "1x1000", namespace="studio")


def _waits(slow: int, all_of_them: int) -> dict[str, str]:
    """So many of all that are claimed in a minute waited too long."""
    return (
        UP
        | seen(m.WAIT, f"0+{all_of_them - slow}x1000", "bucket", **IMAGES, le=f"{WAIT_SECONDS:.1f}")
        | seen(m.WAIT, f"0+{all_of_them}x1000", "bucket", **IMAGES, le="+Inf")
        | seen(m.WAIT, f"0+{all_of_them}x1000", "count", **IMAGES)
    )


def _ends(completed: str, failed: str) -> dict[str, str]:
    return UP | seen(m.ENDED, completed, **IMAGES, state="completed") | seen(m.ENDED, failed, **IMAGES, state="failed")


def _stuck(claims: str, paused: int = 0, running: int = 0) -> dict[str, str]:
    return (
        UP
        | seen(m.OLDEST, "0+60x100", **STUDIO)
        | seen(m.RUNNING, f"{running}x100", **STUDIO)
        | seen(m.PAUSED, f"{paused}x100", **STUDIO)
        | seen(m.WAIT, claims, "count", **IMAGES)
    )


# -- alerts ----------------------------------------------------------------------------------------------------------------


def _burns() -> Iterator[Alert]:
    allowed = 1 - WAIT_SHARE
    warns = f"Queue gpu_medium: 10% of attempts waited longer than {WAIT_SECONDS} s in the last 6h."
    fires = {
        "critical": Story(
            "one in two waits too long, for an hour",
            _waits(50, 100),
            "90m",
            [
                (
                    "critical",
                    STUDIO,
                    f"Queue gpu_medium: 50% of attempts waited longer than {WAIT_SECONDS} s in the last 1h.",
                )
            ],
        ),
        "warning": Story("one in ten waits too long, for hours", _waits(10, 100), "7h", [("warning", STUDIO, warns)]),
    }
    quiet = {
        "critical": Story("one in a hundred is allowed", _waits(1, 100), "7h"),
        "warning": Story("so few say nothing", dict.fromkeys(_waits(0, 1), "0x60 1+0x1000") | UP, "90m"),
    }
    for factor, long, short, severity in BURNS:
        slow = " and ".join(f"{SLOW[over].name} > {factor:g} * {allowed:g}" for over in (long, short))
        enough = f"sum by ({QUEUE}) ({CLAIMS[long].name}) >= {LEAST_CLAIMS}"
        yield Alert(
            "GenfleetTasksWaitTooLong",
            severity,
            f"{slow} and {enough}",
            "2m",
            f"Queue {{{{ $labels.queue }}}}: {{{{ $value | humanizePercentage }}}} of attempts waited longer than "
            f"{WAIT_SECONDS} s in the last {long}.",
            f"{WAIT_SHARE:.0%} of attempts are to be claimed within {WAIT_SECONDS} s. At this rate the allowance of a month is "
            f"gone {'in two days' if severity == 'critical' else 'in five days'}.",
            [fires[severity], quiet[severity]],
        )


def _fails() -> Iterator[Alert]:
    ended = f'sum by ({QUEUE}) ({ENDED.name}{{state=~"completed|failed"}})'
    failed = f'sum by ({QUEUE}) ({ENDED.name}{{state="failed"}})'
    story = {
        "critical": Story(
            "one in four fails",
            _ends("0+3x60", "0+1x60"),
            "30m",
            [
                (severity, STUDIO, "Queue gpu_medium: 25% of the tasks that ended in the last 10m failed.")
                for severity in ("critical", "warning")
            ],
        ),
        "warning": Story(
            "one in five fails",
            _ends("0+4x60", "0+1x60"),
            "30m",
            [("warning", STUDIO, "Queue gpu_medium: 20% of the tasks that ended in the last 10m failed.")],
        ),
    }
    quiet = {
        "critical": Story("one in ten fails", _ends("0+9x60", "0+1x60"), "30m"),
        "warning": Story("the only one fails, the first ever", _ends("0x60", "_x15 1x60"), "20m"),
    }
    for severity in ("critical", "warning"):
        limit = getattr(FAILURE_RATE, severity)
        yield Alert(
            "GenfleetTasksFail",
            severity,
            f"({failed} / {ended} > {limit / 100:g}) and {ended} >= {RECENT_LEAST}",
            "1m",
            "Queue {{ $labels.queue }}: {{ $value | humanizePercentage }} of the tasks that ended in the last "
            f"{RECENT} failed.",
            f"More than {limit:g} % of at least {RECENT_LEAST} tasks failed for good, after all their attempts.",
            [story[severity], quiet[severity]],
        )


def _memory_of_workers() -> Iterator[Alert]:
    for severity, at in (("critical", 2_000_000_000), ("warning", 1_600_000_000)):
        limit: float = getattr(WORKER_MEMORY, severity)
        text = f"Queue gpu_medium: its largest worker takes {at / 1e9:g}GB of memory."
        both = ("critical", "warning") if severity == "critical" else ("warning",)
        quiet = {"critical": 1_900_000_000, "warning": 1_500_000_000}[severity]
        left_over = [("warning", STUDIO, "Queue gpu_medium: its largest worker takes 1.9GB of memory.")]
        yield Alert(
            "GenfleetWorkerMemory",
            severity,
            f"{ASK.now(m.WORKER_MEMORY)} > {limit:.0f}",
            "5m",
            "Queue {{ $labels.queue }}: its largest worker takes {{ $value | humanize }}B of memory.",
            f"More than {limit / 1e9:g} GB in one worker, all its processes together.",
            [
                Story(
                    "it is large",
                    seen(m.WORKER_MEMORY, f"{at}x60", **STUDIO),
                    "20m",
                    [(one, STUDIO, text) for one in both],
                ),
                Story(
                    "it is just not that large",
                    seen(m.WORKER_MEMORY, f"{quiet}x60", **STUDIO),
                    "20m",
                    left_over if severity == "critical" else (),
                ),
            ],
        )


def _redis_memory() -> Iterator[Alert]:
    where = {"namespace": "studio"}

    def filled(part: float) -> dict[str, str]:
        return seen(m.REDIS_MEMORY, f"{part * 1000:.0f}x60", **where) | seen(m.REDIS_MEMORY_MOST, "1000x60", **where)

    for severity, limit, at, quiet in (
        ("critical", MEMORY_FAILURE, 0.97, None),
        ("warning", MEMORY_WARNING, 0.85, 0.75),
    ):
        both = ("critical", "warning") if severity == "critical" else ("warning",)
        yield Alert(
            "GenfleetRedisMemory",
            severity,
            share(ASK.now(m.REDIS_MEMORY), ASK.now(m.REDIS_MEMORY_MOST)) + f" > {limit:g}",
            "2m",
            "Redis: {{ $value | humanizePercentage }} of its maxmemory is used.",
            "When it is full, new tasks are refused with 503. What was accepted goes on.",
            [
                Story(
                    "it fills",
                    filled(at),
                    "20m",
                    [(one, where, f"Redis: {at:.0%} of its maxmemory is used.") for one in both],
                ),
                Story("there is room", filled(quiet), "20m")
                if quiet
                else Story(
                    "it has no limit",
                    seen(m.REDIS_MEMORY, "9e9x60", **where) | seen(m.REDIS_MEMORY_MOST, "0x60", **where),
                    "20m",
                ),
            ],
        )


def _nothing_consumed() -> Alert:
    oldest = f"sum by ({QUEUE}) ({ASK.now(m.OLDEST)})"
    busy = f"sum by ({QUEUE}) ({CLAIMS[RECENT].name}) > 0"
    runs = f"sum by ({QUEUE}) ({ASK.now(m.RUNNING)}) > 0"
    paused = f"sum by ({QUEUE}) ({ASK.now(m.PAUSED)}) > 0"
    on = f"on ({QUEUE})"
    return Alert(
        "GenfleetNothingConsumed",
        "critical",
        f"({oldest} > {AGE_OF_A_STUCK_WAIT}) unless {on} ({busy}) unless {on} ({runs}) unless {on} ({paused})",
        "2m",
        "Queue {{ $labels.queue }}: the first in line has waited {{ $value | humanizeDuration }}, and nothing is started.",
        f"Work waits, nothing of the queue runs, nothing was started in {RECENT}, and the queue is not paused.",
        [
            Story(
                "work waits, and no worker takes it",
                _stuck("5x100"),
                "15m",
                [
                    (
                        "critical",
                        STUDIO,
                        "Queue gpu_medium: the first in line has waited 15m 0s, and nothing is started.",
                    )
                ],
            ),
            Story("it is slow, but goes on", _stuck("0+1x100"), "15m"),
            Story("one long task runs", _stuck("5x100", running=1), "15m"),
            Story("the queue is paused", _stuck("5x100", paused=1), "15m"),
        ],
    )


def _operated() -> Iterator[Alert]:
    """What only an operator sees."""
    pool = {"namespace": "studio", "name": "images", "queue": "gpu_medium"}
    who = {"namespace": "studio"}
    yield Alert(
        "GenfleetScalerBlind",
        "critical",
        f"max by ({INSTALLATION}) ({m.OBSERVATION_AGE.name}) > {BLIND_SECONDS}",
        "1m",
        "The operator has not seen Redis for {{ $value | humanizeDuration }}.",
        "Without numbers the fleet stays as large as it is: new work gets no new workers, and none are stopped.",
        [
            Story(
                "Redis does not answer it",
                seen(m.OBSERVATION_AGE, "0x5 60+60x60", **who),
                "10m",
                [("critical", who, "The operator has not seen Redis for 5m 0s.")],
            ),
            Story("it has just become so", seen(m.OBSERVATION_AGE, "0x5 61x60", **who), "6m"),
        ],
    )
    led = f"max by ({INSTALLATION}) ({m.LEADER.name})"
    yield Alert(
        "GenfleetNoOperator",
        "critical",
        f"max by ({INSTALLATION}) (max_over_time({m.LEADER.name}[{REMEMBERED}])) unless on ({INSTALLATION}) ({led} == 1)",
        "2m",
        "No operator leads: the fleet keeps its size, whatever the work.",
        f"One led within the last {REMEMBERED}, and now none does, or none is seen.",
        [
            Story(
                "it is gone",
                seen(m.LEADER, "1x5 stale", **who),
                "15m",
                [("critical", who, "No operator leads: the fleet keeps its size, whatever the work.")],
            ),
            Story(
                "another took over",
                {
                    f'{m.LEADER.name}{{namespace="studio", pod="{pod}"}}': values
                    for pod, values in (("a", "1x5 stale"), ("b", "0x5 1x60"))
                },
                "15m",
            ),
            Story("there never was one", UP, "15m"),
        ],
    )
    yield Alert(
        "GenfleetWorkersUnschedulable",
        "warning",
        f"sum by ({QUEUE}) ({ASK.now(m.UNSCHEDULABLE)}) > 0",
        "10m",
        "Queue {{ $labels.queue }}: no node has room for {{ $value }} of its workers.",
        "Kubernetes finds no node with what the pods ask for: GPUs, most of the time. What waits for them waits on.",
        [
            Story(
                "two find no room",
                seen(m.UNSCHEDULABLE, "2x60", **pool),
                "20m",
                [("warning", STUDIO, "Queue gpu_medium: no node has room for 2 of its workers.")],
            ),
            Story("a node may still come", seen(m.UNSCHEDULABLE, "2x60", **pool), "8m"),
        ],
    )
    stopped = f'{m.BUSY_STOPPED.name}{{by="scaling"}}'
    yield Alert(
        "GenfleetBusyWorkerStopped",
        "warning",
        f"sum by ({QUEUE}) ((increase({stopped}[1h]) > 0) or (({stopped} > 0) unless ({stopped} offset 1h)))",
        "0m",
        "Queue {{ $labels.queue }}: scaling down stopped a worker that held a task.",
        "This must not happen. The task was not lost: it goes back in line, and runs again.",
        [
            Story(
                "one was stopped, the first",
                seen(m.BUSY_STOPPED, "_x5 1x60", **pool, by="scaling"),
                "10m",
                [("warning", STUDIO, "Queue gpu_medium: scaling down stopped a worker that held a task.")],
            ),
            Story("a node was drained", seen(m.BUSY_STOPPED, "_x5 1x60", **pool, by="other"), "10m"),
        ],
    )


def _fleet() -> Iterator[Alert]:
    """What happens to tasks and workers."""
    draining = f"sum by ({QUEUE}) ({ASK.now(m.WORKERS_SEEN, state='draining')})"
    yield Alert(
        "GenfleetDrainStuck",
        "warning",
        f"{draining} > 0 or sum by ({QUEUE}) ({ASK.now(m.WORKERS, state='draining')}) > 0",
        "30m",
        "Queue {{ $labels.queue }}: {{ $value }} workers have been draining for half an hour.",
        "A worker that drains takes nothing new, and leaves when what it runs has ended: within 10 minutes, by the limits.",
        [
            Story(
                "it does not leave",
                seen(m.WORKERS_SEEN, "1x100", **STUDIO, state="draining"),
                "40m",
                [("warning", STUDIO, "Queue gpu_medium: 1 workers have been draining for half an hour.")],
            ),
            Story("it has 20 minutes so far", seen(m.WORKERS_SEEN, "1x100", **STUDIO, state="draining"), "20m"),
        ],
    )
    lost = f'sum by ({QUEUE}) ({ATTEMPTS.name}{{outcome="{m.Outcome.LOST}"}})'
    yield Alert(
        "GenfleetAttemptsLost",
        "warning",
        f"{lost} >= {LOST_WARNING}",
        "0m",
        f"Queue {{{{ $labels.queue }}}}: {{{{ $value }}}} attempts were lost with their workers in the last {RECENT}.",
        "Workers or their processes die. Their tasks run again, and are set aside when they took three workers with them.",
        [
            Story(
                "four are lost, the first ever",
                UP | seen(m.ATTEMPTS, "_x14 4x60", **IMAGES, outcome="lost"),
                "16m",
                [("warning", STUDIO, "Queue gpu_medium: 4 attempts were lost with their workers in the last 10m.")],
            ),
            Story("a machine went, with two", UP | seen(m.ATTEMPTS, "_x14 2x60", **IMAGES, outcome="lost"), "16m"),
            Story(
                "Prometheus is new here, and the losses are old",
                seen(m.API_REDIS_UP, "_x14 1x60", namespace="studio")
                | seen(m.ATTEMPTS, "_x14 4x60", **IMAGES, outcome="lost"),
                "16m",
            ),
        ],
    )
    where = {"namespace": "studio"}
    yield Alert(
        "GenfleetPoisonTasks",
        "warning",
        f"{POISONED.name} > 0",
        "0m",
        "{{ $value }} tasks took three workers with them in the last hour, and were set aside.",
        "They will not run again by themselves. Each has its story: which workers it ran on, and how each was lost.",
        [
            Story(
                "one is set aside",
                UP | seen(m.POISONED, "0x80 1x60", **where),
                "90m",
                [("warning", where, "1 tasks took three workers with them in the last hour, and were set aside.")],
            ),
            Story("they are old", UP | seen(m.POISONED, "7x200", **where), "90m"),
            Story(
                "they are old, and Prometheus copies labels of pods, which are others since an upgrade",
                UP
                | seen(m.POISONED, "7x80 stale", **where, pod_template_hash="a")
                | seen(m.POISONED, "_x80 7x60", **where, pod_template_hash="b"),
                "90m",
            ),
        ],
    )
    yield Alert(
        "GenfleetDeadLetters",
        "warning",
        f"{ASK.now(m.LETTERS)} > 0",
        "5m",
        "{{ $value }} messages or records could not be read, and were set aside.",
        "Somebody sends what no worker understands, or a record is broken. Whole, with the reason, they wait for a person.",
        [
            Story(
                "two wait for somebody",
                seen(m.LETTERS, "2x60", **where),
                "10m",
                [("warning", where, "2 messages or records could not be read, and were set aside.")],
            ),
            Story("somebody may be seeing to it", seen(m.LETTERS, "2x60", **where), "4m"),
        ],
    )
    failed = f'sum by ({INSTALLATION}) ({WEBHOOKS.name}{{outcome="{m.WebhookOutcome.FAILED}"}})'
    closed = f'sum by ({INSTALLATION}) ({WEBHOOKS.name}{{outcome=~"{m.WebhookOutcome.FAILED}|{m.WebhookOutcome.DELIVERED}"}})'
    yield Alert(
        "GenfleetWebhooksFail",
        "warning",
        f"({failed} / {closed} > {WEBHOOKS_FAILED_SHARE}) and {failed} >= {WEBHOOKS_FAILED_LEAST}",
        "1m",
        "{{ $value | humanizePercentage }} of webhooks failed for good in the last hour.",
        "All attempts at delivery failed, so somebody does not know that their tasks ended.",
        [
            Story(
                "a receiver is gone",
                UP
                | seen(m.WEBHOOKS, "0+9x100", **where, outcome="delivered")
                | seen(m.WEBHOOKS, "0+1x100", **where, outcome="failed"),
                "90m",
                [("warning", where, "10% of webhooks failed for good in the last hour.")],
            ),
            Story(
                "one in a hundred fails",
                UP
                | seen(m.WEBHOOKS, "0+99x100", **where, outcome="delivered")
                | seen(m.WEBHOOKS, "0+1x100", **where, outcome="failed"),
                "90m",
            ),
        ],
    )


def _api() -> Iterator[Alert]:
    where = {"namespace": "studio"}
    up = m.API_REDIS_UP.name
    yield Alert(
        "GenfleetRedisUnreachable",
        "critical",
        f"min by ({INSTALLATION}) ({up}) == 0",
        "1m",
        "An API process does not reach Redis.",
        "It answers 503. Workers that do not reach it either go on with what they run, and start nothing.",
        [
            Story(
                "it does not answer",
                seen(m.API_REDIS_UP, "1x5 0x60", **where),
                "10m",
                [("critical", where, "An API process does not reach Redis.")],
            ),
            Story("it is being restarted", seen(m.API_REDIS_UP, "1x5 0x60", **where), "6m"),
        ],
    )
    yield Alert(
        "GenfleetApiGone",
        "critical",
        f"(max by ({INSTALLATION}) (max_over_time({up}[{REMEMBERED}])) unless on ({INSTALLATION}) max by ({INSTALLATION}) ({up}))"
        f" or absent({up})",
        "2m",
        "No process of the API is seen: nobody can submit, and all numbers of the fleet are missing.",
        f"Prometheus scraped one within the last {REMEMBERED}, and now scrapes none; or it never found any.",
        [
            Story(
                "it is gone",
                seen(m.API_REDIS_UP, "1x5 stale", **where),
                "15m",
                [
                    (
                        "critical",
                        labels,
                        "No process of the API is seen: nobody can submit, and all numbers of the fleet are missing.",
                    )
                    for labels in ({}, where)
                ],
            ),
            Story(
                "a rollout",
                {
                    f'{up}{{namespace="studio", pod="{pod}"}}': values
                    for pod, values in (("a", "1x5 stale"), ("b", "_x5 1x60"))
                },
                "15m",
            ),
        ],
    )


ALERTS: tuple[Alert, ...] = (
    *_burns(),
    _nothing_consumed(),
    *_fails(),
    *_fleet(),
    *_operated(),
    *_memory_of_workers(),
    *_redis_memory(),
    *_api(),
)

# -- files -----------------------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """YAML without references: a reader sees each value where it is."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _yaml(document: Json) -> str:
    made = "# Made by `make generate` from tools/monitoring/alerts.py.\n"
    return made + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)


def rules() -> str:
    """`deploy/monitoring/rules.yaml`: what Prometheus loads."""
    recorded = [{"record": rule.name, "expr": rule.expression} for rule in RECORDED]
    return _yaml(
        {
            "groups": [
                {"name": "genfleet-recorded", "rules": recorded},
                {"name": "genfleet-alerts", "rules": list(map(_rule, ALERTS))},
            ]
        }
    )


def _rule(alert: Alert) -> Json:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.lasts,
        "labels": {"severity": alert.severity},
        "annotations": _annotations(alert, alert.summary),
    }


def _annotations(alert: Alert, summary: str) -> Json:
    return {"summary": summary, "description": alert.means, "runbook_url": alert.runbook}


def stories() -> str:
    """`deploy/monitoring/rules_test.yaml`: what `promtool test rules` plays."""
    return _yaml({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": list(_tests())})


def _tests() -> Iterator[Json]:
    by_name = {(alert.name, alert.severity): alert for alert in ALERTS}
    for alert in ALERTS:
        for story in alert.stories:
            yield {
                "name": f"{alert.name}, {alert.severity}: {story.told}",
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in story.series.items()],
                "alert_rule_test": [
                    {
                        "eval_time": story.at,
                        "alertname": alert.name,
                        "exp_alerts": [
                            {
                                "exp_labels": {"severity": severity, **labels},
                                "exp_annotations": _annotations(by_name[alert.name, severity], text),
                            }
                            for severity, labels, text in story.says
                        ],
                    }
                ],
            }
