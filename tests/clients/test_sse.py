"""The lines of an event stream, read by the Python client."""

from __future__ import annotations

from genfleet_client.sse import Event, Parser


def read(text: str, parser: Parser | None = None) -> list[Event]:
    """The events of a text."""
    parser = parser or Parser()
    return [event for line in text.split("\n") if (event := parser.feed(line))]


def test_an_event_is_its_lines_up_to_an_empty_one() -> None:
    """TS-165: a type, an id and JSON, with or without a space behind the colon; data may have several lines."""
    assert read('id: 4\nevent: progress\ndata:{"progress":\ndata: 0.5}\n\n') == [
        Event("4", "progress", {"progress": 0.5})
    ]


def test_what_is_no_event_is_passed_over() -> None:
    """TS-165: heartbeats, the greeting, what has no JSON object, and fields that are newer than this client."""
    assert read('retry: 2000\n\n: still here\n\ndata: hello\n\ndata: [1]\n\nid: 1\nnew: x\ndata: {"a": 1}\n\n') == [
        Event("1", "message", {"a": 1})
    ]


def test_half_an_event_is_not_had() -> None:
    """TS-165: after a cut within an event the stream is opened again behind the one before it."""
    parser = Parser()
    read('id: 1\ndata: {}\n\nid: 2\ndata: {"status"', parser)
    assert parser.last_id == "1"


def test_the_event_that_ends_a_task_is_known() -> None:
    """TS-025: by the state that it tells; no other event ends anything."""
    ends = [event.is_final for event in read('event: state\ndata: {"status": "failed"}\n\nevent: lost\ndata: {}\n\n')]
    assert ends == [True, False]
