"""A worker that was told to end, and what still comes to it."""

from __future__ import annotations

import signal

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from tests.support.servers import Site
from tests.support.tasks import record, submitted


def test_a_task_that_comes_with_sigterm_is_not_kept(site: Site, store: SyncStore) -> None:
    """Who leaves may still be given a task, but runs it or hands it back at once: no lease has to run out."""
    with site.worker() as leaving:
        leaving.send_signal(signal.SIGTERM)
        task_id = submitted(store)
        leaving.wait(20)

    assert record(store, task_id).state in {State.QUEUED, State.COMPLETED}
