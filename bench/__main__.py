"""`make bench`: every measurement, or those named: make bench ARGS="submit"."""

from __future__ import annotations

import sys

from bench import lost_worker, submit

ALL = {"submit": submit.main, "lost_worker": lost_worker.main}


def main() -> int:
    """Run the measurements."""
    wanted = sys.argv[1:] or list(ALL)
    unknown = [name for name in wanted if name not in ALL]
    if unknown:
        sys.stderr.write(f"no measurement named {', '.join(unknown)}; there are: {', '.join(ALL)}\n")
        return 2
    for name in wanted:
        ALL[name]()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
