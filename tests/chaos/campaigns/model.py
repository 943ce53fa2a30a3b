"""A: the store and a model of it, step by step, through whatever Hypothesis comes up with."""

from __future__ import annotations

from contextlib import closing

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from genfleet.store.client import SyncStore
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.model import Life

STEPS = 50


def ours(run: Run) -> Finding:
    """So many examples, of up to fifty steps each, and everything worked off after each."""
    redis = run.redis("--appendonly", "no")
    with closing(SyncStore(redis.url)) as store, redis.client as client:
        Life.client, Life.store = client, store
        how = settings(
            max_examples=run.trials,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[
                Phase.generate
            ],  # what fails is shown as it happened: to shorten it would take longer than all else
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        try:
            run_state_machine_as_test(seed(run.seed)(Life), settings=how)
        except AssertionError as error:
            return Finding(run.trials, 1, f"the model and the store differ: {error}")
    return Finding(run.trials, 0, f"{run.trials:,} histories, {Life.steps_taken:,} steps: as the model says, each time")


CAMPAIGNS = [
    Campaign(
        id="A",
        promise="Whatever order things happen in, an accepted task ends once, with one count and one webhook.",
        theme="store",
        ours=ours,
        trials=2_000,
        short=60,
        no_peer="none keeps a state that could be compared",
        minutes=6,
    )
]
