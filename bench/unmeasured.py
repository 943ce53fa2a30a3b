"""One of our programs without its metrics, for comparison: python -m bench.unmeasured genfleet_service

Its scripts count nothing, and the API's `Meter` passes requests on.
"""

from __future__ import annotations

import runpy
import sys

from genfleet.store import scripts
from genfleet_service import metrics


def main() -> None:
    """Take them out, and be that program."""
    module, *arguments = sys.argv[1:]
    shared = scripts._shared()  # noqa: SLF001  the product has no switch for it
    for name in ("measure", "measure_time"):
        shared[name] = f"local function {name}() end\n"
    metrics.Meter.__call__ = lambda self, *asgi: self.app(*asgi)  # type: ignore[method-assign]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
