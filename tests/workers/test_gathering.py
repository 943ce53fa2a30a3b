"""`automated_gather_creation`: what was gathered is read, sorted to departments, and can be rated as it is."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from genfleet.contract.task_data import AutomatedGatherCreation, EvaluateDepartment
from genfleet.errors import PermanentError
from genfleet_workers.engines.base import Job, Product
from genfleet_workers.engines.evaluation import EvaluationEngine
from genfleet_workers.engines.gathering import GatheringEngine
from genfleet_workers.engines.model.endpoint import Endpoint, Model
from genfleet_workers.engines.sources import Sources
from genfleet_workers.engines.text.digest import digest, summary
from genfleet_workers.engines.text.documents import decoded, plain_text
from genfleet_workers.engines.text.pieces import FULL, split
from tests.support.chat_server import chat_server, fails, says
from tests.support.material import ABOUT, GOOD_STORY, RECIPES

HTML = """<!doctype html><html><head><title>T</title><style>p {color: red}</style></head><body>
<nav><p>Home | About | Imprint</p></nav><script>var plot = "twist";</script>
<h1>Sound bible</h1><p>Foley and ambience carry the alley.<br>The composer scores a jazz <b>piano</b> motif.</p>
<p hidden>Hidden dialogue and music.</p><ul><li>Dialogue is recorded by boom.</li></ul></body></html>"""
MARKDOWN = "# Story bible\n\nThe plot turns on a *betrayal* in the [second act](https://a.test/x).\n\n- The climax is on a roof\n"
DOCUMENTS: dict[str, tuple[int, bytes]] = {
    "/sound.html": (200, HTML.encode()),
    "/story.md": (200, MARKDOWN.encode()),
    "/legal.json": (200, json.dumps({"title": "Legal", "notes": [{"text": ABOUT["legal"]}]}).encode()),
    "/old.html": (200, "<html><head><meta charset=iso-8859-1></head><p>Das Café der Rechte</p>".encode("latin-1")),
    "/film.pdf": (200, b"%PDF-1.7 ..."),
    "/gone": (404, b""),
    "/busy": (503, b""),
    "/away": (302, b""),
}


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A server with those documents."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = DOCUMENTS[self.path.partition("?")[0]]
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def gathered(model: Model | None = None, *, allow_private: bool = True, **data: Any) -> Product:
    """What the engine makes of some sources."""
    sources = Sources(Path("/nowhere"), "https://media.test/files", allow_private)
    job = Job("task-1", "project-1", AutomatedGatherCreation.model_validate(data), Path("/nowhere"), 1)
    return GatheringEngine(sources, model, timedelta(seconds=5)).run(job, lambda fraction, step: None)


def by_department(product: Product) -> dict[str, list[dict[str, str]]]:
    """The items of each department."""
    return {each["department_slug"]: each["gather_data"] for each in product.values["departments"]}


def warnings(product: Product) -> str:
    """Everything that was left out."""
    return "\n".join(product.metadata.get("warnings", []))


def test_nothing_has_to_be_sent() -> None:
    """PI-023, TS-086: an empty object gives an empty result."""
    product = gathered()

    assert (product.values["departments"], product.values["unassigned"]) == ([], [])
    assert product.values["statistics"] == {
        "sources_read": 0,
        "characters": 0,
        "pieces": 0,
        "repeated_pieces": 0,
        "items": 0,
        "left_out": 0,
        "unassigned": 0,
    }
    assert product.metadata == {"model": "none (extractive)", "tokens_used": 0}


def test_each_piece_goes_to_the_department_that_it_speaks_of() -> None:
    """TS-017, TS-094: a sentence of each of the twelve is found by its own, whichever order they came in."""
    found = by_department(gathered(sources=list(reversed(ABOUT.values()))))

    assert {slug: [item["content"] for item in items] for slug, items in found.items()} == {
        slug: [text] for slug, text in ABOUT.items()
    }


def test_documents_of_every_form_are_read(web: str) -> None:
    """TS-017: HTML without its navigation, scripts and hidden parts, Markdown without its marks, JSON by its texts."""
    product = gathered(
        sources=[f"{web}/sound.html", f"{web}/story.md", {"url": f"{web}/legal.json?key=secret", "title": "Counsel"}],
        context="Noir film, 1927",
    )

    found = by_department(product)
    assert found == {
        "story": [
            {
                "content": "The plot turns on a betrayal in the second act.\nThe climax is on a roof",
                "summary": "The plot turns on a betrayal in the second act. The climax is on a roof",
                "context": f"Noir film, 1927 · {web}/story.md · Story bible",
            }
        ],
        "audio": [
            {
                "content": "Foley and ambience carry the alley.\nThe composer scores a jazz piano motif.\n"
                "Dialogue is recorded by boom.",
                "summary": "Foley and ambience carry the alley. The composer scores a jazz piano motif.",
                "context": f"Noir film, 1927 · {web}/sound.html · Sound bible",
            }
        ],
        "legal": [
            {
                "content": ABOUT["legal"],
                "summary": summary(ABOUT["legal"], 2),
                "context": "Noir film, 1927 · Counsel · Legal",
            }
        ],
    }
    assert warnings(product) == ""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/gone", "The server answered 404"),
        ("/busy", "The server answered 503"),
        ("/away", "redirects are not followed"),
        ("/film.pdf", "It is a PDF, not text"),
    ],
)
def test_a_source_that_cannot_be_read_is_a_warning(web: str, path: str, why: str) -> None:
    """TS-086: it is named, without what its address may hide, and the others are gathered all the same."""
    product = gathered(sources=[f"{web}{path}?token=secret", ABOUT["story"]])

    assert warnings(product).startswith(f"sources[0] ({web}{path}) could not be read and was left out: ")
    assert why in warnings(product)
    assert "secret" not in warnings(product)
    assert by_department(product)["story"][0]["content"] == ABOUT["story"]
    assert product.values["statistics"]["sources_read"] == 1


def test_private_addresses_are_not_read(web: str) -> None:
    """TS-112: the guard of all outbound requests holds here as well."""
    assert "not a public address" in warnings(gathered(allow_private=False, sources=[f"{web}/story.md"]))


def test_repetition_is_dropped() -> None:
    """TS-017: what says the same with a word changed is gathered once."""
    changed = GOOD_STORY[0]["content"].replace("drowned", "dead")
    product = gathered(sources=[GOOD_STORY[0]["content"], changed, GOOD_STORY[2]["content"]])

    assert len(by_department(product)["story"]) == 2
    assert product.values["statistics"]["repeated_pieces"] == 1


def test_what_belongs_to_nobody_is_not_pressed_in() -> None:
    """TS-017: recipes are no department's; a source that says whose it is, is believed."""
    strange = gathered(sources=[RECIPES[1]["content"]])
    told = gathered(sources=[{"text": RECIPES[1]["content"], "department": "archive"}])

    assert (strange.values["departments"], len(strange.values["unassigned"])) == ([], 1)
    assert [each["content"] for each in by_department(told)["archive"]] == [RECIPES[1]["content"]]


def test_only_the_departments_that_were_asked_for_are_filled() -> None:
    """TS-017: each of them is in the result, also when there is nothing for it, and no other."""
    found = by_department(gathered(sources=[ABOUT["story"], ABOUT["legal"]], departments=["story", "audio"]))

    assert {slug: len(items) for slug, items in found.items()} == {"story": 1, "audio": 0}


def test_the_best_of_many_are_kept() -> None:
    """TS-017: a department gets as many items as were asked for, and what was left out is told."""
    product = gathered(sources=[each["content"] for each in GOOD_STORY], max_items=2)

    assert len(by_department(product)["story"]) == 2
    assert product.values["statistics"]["left_out"] == 2
    assert "max_items: 2 pieces" in warnings(product)


def test_what_is_gathered_can_be_rated_as_it_is() -> None:
    """TS-086, TS-090: each entry is the task data of an evaluation, and good sources make a department pass."""
    product = gathered(sources=[each["content"] for each in GOOD_STORY], context="Mystery, 1927")
    (entry,) = product.values["departments"]

    data = EvaluateDepartment.model_validate(json.loads(json.dumps(entry)))
    rated = EvaluationEngine(None).run(Job("t", "p", data, Path("/nowhere"), 1), lambda fraction, step: None)

    assert set(entry["gather_data"][0]) == {"content", "summary", "context"}
    assert (rated.values["department"], rated.values["evaluation_result"]) == ("story", "pass")


def test_a_model_may_write_the_summaries() -> None:
    """TS-017: where there is one, in one question for each department; when it fails, the extracts stay."""
    with chat_server() as server:
        model = Model(Endpoint(server.url, "gpt-test"), pauses=(0.01,))
        server.plays(says({"summaries": ["A betrayal and a climax."]}), fails(503))
        product = gathered(model, sources=[ABOUT["story"], ABOUT["legal"]])

    found = by_department(product)
    assert found["story"][0]["summary"] == "A betrayal and a climax."
    assert found["legal"][0]["summary"] == summary(ABOUT["legal"], 2)
    assert product.metadata["model"] == "gpt-test"
    assert product.metadata["tokens_used"] == 30
    assert warnings(product) == "Summaries are extracts from Legal on: AI service error (503)"


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"sources": [7]}, ("sources", 0)),
        ({"sources": [{"url": "ftp://a.test/x"}]}, ("sources", 0, "url")),
        ({"departments": ["kitchen"]}, ("departments", 0)),
        ({"max_items": 0}, ("max_items",)),
        ({"sources": [{"text": "a", "format": "pdf"}]}, ("sources", 0, "format")),
    ],
)
def test_wrong_arguments_are_named(data: dict[str, Any], where: tuple[str | int, ...]) -> None:
    """TS-146, TS-086: nothing is required, but what is there has to be of its type."""
    with pytest.raises(ValidationError) as caught:
        AutomatedGatherCreation.model_validate(data)
    assert [fault["loc"] for fault in caught.value.errors()] == [where]


def test_declared_and_undeclared_characters_are_read() -> None:
    """TS-017: UTF-8, UTF-16 with its mark, and what a page declares; what is no text is refused."""
    assert "Café" in plain_text(decoded(DOCUMENTS["/old.html"][1]))
    assert decoded("\ufeffä".encode()) == "ä"
    assert decoded("ä".encode("utf-16")) == "\ufeffä".lstrip("\ufeff")
    assert decoded(b"caf\xe9") == "café"
    for binary in (b"PK\x03\x04rest", b"\0\1\2", b"\x89PNG\r\n"):
        with pytest.raises(PermanentError, match="not text"):
            decoded(binary)


@pytest.mark.parametrize(
    "document",
    ["<html>" + "<div>" * 200_000 + "x", "<html>" + "<b>" * 200_000, "[" * 100_000, "<!--" * 200_000, "#" * 1_000_000,
     " " * 1_000_000, '{"a":' * 900 + "1" + "}" * 900, "\n" * 1_000_000, "(" * 500_000 + "[" * 500_000],
    ids=["nested", "open", "array", "comment", "hashes", "spaces", "tower", "lines", "brackets"],
)  # fmt: skip
@pytest.mark.timeout(20)
def test_hostile_documents_take_no_longer_than_others(document: str) -> None:
    """TS-115: what is made to be slow or deep is read in a moment, as whatever it pretends to be."""
    for form in ("auto", "html", "text"):
        list(split(plain_text(document, form), 0))
    with contextlib.suppress(PermanentError):
        list(split(plain_text(document[:200_000], "json"), 0))
    list(split(plain_text(document[:100_000], "markdown"), 0))


def test_pieces_have_a_size_that_can_be_judged() -> None:
    """TS-090: none is longer than a piece may be, also without paragraphs, sentences or spaces; nothing is lost."""
    for text in (" ".join(ABOUT.values()) * 20, "word " * 3_000, "x" * 5_000, "字" * 5_000):
        pieces = [piece.text for piece in split(plain_text(text, "text"), 0)]
        assert max(map(len, pieces)) <= FULL + 1
        assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_digest_keeps_what_says_the_most() -> None:
    """TS-095: within its limit, in order; a text that fits is left as it is."""
    text = GOOD_STORY[0]["content"] + " Anyway. " + GOOD_STORY[2]["content"]

    assert digest("short", 100) == "short"
    short = digest(text, 400)
    assert len(short) <= 400
    assert "Anyway." not in short
    assert all(part in text for part in short.split(". ") if part)
