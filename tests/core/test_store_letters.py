"""Dead letters: what is kept of a message that could not be judged, how it is sent again, and what falls out."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

from genfleet.contract.keys import broker_list, key
from genfleet.store import chores, dead_letters, scripts
from genfleet.store.client import SyncStore
from genfleet.store.dead_letters import RAW_KEPT, Letter, LetterState, Resent
from tests.support.servers import Redis, free_port

LIST = broker_list("gpu_medium", 2)


def waiting(store: SyncStore, queue: str | None = None) -> list[Letter]:
    """Those that nobody has seen to, the newest first."""
    return list(store.run(dead_letters.page(LetterState.WAITING, queue, 0, 100)).letters)


def set_aside(store: SyncStore, message: bytes, queue: str = "gpu_medium") -> Letter:
    """A message that could not be judged."""
    store.run(dead_letters.set_message_aside("It is no JSON", message, broker_list=LIST, queue=queue, worker="w"))
    return waiting(store)[0]


def test_a_message_is_kept_as_it_came(store: SyncStore) -> None:
    """M8: its reason, where it came from, and every byte, whatever they are. A list shows all but the bytes."""
    message = bytes(range(256))
    letter = set_aside(store, message)

    assert (letter.reason, letter.queue, letter.worker, letter.size) == ("It is no JSON", "gpu_medium", "w", 256)
    assert letter.raw is None
    kept = store.run(dead_letters.read(letter.id))
    assert kept is not None
    assert kept.raw == message
    assert store.run(dead_letters.read(letter.id + 1)) is None


def test_a_message_is_set_aside_although_memory_is_full(tmp_path: Path) -> None:
    """It has left its list by then: refused, it would be lost with its worker, and hold up what that has to tell."""
    full = Redis(tmp_path, free_port())
    full.start()
    with ExitStack() as stack:
        stack.callback(full.stop)
        store = stack.enter_context(closing(SyncStore(full.url)))
        full.client.config_set("maxmemory", "1")
        assert set_aside(store, b"not json").size == 8


def test_a_page_of_dead_letters(store: SyncStore) -> None:
    """The newest first, those of one queue or all, and how many there are in all."""
    for number in range(5):
        set_aside(store, b"x" * number, queue="default" if number % 2 else "gpu_medium")

    seen = store.run(dead_letters.page(LetterState.WAITING, "gpu_medium", 1, 1))
    assert (seen.total, [letter.size for letter in seen.letters]) == (3, [2])
    assert [letter.size for letter in waiting(store)] == [4, 3, 2, 1, 0]


def test_a_dead_letter_is_sent_again_once(store: SyncStore, redis_server: Redis) -> None:
    """It is in its list as it was; who did it and when is kept with it, and it waits for nobody any more."""
    letter = set_aside(store, b"not json")

    assert [store.run(dead_letters.resend(letter.id, "4f1c")) for _ in range(2)] == [Resent.RESENT, Resent.AGAIN]

    assert redis_server.client.lrange(LIST, 0, -1) == [b"not json"]
    assert waiting(store) == []
    (resent,) = store.run(dead_letters.page(LetterState.RESENT, None, 0, 10)).letters
    assert (resent.id, resent.by, resent.state) == (letter.id, "4f1c", LetterState.RESENT)
    assert resent.resent_ms is not None


def test_what_cannot_be_sent_again_says_why(store: SyncStore, redis_server: Redis) -> None:
    """Of a long message no more is kept than its beginning; a broken record was never a message."""
    long = set_aside(store, b"x" * (RAW_KEPT + 1))
    assert long.size == RAW_KEPT + 1
    store.run(dead_letters.set_aside("WRONGTYPE", task_id="broken"))
    record = waiting(store)[0]

    answers = [store.run(dead_letters.resend(number, "k")) for number in (long.id, record.id, 999)]
    assert answers == [Resent.CUT, Resent.RECORD, Resent.UNKNOWN]
    assert redis_server.client.exists(LIST) == 0


def test_a_dead_letter_is_removed(store: SyncStore, redis_server: Redis) -> None:
    """Nothing of it is left."""
    letter = set_aside(store, b"x")

    assert [store.run(dead_letters.remove(letter.id)) for _ in range(2)] == [True, False]
    assert redis_server.client.keys(key("dead_letter", "*")) == []
    assert waiting(store) == []


def test_dead_letters_have_an_end(store: SyncStore, redis_server: Redis) -> None:
    """The newest are kept, for a week; what falls out unseen is counted."""
    for _ in range(scripts.DEAD_LETTERS_MOST + 3):
        store.run(dead_letters.set_aside("no JSON"))

    waits = key("dead_letters", "waiting")
    assert redis_server.client.zcard(waits) == scripts.DEAD_LETTERS_MOST
    assert len(redis_server.client.keys(key("dead_letter", "*"))) == scripts.DEAD_LETTERS_MOST
    assert redis_server.client.hget(key("counters"), "dropped_dead_letters") == b"3"

    for letter in waiting(store)[1:]:
        redis_server.client.zadd(waits, {str(letter.id): 1})  # of last year
    store.run(chores.expire())
    assert redis_server.client.hget(key("counters"), "dropped_dead_letters") == b"102"
    assert redis_server.client.zcount(waits, 0, 1) == 0
