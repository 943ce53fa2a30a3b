"""`make chaos`: every fault test in full, beside its peer, and the table of `docs/reliability.md` written anew.

    make chaos                          all but the long ones; ends by itself within 15 minutes. What there is no time for
                                        is left for the next run, which begins with what was measured longest ago
    make chaos ARGS="T4 T5"             these
    make chaos ARGS="--long B"          also long ones, by name
    make chaos ARGS="--seed 7 T14"      the same chances again
    make chaos ARGS="--list"            what there is

Everything is on loopback, in a temporary folder. Each column runs in a process of its own, several side by side; when one has
used up its time it is ended with all that it started. The exit status is 1 when a promise was broken, or its test came to no end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import textwrap
import time
from functools import partial
from random import SystemRandom
from types import FrameType
from typing import NoReturn

import psutil

from tests.chaos.every import campaigns
from tests.chaos.runner import Runner, end_all
from tests.chaos.table import expected_s, longest_ago, remember

MINUTES = 15.0
LANES = 4


def main() -> int:
    """Run what was named."""
    known = campaigns()
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__.split("\n\n")[0].replace("`", ""))
    parser.add_argument("names", nargs="*", metavar="T4", help="rows to run; all but the long ones without")
    parser.add_argument("--seed", type=int, help="draw the same chances again")
    parser.add_argument("--lanes", type=int, default=LANES, help=f"how many run side by side ({LANES})")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help=f"when to stop whatever still runs ({MINUTES:g})"
    )
    parser.add_argument("--long", action="store_true", help="run those of half an hour, too; raises --minutes to 60")
    parser.add_argument("--list", action="store_true", help="say what there is")
    said = parser.parse_args()
    if said.list:
        width = max(map(len, known)) + 2
        for each in known.values():
            lines = textwrap.wrap(each.promise, shutil.get_terminal_size().columns - width)
            sys.stdout.write(f"{each.id:{width}}" + f"\n{'':{width}}".join(lines) + "\n")
        return 0
    unknown = [name for name in said.names if name not in known]
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; there are: {', '.join(known)}")
    chosen = [each for each in known.values() if (each.id in said.names if said.names else said.long or not each.long)]
    if not said.names:
        chosen = longest_ago(chosen)
    seed = SystemRandom().randrange(1_000_000) if said.seed is None else said.seed
    minutes = max(said.minutes, 60.0) if any(each.long for each in chosen) else said.minutes
    sys.stderr.write(f"{len(chosen)} rows, seed {seed}, at most {minutes:g} minutes\n")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    deadline = time.monotonic() + 60 * minutes
    runner = Runner(seed, said.lanes, deadline, expected_s, partial(remember, seed=seed, at=time.time()))
    results = runner.run(chosen)
    for result in results:
        word = "left  " if result.left else "kept  " if result.kept else "BROKEN"
        sys.stdout.write(f"{word} {result.campaign.id:12} {'no time' if result.left else result.summary}\n")
    return 0 if all(result.kept or result.left for result in results) else 1


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """Told to stop: nothing of it stays behind. Rows that had come to their end are kept."""
    end_all(psutil.Process().children())
    os._exit(128 + number)


if __name__ == "__main__":
    raise SystemExit(main())
