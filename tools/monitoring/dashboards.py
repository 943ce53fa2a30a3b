"""The six dashboards. Each row asks a question, which is its title, and its panels answer it at a glance.

The order is that of someone who was woken: do people wait, is the fleet as large as the work, what gets done, what is lost.
"""

from __future__ import annotations

from genfleet.contract import measures as m
from genfleet.contract.measures import Measure
from genfleet.contract.redis_terms import MEMORY_FAILURE, MEMORY_WARNING
from genfleet_service.fleet_health import FAILURE_RATE, WORKER_MEMORY
from tools.monitoring.alerts import BLIND_SECONDS, WAIT_SECONDS, WAIT_SHARE
from tools.monitoring.grafana import GREEN, RED, YELLOW, Dashboard, Look, Panel, Query, Row, Variable
from tools.monitoring.queries import INSTALLATION, Scope, share, total

NAMESPACE = Variable(INSTALLATION, "Installation", m.API_REDIS_UP.name)
QUEUE = Variable("queue", "Queue", m.WAITING.name)
TYPE = Variable("type", "Task type", m.SUBMITTED.name)

ALL = Scope({INSTALLATION: "~$namespace"})
OF_QUEUE = Scope({INSTALLATION: "~$namespace", "queue": "~$queue"})
OF_TYPE = Scope({INSTALLATION: "~$namespace", "type": "~$type"})

ONCE = "$__interval"
"""The time of one bar."""
SHOWN = "$__range"
"""All the time that is looked at."""
PER_MINUTE = "suffix: /min"
SHARES = ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))

NONE_IS_GOOD = ((1, RED),)
NONE_IS_BEST = ((1, YELLOW),)
FAILED_LIMITS = ((FAILURE_RATE.warning / 100, YELLOW), (FAILURE_RATE.critical / 100, RED))


def _quantiles(ask: Scope, measure: Measure) -> list[Query]:
    return [Query(ask.quantile(part, measure), f"{name} within") for part, name in SHARES]


def _failed_share(ask: Scope, by: str = "") -> str:
    """Of the tasks that ended by themselves."""
    return share(
        ask.count(m.ENDED, SHOWN, by, state="failed"),
        ask.count(m.ENDED, SHOWN, by, state="~completed|failed"),
    )


def _happened(ask: Scope, measure: Measure, **where: str) -> str:
    """How often in the time that is shown. Not once is 0, as long as somebody could have told."""
    return f"{ask.count(measure, SHOWN, **where)} or 0 * max({ask.now(m.API_REDIS_UP)} == 1)"


def _number(
    title: str, means: str, query: str, unit: str = "short", limits: tuple[tuple[float, str], ...] = ()
) -> Panel:
    return Panel(title, means, unit, [Query(query, title)], Look.NUMBER, limits)


# -- panels that several dashboards have -----------------------------------------------------------------------------------


def _waits(ask: Scope) -> Panel:
    return Panel(
        "How long attempts wait",
        f"{m.WAIT.means} The promise: {WAIT_SHARE:.0%} within {WAIT_SECONDS} s, the dashed line.",
        "s",
        _quantiles(ask, m.WAIT),
        limits=((WAIT_SECONDS, RED),),
    )


def _kept(ask: Scope) -> Panel:
    return Panel(
        f"Claimed within {WAIT_SECONDS} s",
        f"Of all attempts in the time that is shown. The promise: {WAIT_SHARE:.0%}.",
        "percentunit",
        [Query(f"1 - ({ask.above(WAIT_SECONDS, m.WAIT, over=SHOWN)})", "in time")],
        Look.NUMBER,
        limits=((WAIT_SHARE, GREEN),),
        base=RED,
        width=3,
    )


def _oldest(ask: Scope) -> Panel:
    return Panel("First in line", m.OLDEST.means, "s", [Query(ask.sum(m.OLDEST, "queue"), "{{queue}}")])


def _work_and_places(ask: Scope) -> Panel:
    return Panel(
        "Work and places",
        "Work is what runs and what waits. The line: how many the workers can run at once. Work above it waits; below it places idle, "
        "until the cooldown is over.",
        "short",
        [
            Query(ask.sum(m.RUNNING), "running"),
            Query(ask.sum(m.WAITING), "waiting"),
            Query(ask.sum(m.SLOTS), "places"),
        ],
        Look.STACK,
    )


def _workers(ask: Scope) -> Panel:
    return Panel(
        "Workers, by state",
        m.WORKERS_SEEN.means,
        "short",
        [Query(ask.sum(m.WORKERS_SEEN, "state"), "{{state}}")],
        Look.STACK,
    )


def _ended(ask: Scope) -> Panel:
    return Panel(
        "Tasks that end", m.ENDED.means, PER_MINUTE, [Query(ask.per_minute(m.ENDED, "state"), "{{state}}")], Look.STACK
    )


def _not_completed(ask: Scope) -> Panel:
    return Panel(
        "Attempts that did not complete",
        "By how they ended. Retried, lost and handed back are done again by themselves; failed is for good. Each bar counts the "
        "attempts of its time.",
        "short",
        [Query(ask.count(m.ATTEMPTS, ONCE, "outcome", outcome="~failed|retried|lost|handed_back"), "{{outcome}}")],
        Look.BARS,
    )


def _causes(ask: Scope, by: str = "cause") -> Panel:
    return Panel(
        "Why attempts fail", m.FAILURES.means, "short", [Query(ask.count(m.FAILURES, ONCE, by), "{{cause}}")], Look.BARS
    )


def _runs(ask: Scope, by: str) -> Panel:
    return Panel(
        f"How long attempts run, by {by}",
        f"{m.RUN.means} 95 % are within.",
        "s",
        [Query(ask.quantile(0.95, m.RUN, by), f"{{{{{by}}}}}")],
    )


def _webhooks(ask: Scope) -> Panel:
    return Panel(
        "Webhooks", m.WEBHOOKS.means, "short", [Query(ask.count(m.WEBHOOKS, ONCE, "outcome"), "{{outcome}}")], Look.BARS
    )


def _wanted(ask: Scope) -> Panel:
    return Panel(
        "Workers that are wanted and there",
        f"{m.DESIRED.means} {m.WORKERS.means} From the operator: empty without a cluster.",
        "short",
        [Query(ask.sum(m.DESIRED), "wanted"), Query(ask.sum(m.WORKERS, "state"), "{{state}}")],
        Look.STACK,
    )


def _decisions(ask: Scope) -> Panel:
    return Panel(
        "Why the size changed",
        f"{m.DECISIONS.means} From the operator: empty without a cluster.",
        PER_MINUTE,
        [Query(ask.per_minute(m.DECISIONS, "reason"), "{{reason}}")],
        Look.STACK,
    )


def _set_aside(ask: Scope) -> list[Panel]:
    return [
        _number(
            "In quarantine",
            f"{m.IN_QUARANTINE.means} `genfleet quarantine ls` shows them.",
            ask.sum(m.IN_QUARANTINE),
            limits=NONE_IS_GOOD,
        ),
        _number(
            "Dead letters",
            f"{m.LETTERS.means} `genfleet dead-letters ls` shows them.",
            ask.sum(m.LETTERS),
            limits=NONE_IS_GOOD,
        ),
    ]


# -- dashboards ------------------------------------------------------------------------------------------------------------


def _fleet() -> Dashboard:
    ask = ALL
    firing = 'count(ALERTS{alertname=~"Genfleet.*", alertstate="firing"}) or vector(0)'
    return Dashboard(
        "fleet",
        "Fleet",
        "Is all well? Everything at a glance; the other dashboards say more.",
        [
            Row(
                "Is all well?",
                [
                    _number(
                        "Alerts", "Alerts of genfleet that fire; each has its runbook.", firing, limits=NONE_IS_GOOD
                    ),
                    _number("Tasks that wait", m.WAITING.means, ask.sum(m.WAITING)),
                    _number(
                        "Longest wait",
                        m.OLDEST.means,
                        f"max({ask.now(m.OLDEST)})",
                        "s",
                        ((WAIT_SECONDS, YELLOW), (300, RED)),
                    ),
                    _number("Tasks that run", m.RUNNING.means, ask.sum(m.RUNNING)),
                    _number("Workers", m.WORKERS_SEEN.means, ask.sum(m.WORKERS_SEEN)),
                    _number(
                        "Tasks that failed",
                        "Of those that ended by themselves, in the time that is shown.",
                        _failed_share(ask),
                        "percentunit",
                        FAILED_LIMITS,
                    ),
                    *_set_aside(ask),
                ],
                height=4,
            ),
            Row("Do people wait?", [_kept(ask), _waits(ask), _oldest(ask), _waiting(ask)]),
            Row(
                "Is the fleet as large as the work?",
                [
                    _work_and_places(ask),
                    Panel(
                        "Places in use, by queue",
                        "Tasks that run, of those that the workers can run at once. Full and with work in line: more workers are needed.",
                        "percentunit",
                        [Query(share(ask.sum(m.RUNNING, "queue"), ask.sum(m.SLOTS, "queue")), "{{queue}}")],
                        most=1,
                    ),
                    _workers(ask),
                ],
            ),
            Row(
                "What gets done?",
                [
                    _ended(ask),
                    Panel(
                        "Tasks completed, by type",
                        "What people got.",
                        PER_MINUTE,
                        [Query(ask.per_minute(m.ENDED, "type", state="completed"), "{{type}}")],
                        Look.STACK,
                    ),
                    _runs(ask, "type"),
                ],
            ),
            Row("What is lost or done again?", [_not_completed(ask), _causes(ask), _webhooks(ask)]),
        ],
        [NAMESPACE],
    )


def _waiting(ask: Scope, by: str = "queue", title: str = "Tasks that wait, by queue") -> Panel:
    return Panel(title, m.WAITING.means, "short", [Query(ask.sum(m.WAITING, by), f"{{{{{by}}}}}")], Look.STACK)


def _queue() -> Dashboard:
    ask = OF_QUEUE
    return Dashboard(
        "queue",
        "Queue",
        "One queue, or several: what waits, what runs, and the workers that serve it.",
        [
            Row(
                "Do people wait in this queue?",
                [
                    _waits(ask),
                    _oldest(ask),
                    Panel(
                        "Tasks that wait, by priority",
                        m.WAITING.means,
                        "short",
                        [Query(ask.sum(m.WAITING, "priority"), "priority {{priority}}")],
                        Look.STACK,
                    ),
                ],
            ),
            Row("Is the fleet as large as the work?", [_work_and_places(ask), _wanted(ask), _decisions(ask)]),
            Row(
                "What comes, and what gets done?",
                [
                    Panel(
                        "Come and ended",
                        "Where more come than end, the line grows.",
                        PER_MINUTE,
                        [Query(ask.per_minute(m.SUBMITTED), "come"), Query(ask.per_minute(m.ENDED), "ended")],
                    ),
                    Panel(
                        "Tasks that wait for their time",
                        m.SCHEDULED.means,
                        "short",
                        [Query(ask.sum(m.SCHEDULED, "queue"), "{{queue}}")],
                        Look.STACK,
                    ),
                    _runs(ask, "type"),
                ],
            ),
            Row(
                "Is something in the way?",
                [
                    Panel(
                        "Paused, degraded, no room",
                        f"Paused: {m.PAUSED.means} Degraded: {m.DEGRADED.means} No room: {m.UNSCHEDULABLE.means} The last two are "
                        "from the operator. 0 is good.",
                        "short",
                        [
                            Query(ask.sum(m.PAUSED), "queues paused"),
                            Query(ask.sum(m.DEGRADED), "queues degraded"),
                            Query(ask.sum(m.UNSCHEDULABLE), "workers without room"),
                        ],
                    ),
                    _not_completed(ask),
                    _causes(ask),
                ],
            ),
        ],
        [NAMESPACE, QUEUE],
    )


def _task_type() -> Dashboard:
    ask = OF_TYPE
    return Dashboard(
        "task-type",
        "Task type",
        "What people ask for, how long it takes, and what comes of it.",
        [
            Row(
                "How long do people wait for it, and how long does it take?",
                [
                    Panel("From submission to the start", m.START.means, "s", _quantiles(ask, m.START)),
                    _runs(ask, "type"),
                    Panel(
                        "Run time on average",
                        m.RUN.means,
                        "s",
                        [
                            Query(
                                share(
                                    total(ask.rate(m.RUN, "sum"), "type", m.RUN),
                                    total(ask.rate(m.RUN, "count"), "type", m.RUN),
                                ),
                                "{{type}}",
                            )
                        ],
                    ),
                ],
            ),
            Row(
                "What is asked for, and what comes of it?",
                [
                    Panel(
                        "Tasks that come, by type",
                        m.SUBMITTED.means,
                        PER_MINUTE,
                        [Query(ask.per_minute(m.SUBMITTED, "type"), "{{type}}")],
                        Look.STACK,
                    ),
                    _ended(ask),
                    Panel(
                        "Tasks that failed, by type",
                        "Of those that ended by themselves, in the time that is shown up to then.",
                        "percentunit",
                        [Query(_failed_share(ask, "type"), "{{type}}")],
                        limits=FAILED_LIMITS,
                    ),
                ],
            ),
            Row(
                "Why does it fail, and how often is it done again?",
                [
                    _causes(ask),
                    _not_completed(ask),
                    Panel(
                        "Attempts for each task",
                        "1: each is done at once. More: work is done again, because it failed or was lost.",
                        "short",
                        [
                            Query(
                                share(ask.count(m.ATTEMPTS, SHOWN, "type"), ask.count(m.ENDED, SHOWN, "type")),
                                "{{type}}",
                            )
                        ],
                    ),
                ],
            ),
        ],
        [NAMESPACE, TYPE],
    )


def _machines() -> Dashboard:
    ask = OF_QUEUE
    used, all_of_it = (ask.sum(m.GPU_MEMORY, "queue", what=what) for what in ("used", "total"))
    return Dashboard(
        "workers",
        "Workers and GPUs",
        "What the workers do, what they take, and whether they come and go as they should.",
        [
            Row(
                "What do the workers do?",
                [
                    _workers(ask),
                    Panel(
                        "Workers, by queue",
                        m.WORKERS_SEEN.means,
                        "short",
                        [Query(ask.sum(m.WORKERS_SEEN, "queue"), "{{queue}}")],
                        Look.STACK,
                    ),
                    _work_and_places(ask),
                ],
            ),
            Row(
                "Have they memory enough?",
                [
                    Panel(
                        "The largest worker, by queue",
                        f"{m.WORKER_MEMORY.means} The dashed lines are where alerts begin.",
                        "bytes",
                        [Query(ask.sum(m.WORKER_MEMORY, "queue"), "{{queue}}")],
                        limits=((WORKER_MEMORY.warning, YELLOW), (WORKER_MEMORY.critical, RED)),
                    ),
                    Panel(
                        "All workers, by queue",
                        m.FLEET_MEMORY.means,
                        "bytes",
                        [Query(ask.sum(m.FLEET_MEMORY, "queue"), "{{queue}}")],
                        Look.STACK,
                    ),
                ],
            ),
            Row(
                "Are the GPUs put to use?",
                [
                    Panel(
                        "How busy GPUs are",
                        m.GPU.means,
                        "percent",
                        [Query(ask.sum(m.GPU, "queue"), "{{queue}}")],
                        most=100,
                    ),
                    Panel(
                        "How full their memory is",
                        "What is used of the memory of all GPUs of a queue.",
                        "percentunit",
                        [Query(share(used, all_of_it), "{{queue}}")],
                        most=1,
                    ),
                    Panel(
                        "GPUs",
                        m.GPU_COUNT.means,
                        "short",
                        [Query(ask.sum(m.GPU_COUNT, "queue"), "{{queue}}")],
                        Look.STACK,
                    ),
                ],
            ),
            Row(
                "Do workers come and go as they should?", [_wanted(ask), _decisions(ask), _drains(ask), *_reaction(ask)]
            ),
        ],
        [NAMESPACE, QUEUE],
    )


def _drains(ask: Scope) -> Panel:
    return Panel(
        "Drained, and stopped at work",
        f"{m.DRAINS.means} {m.BUSY_STOPPED.means} From the operator: empty without a cluster.",
        "short",
        [
            Query(ask.count(m.DRAINS, SHOWN), "told to drain"),
            Query(f"{ask.count(m.BUSY_STOPPED, SHOWN, 'by')}", "stopped at work by {{by}}"),
        ],
    )


def _reaction(ask: Scope) -> list[Panel]:
    return [
        Panel(
            "Reaction time",
            f"{m.REACTION.means} From the operator: empty without a cluster.",
            "s",
            _quantiles(ask, m.REACTION),
        )
    ]


def _reliability() -> Dashboard:
    ask = ALL
    return Dashboard(
        "reliability",
        "Reliability",
        "What is lost, what is done again, and whether what everything stands on is well.",
        [
            Row(
                "Does something need a person?",
                [
                    *_set_aside(ask),
                    _number(
                        "Attempts lost",
                        "With their workers, in the time that is shown. They ran again.",
                        _happened(ask, m.ATTEMPTS, outcome=m.Outcome.LOST),
                        limits=NONE_IS_BEST,
                    ),
                    _number(
                        "Attempts done again",
                        "After a failure that may pass, in the time that is shown.",
                        _happened(ask, m.ATTEMPTS, outcome=m.Outcome.RETRIED),
                    ),
                    _number("Messages sent again", m.RECOVERED.means, _happened(ask, m.RECOVERED), limits=NONE_IS_BEST),
                    _number("Results refused", m.STALE.means, _happened(ask, m.STALE), limits=NONE_IS_BEST),
                    _number("Too late to start", m.OVERDUE.means, _happened(ask, m.OVERDUE), limits=NONE_IS_BEST),
                    _number(
                        "Webhooks failed",
                        "For good, in the time that is shown.",
                        _happened(ask, m.WEBHOOKS, outcome=m.WebhookOutcome.FAILED),
                        limits=NONE_IS_BEST,
                    ),
                ],
                height=4,
            ),
            Row(
                "What is lost or done again?",
                [
                    _not_completed(ask),
                    _causes(ask),
                    Panel(
                        "What was caught",
                        "Results that were refused, messages that were sent again, tasks and messages that were set aside.",
                        "short",
                        [
                            Query(ask.count(m.STALE, ONCE), "results refused"),
                            Query(ask.count(m.RECOVERED, ONCE), "messages sent again"),
                            Query(ask.count(m.POISONED, ONCE), "tasks into quarantine"),
                            Query(ask.count(m.SET_ASIDE, ONCE), "dead letters"),
                            Query(ask.count(m.OVERDUE, ONCE), "too late to start"),
                        ],
                        Look.BARS,
                    ),
                ],
            ),
            Row(
                "Are people told?",
                [
                    _webhooks(ask),
                    Panel(
                        "Webhooks to be delivered",
                        m.WEBHOOKS_DUE.means,
                        "short",
                        [Query(ask.sum(m.WEBHOOKS_DUE), "due")],
                    ),
                ],
            ),
            Row(
                "Is Redis well?",
                [
                    Panel(
                        "How full Redis is",
                        "Of its maxmemory. Full: new tasks are refused with 503.",
                        "percentunit",
                        [Query(share(ask.sum(m.REDIS_MEMORY), ask.sum(m.REDIS_MEMORY_MOST)), "used")],
                        limits=((MEMORY_WARNING, YELLOW), (MEMORY_FAILURE, RED)),
                        most=1,
                    ),
                    Panel(
                        "Connections to Redis",
                        m.REDIS_CLIENTS.means,
                        "short",
                        [Query(ask.sum(m.REDIS_CLIENTS), "connections")],
                    ),
                    Panel(
                        "Round trips that failed",
                        "Of the API and of the operator.",
                        PER_MINUTE,
                        [
                            Query(ask.per_minute(m.API_REDIS_ERRORS), "API"),
                            Query(ask.per_minute(m.REDIS_ERRORS), "operator"),
                        ],
                    ),
                ],
            ),
            Row(
                "Does the operator see, and lead?",
                [
                    Panel(
                        "Since it last saw Redis",
                        f"{m.OBSERVATION_AGE.means} Blind, it keeps the fleet as it is.",
                        "s",
                        [Query(f"max({ask.now(m.OBSERVATION_AGE)})", "age")],
                        limits=((BLIND_SECONDS, RED),),
                    ),
                    Panel(
                        "Who leads",
                        f"{m.LEADER.means} One has to.",
                        "short",
                        [Query(ask.sum(m.LEADER), "leaders")],
                        limits=(),
                    ),
                    Panel("How long a look takes", m.LOOK.means, "s", _quantiles(ask, m.LOOK)),
                    Panel(
                        "Requests to the API server",
                        m.API_SERVER_REQUESTS.means,
                        PER_MINUTE,
                        [Query(ask.per_minute(m.API_SERVER_REQUESTS, "outcome"), "{{outcome}}")],
                        Look.STACK,
                    ),
                ],
            ),
        ],
        [NAMESPACE],
    )


def _api() -> Dashboard:
    ask = ALL
    by_class = f'label_replace({ask.rate(m.API_REQUESTS)}, "class", "${{1}}xx", "status", "(.).*")'
    failed = total(ask.rate(m.API_REQUESTS, status="~5.."), "", m.API_REQUESTS)
    every = total(ask.rate(m.API_REQUESTS), "", m.API_REQUESTS)
    return Dashboard(
        "api",
        "API",
        "Whether it answers, how quickly, and whom.",
        [
            Row(
                "Does it answer?",
                [
                    Panel(
                        "Answers, by class",
                        m.API_REQUESTS.means,
                        "reqps",
                        [Query(f"sum by (class) ({by_class})", "{{class}}")],
                        Look.STACK,
                    ),
                    Panel(
                        "Answers that are its own failure",
                        "5xx, of all answers. 503 with `Retry-After`: Redis is away, or a queue is full.",
                        "percentunit",
                        [Query(f"({failed} or 0 * {every}) / ({every} > 0)", "5xx")],
                        limits=((0.01, YELLOW), (0.05, RED)),
                    ),
                    Panel(
                        "Processes, and those that reach Redis",
                        m.API_REDIS_UP.means,
                        "short",
                        [
                            Query(f"count({ask.now(m.API_REDIS_UP)})", "processes"),
                            Query(ask.sum(m.API_REDIS_UP), "reach Redis"),
                        ],
                    ),
                ],
            ),
            Row(
                "Does it answer quickly?",
                [
                    Panel("How long answers take", m.API_SECONDS.means, "s", _quantiles(ask, m.API_SECONDS)),
                    Panel(
                        "The slowest routes",
                        f"{m.API_SECONDS.means} 95 % are within. A submission that waits for its end (`Prefer: wait`) takes as long.",
                        "s",
                        [Query(f"topk(8, {ask.quantile(0.95, m.API_SECONDS, 'route')})", "{{route}}")],
                    ),
                ],
            ),
            Row(
                "Who is turned away?",
                [
                    Panel(
                        "Requests refused, by status",
                        "401 and 403: keys. 404: no such task. 422: mistakes. 429: limits of keys and projects.",
                        PER_MINUTE,
                        [Query(ask.per_minute(m.API_REQUESTS, "status", status="~4.."), "{{status}}")],
                        Look.STACK,
                    ),
                    Panel(
                        "Requests refused, by route",
                        "Where they were sent.",
                        PER_MINUTE,
                        [Query(f"topk(8, {ask.per_minute(m.API_REQUESTS, 'route', status='~4..')})", "{{route}}")],
                        Look.STACK,
                    ),
                ],
            ),
            Row(
                "What is it asked, and what does that cost?",
                [
                    Panel(
                        "Requests, by route",
                        m.API_REQUESTS.means,
                        "reqps",
                        [
                            Query(
                                f"topk(8, {total(ask.rate(m.API_REQUESTS), 'method, route', m.API_REQUESTS)})",
                                "{{method}} {{route}}",
                            )
                        ],
                        Look.STACK,
                    ),
                    Panel(
                        "Round trips to Redis for each request",
                        "Submissions and looks take one. Its own chores are in it too, so it is high while nobody asks.",
                        "short",
                        [Query(share(total(ask.rate(m.API_ROUND_TRIPS), "", m.API_ROUND_TRIPS), every), "round trips")],
                    ),
                ],
            ),
        ],
        [NAMESPACE],
    )


DASHBOARDS: tuple[Dashboard, ...] = (_fleet(), _queue(), _task_type(), _machines(), _reliability(), _api())
