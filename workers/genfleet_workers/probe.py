"""`python -m genfleet_workers.probe`: whether this machine's worker is well, for startup and liveness probes.

The worker's main loop touches a file while it turns (GENFLEET_BEAT_FILE); here is looked how long ago. Orchestrators
run this every few seconds beside busy engines, so it imports nothing but what Python has loaded anyway.
"""

import os
import sys
import time

USAGE = "usage: python -m genfleet_workers.probe [--startup | SECONDS]"
PATIENCE_S = 30.0
"""How long the main loop may stand still: six turns."""


def main() -> int:
    """0 if the worker is well; 1, and a sentence, if not."""
    file = os.environ.get("GENFLEET_BEAT_FILE") or "/tmp/beat"  # noqa: S108  # where images and the operator put it
    try:
        patience = _patience(sys.argv[1:])
    except ValueError:
        return _say(USAGE, 2)
    try:
        turned = os.stat(file).st_mtime  # noqa: PTH116  # pathlib takes as long to import as all else here
    except OSError:
        return _say("the worker has not started to take work yet")
    still = time.time() - turned  # noqa: TID251  # an entry point; the file's time is of the same clock
    if still > patience:
        return _say(f"the worker's main loop has not turned for {still:.0f} s")
    return 0


def _patience(arguments: list[str]) -> float:
    """Seconds. With --startup it is enough that the file is there. Raises ValueError."""
    if arguments == ["--startup"]:
        return float("inf")
    if len(arguments) > 1:
        raise ValueError
    return float(arguments[0]) if arguments else PATIENCE_S


def _say(sentence: str, status: int = 1) -> int:
    sys.stderr.write(f"{sentence}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
