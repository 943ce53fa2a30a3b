"""When a worker takes action against what makes no move, as a table: no clock, no process."""

from __future__ import annotations

import pytest

from genfleet_workers.family import NOBODY, State, Tree
from genfleet_workers.watch import Act, Allowed, Appetite, Attempt, End, judge

ALLOWED = Allowed(patience_s=30, take_s=120, memory=2_000_000_000, processes=64, scratch=10_000_000_000)
WELL = Tree(State.RUNS, resident=10**8, processes=1)


def attempt(held: float = 50, ran: float | None = 50, **more: object) -> Attempt:
    """One that is at work, under a hard limit of ten minutes."""
    return Attempt(held, ran, hard_limit_s=600, **{"tree": WELL, **more})  # type: ignore[arg-type]  # by name


def sized(resident: int, memory: int) -> Tree:
    """A process that uses so much."""
    return Tree(State.RUNS, resident, 1, lambda: memory)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(attempt(), id="at work"),
        pytest.param(attempt(held=119, ran=None), id="its process is slow to take it"),
        pytest.param(attempt(ran=614), id="Celery is about to end it"),
        pytest.param(attempt(ran=29, begun=False), id="it is about to begin"),
        pytest.param(attempt(tree=None), id="processes cannot be seen"),
        pytest.param(attempt(tree=NOBODY, still_s=29), id="it died, and Celery is about to notice"),
        pytest.param(attempt(tree=Tree(State.STOPPED), still_s=29), id="a debugger looks at it"),
        pytest.param(attempt(tree=Tree(State.BLOCKED), still_s=119), id="a slow disk"),
        pytest.param(attempt(tree=sized(3 * 10**9, 10**9)), id="many processes share their memory"),
        pytest.param(attempt(scratch=lambda: 10**10), id="as much scratch as it may have"),
    ],
)
def test_what_may_be_well_goes_on(seen: Attempt) -> None:
    """Patience first: work is worth more than a place."""
    assert judge(seen, ALLOWED) is None


@pytest.mark.parametrize(
    ("seen", "end", "why", "broken"),
    [
        (attempt(121, None), End.HANDED_BACK, "no process of its worker took it within 120 s", True),
        (attempt(ran=616), End.FAILED, "The hard time limit of 600 seconds was exceeded", False),
        (attempt(ran=31, begun=False), End.LOST, "its process took it, and had not begun 30 s later", False),
        (attempt(tree=NOBODY, still_s=31), End.LOST, "its process is gone, and its worker did not notice", True),
        (
            attempt(tree=Tree(State.STOPPED), still_s=31),
            End.LOST,
            "its process was stopped, and still was 30 s later",
            False,
        ),
        (
            attempt(tree=Tree(State.BLOCKED), still_s=121),
            End.LOST,
            "its process has waited for a disk or a device for 120 s",
            True,
        ),
        (
            attempt(tree=sized(3 * 10**9, 25 * 10**8)),
            End.LOST,
            "it used 2.50 GB of memory, and 2.00 GB is the limit",
            False,
        ),
        (attempt(tree=Tree(State.RUNS, 0, 65)), End.LOST, "it had 65 processes, and 64 is the limit", False),
        (
            attempt(scratch=lambda: 11 * 10**9),
            End.LOST,
            "it had 11.00 GB of unfinished files, and 10.00 GB is the limit",
            False,
        ),
    ],
)
def test_what_makes_no_move_is_taken_away(seen: Attempt, end: End, why: str, *, broken: bool) -> None:
    """With the reason in words; and whether the worker is to blame, and has to be replaced."""
    verdict = judge(seen, ALLOWED)

    assert verdict is not None
    assert (verdict.end, verdict.why, verdict.broken) == (end, why, broken)


def test_what_is_not_limited_is_not_looked_at() -> None:
    """Without a limit no folder is walked through, and memory is the container's business."""
    unlimited = Allowed(30, 120, memory=None, processes=64, scratch=None)

    assert judge(attempt(tree=sized(10**12, 10**12), scratch=lambda: 10**15), unlimited) is None


def test_a_consumer_that_takes_nothing_is_started_anew_and_then_given_up() -> None:
    """Only when messages waited beat after beat, and there was room all the while."""
    appetite = Appetite(patience_s=30)
    acts = [appetite.look(now, 5, could=True) for now in range(0, 100, 2)]

    assert [(2 * beat, act) for beat, act in enumerate(acts) if act] == [
        (34, Act.RESTART),
        (66, Act.LEAVE),
        (98, Act.LEAVE),
    ]
    assert appetite.restarts == 1


def test_a_consumer_that_is_started_anew_again_and_again_is_given_up() -> None:
    """It helps each time, and the next time it stands still again: three times are enough."""
    appetite, acts = Appetite(patience_s=30), []
    for round_ in range(5):
        acts += [appetite.look(1000 * round_ + now, round_, could=True) for now in range(0, 50, 2)]

    assert [act for act in acts if act] == [Act.RESTART] * 3 + [Act.LEAVE] * 2


@pytest.mark.parametrize("what", ["it takes one", "there is no room", "Redis is away"])
def test_a_consumer_gets_its_whole_patience_again(what: str) -> None:
    """Whatever shows that it is well, or that nothing can be said."""
    appetite = Appetite(patience_s=30)
    for now in range(0, 30, 2):
        assert appetite.look(now, 5, could=True) is None
    match what:
        case "it takes one":
            appetite.look(30, 6, could=True)
        case "there is no room":
            appetite.look(30, 5, could=False)
        case _:
            appetite.blind()
    asked = 6 if what == "it takes one" else 5

    assert [appetite.look(now, asked, could=True) for now in range(32, 62, 2)] == [None] * 15
    assert appetite.look(64, asked, could=True) is Act.RESTART
