"""D: every test that the page on security names, and 10,000 ids of another tenant, as one row."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from tests.chaos.campaign import Campaign, Finding, Run
from tests.service.acts import settled
from tests.service.swaps import SECRET, swapped

ROOT = Path(__file__).resolve().parents[3]
_PROOF = re.compile(r"`(tests/(?:core|service|clients|repo|workers)/\w+\.py::\w+)`")
"""Those that need neither a cluster nor images."""
NO_LIMITS = {"scopes": ["submit", "read"], "submissions_per_minute": 0, "status_reads_per_minute": 0}


def ours(run: Run) -> Finding:
    """Swap ids, then run the tests of the page."""
    site = run.site()
    store = SyncStore(site.redis.url)
    run.stack.callback(store.close)
    api = run.stack.enter_context(site.api())
    theirs = [settled(api, store, state, project_id="theirs", metadata={"note": SECRET}) for state in State]
    key = api.post("/api/v1/keys", json={"name": "ours", "projects": ["ours"], **NO_LIMITS}).json()["api_key"]
    asked, leaks = swapped(api, {"X-API-Key": key}, theirs, run.trials)
    run.tell(f"{asked} ids swapped, {len(leaks)} leaks")
    if run.trials < FULL:
        return Finding(asked, len(leaks), f"{len(leaks)} leaks by {asked:,} swapped ids {leaks[:3] or ''}")
    passed, failed = _proofs()
    said = f"{passed} checks passed, {failed} failed; {len(leaks)} leaks by {asked:,} ids of another tenant"
    return Finding(asked + passed + failed, len(leaks) + failed, said)


def _proofs() -> tuple[int, int]:
    """How many checks of the page's tests passed, and how many did not."""
    named = sorted(set(_PROOF.findall((ROOT / "docs" / "security.md").read_text())))
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider", *named]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    summary = done.stdout.rstrip().rpartition("\n")[2]
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)", summary)}
    failed = sum(number for word, number in counts.items() if word != "passed")
    passed = counts.get("passed", 0)
    return passed, failed or int(done.returncode != 0 or not passed)


FULL = 10_000
CAMPAIGNS = [
    Campaign(
        id="D security",
        promise="A key sees nothing of another project, and every rule of `docs/security.md` holds.",
        theme="security",
        ours=ours,
        trials=FULL,
        short=100,
        no_peer="stock Celery has neither an API nor keys nor tenants: whoever reaches its Redis may do everything",
        minutes=10,
    )
]
