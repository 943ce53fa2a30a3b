"""`make bench`: every measurement that needs no cluster, or those named: make bench ARGS="submit"."""

from __future__ import annotations

import sys

from bench import admission, bulk, busy, listeners, lists, lost_worker, metrics, queues, reaction, submit

ALL = {
    "submit": submit.main,
    "admission": admission.main,
    "lists": lists.main,
    "bulk": bulk.main,
    "listeners": listeners.main,
    "lost_worker": lost_worker.main,
    "metrics": metrics.main,
}
ON_A_CLUSTER = {"reaction": reaction.main, "busy": busy.main, "queues": queues.main}
"""Only when named: they need KUBECONFIG, and take a quarter of an hour."""


def main() -> int:
    """Run the measurements."""
    known = ALL | ON_A_CLUSTER
    wanted = sys.argv[1:] or list(ALL)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.stderr.write(f"no measurement named {', '.join(unknown)}; there are: {', '.join(known)}\n")
        return 2
    for name in wanted:
        known[name]()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
