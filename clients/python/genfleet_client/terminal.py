"""A terminal that shows what others wrote and does nothing that they wrote.

Names, errors and log lines come from whoever submitted a task, and from the pages and programs that it met. In a terminal
a few characters among them can rewrite what stands above, give the window another title, or paste a command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal does not show but obeys, the two bytes that move on excepted; and what turns the direction of text."""


def shown(text: str) -> str:
    """The text, with a sign in place of each character that is a command."""
    return _COMMANDS.sub("\ufffd", text)


def as_json(content: object) -> str:
    """JSON for scripts, which may print it: what it means is the same, and it moves no cursor."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Terminal(Console):
    """rich's console. Its own codes, for colours and the cursor, stand beside the text and go through."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Whatever is printed comes by here."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)
