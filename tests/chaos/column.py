"""One column of one campaign, as a process: python -m tests.chaos.column T4 ours SEED RESULT"""

from __future__ import annotations

import ctypes
import sys
import traceback
import zlib
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.chaos.campaign import Run
from tests.chaos.every import campaigns
from tests.chaos.runner import saved

PR_SET_CHILD_SUBREAPER = 36


def main(name: str, column: str, seed: str, result: str) -> int:
    """Run it, and write what it found."""
    campaign = campaigns()[name]
    _adopt()
    seed_here = zlib.crc32(f"{name} {seed}".encode())  # the same chances for both columns, others for each campaign
    trials = campaign.trials if column == "ours" else campaign.peer_trials or campaign.trials
    act = campaign.ours if column == "ours" else campaign.peer
    assert act is not None, f"{name} has no {column}"
    folder = Path(result).parent / "run"
    folder.mkdir()
    try:
        with ExitStack() as stack:
            found = act(Run(folder, trials, seed_here, stack, f"{name} {column}"))
    except Exception as error:  # noqa: BLE001  whatever it is, the table has to say that there is no result
        traceback.print_exc()
        sys.stderr.write(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}\n")
        return 1
    left = _left()
    if left:
        sys.stderr.write(f"left {len(left)} processes: {', '.join(left)}\n")
        return 1
    Path(result).write_text(saved(found))
    return 0


def _adopt() -> None:
    """What loses its parent becomes ours, so that nothing that a campaign started can get away. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _left() -> list[str]:
    """What still runs, after a moment to end."""
    children = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs(children, timeout=5)
    return [" ".join(each.cmdline()[:4]) or each.name() for each in alive if each.status() != psutil.STATUS_ZOMBIE]


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
