"""Fills the `{{name}}` of a prompt template (TS-085). Pure.

- Spaces within the braces do not matter: `{{ name }}`.
- `{{hero.name}}` looks for a parameter of that name, and then for `name` within the object `hero`; `{{names.0}}` for the
  first of a list.
- A text is put in as it is, everything else as JSON. A null counts as not given.
- It is filled in once: braces within a value stay what they are.
- What is missing stays as it stands and is named.
- Whatever else is between double braces (`{{#if}}`, `{{>part}}`), and braces without an end, are left alone and named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genfleet.errors import InputError

LIMIT = 400_000
"""Characters of a rendered prompt: more than any model reads."""

_BRACES = re.compile(r"\{\{([^{}]{0,200})\}\}")
_NAME = re.compile(r"[^\W\d][\w-]*(?:\.[\w-]+)*")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A filled template, and what did not fit."""

    text: str
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    unreadable: tuple[str, ...]
    """What stands in double braces and is no name."""


def render(template: str, parameters: Mapping[str, Any]) -> Rendered:
    """Fill it in. Raises InputError when the result would be too long."""
    used, missing, unreadable = set[str](), dict[str, None](), dict[str, None]()
    parts, size, end = list[str](), 0, 0
    for match in _BRACES.finditer(template):
        name = match[1].strip()
        value, source = _value(name, parameters) if _NAME.fullmatch(name) else (None, None)
        if source is not None:
            used.add(source)
        elif _NAME.fullmatch(name):
            missing[name] = None
        else:
            unreadable[match[0]] = None
        put = match[0] if value is None else value
        parts += template[end : match.start()], put
        size += len(put)
        if size > LIMIT:
            raise InputError(f"The rendered prompt would be longer than {LIMIT:,} characters: shorten its parameters")
        end = match.end()
    parts.append(template[end:])
    if "{{" in _BRACES.sub("", template):
        unreadable["{{"] = None
    return Rendered("".join(parts), tuple(missing), tuple(sorted(parameters.keys() - used)), tuple(unreadable))


def _value(name: str, parameters: Mapping[str, Any]) -> tuple[str, str] | tuple[None, None]:
    """What a name stands for, as text, and the parameter that it came from."""
    if parameters.get(name) is not None:
        return _text(parameters[name]), name
    first, *path = name.split(".")
    found: Any = parameters.get(first)
    for step in path:
        found = _within(found, step)
    return (None, None) if found is None else (_text(found), first)


def _within(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, list) and step.isdecimal() and len(step) < 6 and int(step) < len(value):
        return value[int(step)]
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
