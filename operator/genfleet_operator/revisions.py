"""Which revision of a pool is in force. Pure.

A new one takes over when the API server has taken its Deployment, not before: one that is refused, for a slip of the pen
or by a policy, must not cost the workers that the last good one still gets. So a pool that has Deployments gets the next
one without workers, and goes on with the latest until that is there. Nothing of this is remembered: the Deployments say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genfleet_operator.blueprint import Blueprint, Revision
from genfleet_operator.world import Deployment


def in_force(plan: Blueprint, deployments: Mapping[str, Deployment]) -> Revision:
    """The revision of a pool that gets its workers now."""
    earlier = [one for one in deployments.values() if one.pool == plan.pool]
    if plan.deployment in deployments or not earlier:
        return plan
    latest = max(earlier, key=lambda one: (one.created, one.name))
    return Revision(plan.pool, latest.revision, latest.name)


def to_introduce(plans: Sequence[Blueprint], revisions: Sequence[Revision]) -> tuple[str, ...]:
    """The Deployments that are to be made beside those in force, without workers."""
    standing = {revision.deployment for revision in revisions}
    return tuple(plan.deployment for plan in plans if plan.deployment not in standing)
