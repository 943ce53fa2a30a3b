"""One of our programs without its metrics, for comparison: python -m bench.unmeasured [genfleet_service | OPTIONS of a worker]

Its scripts count nothing, and the API's `Meter` passes requests on.
"""

from __future__ import annotations

import runpy
import sys

from starlette.types import Receive, Scope, Send

from genfleet.store import scripts
from genfleet_service import metrics


async def _pass_on(meter: metrics.Meter, scope: Scope, receive: Receive, send: Send) -> None:
    await meter.app(scope, receive, send)


def main() -> None:
    """Take them out, and be that program."""
    arguments = sys.argv[1:]
    module = "genfleet_workers" if arguments[0].startswith("-") else arguments.pop(0)
    shared = scripts._shared()  # noqa: SLF001  the product has no switch for it
    for name in ("measure", "measure_time"):
        shared[name] = f"local function {name}() end\n"
    metrics.Meter.__call__ = _pass_on  # type: ignore[method-assign, assignment]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
