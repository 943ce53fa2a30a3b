"""Who leads when operators die, hang or lose their connection. The lease here holds for 3 s, in production for 15 s."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import Ask, refusal
from tests.support.operators import Place, place, queue
from tests.support.servers import Redis
from tests.support.waiting import wait_for

DURATION_S = 3.0
LEASE = ("leases", "default", "genfleet-operator")


@pytest.fixture
def there(redis_server: Redis, tmp_path: Path) -> Iterator[Place]:
    """A cluster with one queue."""
    with place(redis_server, tmp_path) as made:
        made.objects.create("generationqueues", queue())
        yield made


def _of_the_lease(ask: Ask) -> bool:
    return ask.plural == "leases" and ask.writes


def _holder(there: Place) -> str:
    return str(there.objects.get(*LEASE)["spec"]["holderIdentity"])


def test_of_two_operators_one_leads_and_the_other_follows(there: Place) -> None:
    """K4: killed or hung, a leader is followed when its lease has run out; told to end, it gives the lease back at once."""
    with (
        there.operator("first", QUICK_LEASE="1") as first,
        there.operator("second", leads=False, QUICK_LEASE="1") as second,
    ):
        wait_for("it stands by", lambda: "standing_by" in second.log.read_text(), within=20)
        assert not second.leads
        first.process.kill()
        wait_for("the other one leads", lambda: second.leads and _holder(there) == "second", within=DURATION_S + 3)
        there.submit()
        there.has(1)
        second.process.send_signal(signal.SIGSTOP)  # a machine that hangs: nobody renews, and nobody says goodbye
        with there.operator("third", QUICK_LEASE="1") as third:
            assert _holder(there) == "third"
            second.process.send_signal(signal.SIGCONT)
            assert second.ended(within=15) == 1, "who has lost the lease has to end"
            assert _holder(there) == "third"
            third.process.send_signal(signal.SIGTERM)
            wait_for("the lease is given back", lambda: not _holder(there), within=3)
            assert third.ended(within=10) == 0


def test_a_leader_that_cannot_renew_ends_before_its_lease_does(there: Place) -> None:
    """T23: a renewal whose answer was lost is no loss; none that arrives is: exit status 1, and nothing is written after."""
    with there.operator(QUICK_LEASE="1") as operator:
        with there.api.fails(_of_the_lease, done=True, times=2) as fault:
            wait_for("two answers are lost", lambda: len(fault.hits) == 2)
            since = time.monotonic()
            wait_for("it is renewed", lambda: len(there.api.asked_for(_of_the_lease, since=since)) >= 4)
            assert operator.leads
        with there.api.fails(_of_the_lease, hangs=True) as fault:
            began = wait_for("a renewal hangs", lambda: fault.hits)[0].at
            assert operator.ended(within=DURATION_S + 10) == 1
            wrote = there.api.asked_for(lambda ask: ask.writes and ask.plural != "leases", since=began)
            assert all(ask.at - began < DURATION_S for ask in wrote)


def test_without_the_right_to_a_lease_nobody_leads(there: Place) -> None:
    """T23: RBAC that lacks leases must not let every replica lead: it is not ready, and leads once it may.

    It does not end: a pod that ends is started later and later, and would come up minutes after it may.
    """
    forbidden = refusal(403, 'leases.coordination.k8s.io is forbidden: User "x" cannot get resource', "Forbidden")
    there.submit()
    with there.operator(leads=False) as operator:
        with there.api.fails(lambda ask: ask.plural == "leases", forbidden) as fault:
            wait_for("it has tried twice", lambda: len(fault.hits) >= 2, within=20)
            assert "may not lead: leases.coordination.k8s.io is forbidden" in operator.readiness
            assert "remedy=see the operator's roles" in operator.log.read_text()
            assert not there.api.asked_for(lambda ask: ask.writes and ask.plural != "leases")
        wait_for("it leads", lambda: operator.leads)
        there.has(1)


def test_a_right_that_is_back_in_time_costs_nobody_the_lead(there: Place) -> None:
    """T23: a renewal that is refused was taken by nobody; the lease holds on."""
    forbidden = refusal(403, "no", "Forbidden")
    with there.operator(QUICK_LEASE="1") as operator:
        with there.api.fails(_of_the_lease, forbidden, times=2) as fault:
            wait_for("two renewals are refused", lambda: len(fault.hits) == 2)
        since = time.monotonic()
        wait_for("it is renewed", lambda: len(there.api.asked_for(_of_the_lease, since=since)) >= 3)
        assert operator.leads
