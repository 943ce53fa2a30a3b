"""`make generate`: writes every file of this repository that is made from something else. CI makes them again and diffs.

python -m tools.generate
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from genfleet.store import rights
from tests.chaos import table as reliability
from tools import bodies, chart, coverage, crd, document, metrics
from tools.monitoring import alerts, dashboards, grafana

ROOT = Path(__file__).resolve().parent.parent


def task_message() -> str:
    """A task message as Celery and kombu write it, with @names@ where one task differs from another.

    Redis scripts push messages themselves, so that a task and its message appear together or not at all. They fill in
    this template, which Celery's and kombu's own functions have built: any Celery worker reads the result.
    """
    from celery import Celery
    from kombu import Connection, Exchange, Producer, Queue

    app = Celery("genfleet", set_as_current=False)
    parts = app.amqp.as_task_v2(
        "@id@",
        "@task@",
        origin="genfleet",
        ignore_result=True,
        # What `inspect` and Flower show of the arguments: nothing, they may be private (facts S12).
        argsrepr="()",
        kwargsrepr="{}",
    )
    with Connection("memory://") as connection:
        channel = connection.channel()
        Queue("@queue@", Exchange(""), routing_key="@queue@", channel=channel).declare()
        Producer(channel, serializer="json").publish(
            parts.body,
            exchange="",
            routing_key="@queue@",
            headers={**parts.headers, "token": "@token@"},
            priority="@priority@",
            **parts.properties,
        )
        message = channel._get("@queue@")  # noqa: SLF001  kombu has no public way to look at a message as stored
        message["properties"]["delivery_tag"] = "@tag@"
    return _dump(message, numbers=("@token@", "@priority@"))


def _dump(message: dict[str, Any], numbers: tuple[str, ...]) -> str:
    """JSON on readable lines, with the placeholders of numbers unquoted."""
    text = json.dumps(message, indent=1, sort_keys=True)
    for placeholder in numbers:
        text = text.replace(f'"{placeholder}"', placeholder)
    return text + "\n"


FILES: dict[str, Callable[[], str]] = {
    "core/genfleet/store/lua/message.template": task_message,
    "crds/generationqueues.genfleet.dev.yaml": crd.text,
    "deploy/helm/genfleet/crds/generationqueues.genfleet.dev.yaml": chart.definition,
    "deploy/helm/genfleet/values.schema.json": chart.values_schema,
    "deploy/helm/genfleet/README.md": chart.readme,
    "deploy/redis/users.acl": rights.acl_file,
    "deploy/monitoring/rules.yaml": alerts.rules,
    "deploy/monitoring/rules_test.yaml": alerts.stories,
    **{f"deploy/monitoring/dashboards/{each.name}.json": partial(grafana.text, each) for each in dashboards.DASHBOARDS},
    "docs/openapi.json": document.text,
    "docs/coverage.md": coverage.text,
    "docs/reliability.md": reliability.text,
    "docs/metrics.md": metrics.text,
    "clients/python/genfleet_client/bodies.py": bodies.python,
    "clients/typescript/src/bodies.ts": bodies.typescript,
}
# The chart's own copies of rules and dashboards, as of the resource definition: Helm packs nothing from outside of its folder,
# and links that lead out of it are left behind by those who fetch charts with git.
FILES |= {f"deploy/helm/genfleet/files/{name}": build for name, build in chart.watched(FILES).items()}


def main() -> int:
    """Write each file, and say which changed."""
    for name, build in FILES.items():
        path, text = ROOT / name, build()
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"wrote {name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
