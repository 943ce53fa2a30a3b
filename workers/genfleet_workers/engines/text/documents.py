"""Turns a document into plain text: HTML, Markdown, JSON or text, whatever is in it. Pure.

The text has a paragraph on each line, and `# ` before a heading, so that what comes after need not know the format.
Documents are chosen by strangers: the work is bounded by their size, whatever their form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from genfleet.errors import InputError

HEADING = "# "
MOST_VALUES = 50_000
"""Values of a JSON document that are read."""

_HTML = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,2000}?-->\s*)?<(?:!doctype html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_CHARSET = re.compile(rb"charset=[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_BINARY = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a ZIP or office document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x1f\x8b": "compressed",
}
_SUFFIXES = {
    ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".xhtml": "html", ".json": "json",
    ".txt": "text",
}  # fmt: skip
_SILENT_TAGS = "script style template noscript nav footer aside form iframe svg math object select button head"
_SILENT = frozenset(_SILENT_TAGS.split())
"""Elements of a page that say nothing about its subject."""
_BLOCK_TAGS = (
    "address article blockquote br caption dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 header "
    "hr li main ol p pre section summary table tbody td th thead tr ul"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})


def decoded(content: bytes) -> str:
    """The characters of a document. Raises InputError for what is no text."""
    for start, what in _BINARY.items():
        if content.startswith(start):
            raise InputError(f"It is {what}, not text; give text, Markdown, HTML or JSON")
    for bom, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(bom):
            return content.decode(encoding, errors="replace")
    if b"\0" in content[:10_000]:
        raise InputError("It is not text; give text, Markdown, HTML or JSON")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _by_declaration(content)


def plain_text(text: str, kind: str = "auto", name: str = "") -> str:
    """A paragraph a line. `kind` is that of `GatherSource.format`; `name`, such as a path, helps to tell.

    Raises InputError where it is not what it is said to be.
    """
    kind = _kind(text, name) if kind == "auto" else kind
    match kind:
        case "html":
            return _from_html(text)
        case "markdown":
            return _from_markdown(text)
        case "json":
            return _from_json(text)
        case _:
            return _from_text(text)


def _by_declaration(content: bytes) -> str:
    declared = _CHARSET.search(content[:2_000])
    try:
        return content.decode(declared[1].decode() if declared else "cp1252", errors="replace")
    except LookupError:
        return content.decode("cp1252", errors="replace")


def _kind(text: str, name: str) -> str:
    ending = re.search(r"\.[a-z]{2,8}$", name.lower())
    known = _SUFFIXES.get(ending[0], "") if ending else ""
    if known:
        return known
    if _HTML.match(text):
        return "html"
    if text.lstrip()[:1] in {"{", "["}:
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return "text"
        return "json"
    return "markdown" if re.search(r"^(?:#{1,6} \S|```|[-*] \S.*\n[-*] \S)", text, re.MULTILINE) else "text"


def _from_text(text: str) -> str:
    """Paragraphs are parted by empty lines; lines within one are only wrapped, unless they are a list."""
    paragraphs, current = list[str](), list[str]()
    for line in text.splitlines():
        stripped = " ".join(line.split())
        if (not stripped or re.match(r"#{1,6} |[-*•] ", stripped)) and current:
            paragraphs.append(" ".join(current))
            current = []
        if re.match(r"#{1,6} ", stripped):
            paragraphs.append(HEADING + stripped.lstrip("# "))
        elif stripped:
            current.append(stripped)
    return "\n".join([*paragraphs, " ".join(current)] if current else paragraphs)


def _from_markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    # Markup within is shown as text: who sends Markdown does not mean it as a page.
    return _from_html(str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text)))


def _from_html(text: str) -> str:
    from lxml import etree, html

    if not text.strip():
        return ""
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    try:
        root = html.document_fromstring(text.encode("utf-8", errors="replace"), parser=parser)
    except etree.LxmlError:
        return ""
    lines = (" ".join(line.split()) for line in "".join(_shown(root)).split("\n"))
    return "\n".join(line for line in lines if line.strip("# "))


def _shown(root: Any) -> Iterator[str]:
    """The texts of a page in order, with a new line wherever a block begins or ends."""
    from lxml import etree

    silent = 0
    for event, node in etree.iterwalk(root, events=("start", "end")):
        hidden = node.tag in _SILENT or node.get("hidden") is not None
        begins = event == "start"
        if hidden:
            silent += 1 if begins else -1
        if not silent and node.tag in _BLOCKS:
            yield f"\n{HEADING}" if begins and node.tag in _HEADINGS else "\n"
        said = node.text if begins else node.tail
        if said and not silent:
            yield re.sub(r"\s+", " ", said)


def _from_json(text: str) -> str:
    """Every text in a JSON document, after the name of its field."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError("It is not valid JSON") from error
    lines, waiting = list[str](), [("", document)]
    for _ in range(MOST_VALUES):
        if not waiting:
            break
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += reversed([(str(key), each) for key, each in value.items()])
        elif isinstance(value, list):
            waiting += reversed([(name, each) for each in value])
        elif isinstance(value, str) and value.strip():
            lines += _of_field(name, value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and name:
            lines.append(f"{_title(name)}: {value}")
    return "\n".join(lines)


def _of_field(name: str, value: str) -> list[str]:
    """A long text stands for itself, under its name; a short one says nothing without."""
    if name.lower() in {"title", "heading", "name"} and "\n" not in value:
        return [HEADING + value.strip()]
    lines = [" ".join(line.split()) for line in value.splitlines() if line.strip()]
    return lines if len(value) > 80 or not name else [f"{_title(name)}: {lines[0]}", *lines[1:]]


def _title(name: str) -> str:
    return re.sub(r"[_\s-]+", " ", name).strip().capitalize()
