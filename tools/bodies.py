"""The bodies of the API as types of both clients, made from the OpenAPI document, so that they are written down once.

Named as the document names them. Written here and not by a generator from elsewhere, because these need a toolchain
each (node for TypeScript) on every desk where a route is added, and because the document uses few kinds of schema.
An unknown kind is an error, not `any`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tools import document

_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Language:
    """How types are spelt."""

    plain: Mapping[str, str]
    anything: str
    literals: Callable[[list[object]], str]
    array: Callable[[str], str]
    mapping: Callable[[str], str]


PYTHON = Language(
    {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"},
    anything="Any",
    literals=lambda values: f"Literal[{', '.join('None' if value is None else json.dumps(value) for value in values)}]",
    array=lambda items: f"list[{items}]",
    mapping=lambda values: f"dict[str, {values}]",
)
TYPESCRIPT = Language(
    {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"},
    anything="unknown",
    literals=lambda values: " | ".join(map(json.dumps, values)),
    array=lambda items: f"({items})[]" if " | " in items else f"{items}[]",
    mapping=lambda values: f"Record<string, {values}>",
)


def spelt(schema: Mapping[str, Any], language: Language) -> str:  # noqa: PLR0911  one case for each kind of schema
    """The type of a schema. Raises ValueError for what the document did not use so far."""
    match schema:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"anyOf": list(parts)} | {"oneOf": list(parts)}:
            return " | ".join(dict.fromkeys(spelt(part, language) for part in parts))
        case {"const": value}:
            return language.literals([value])
        case {"enum": list(values)}:
            return _enumerations().get(tuple(values)) or language.literals(values)
        case {"type": "array", "items": items}:
            return language.array(spelt(items, language))
        case {"type": "object", "properties": _}:
            raise ValueError(f"{schema.get('title')}: an object within an object has to be a schema of its own")
        case {"type": "object"}:
            values = schema.get("additionalProperties", True)
            return language.mapping(language.anything if values is True or values == {} else spelt(values, language))
        case {"type": str(kind)} if kind in language.plain:
            return language.plain[kind]
        case _ if not schema.keys() - {"title", "description", "default"}:
            return language.anything
    raise ValueError(f"there is no rule for the schema {schema}")


def python() -> str:
    """`bodies.py` of the Python client."""
    text = "\n\n\n".join([_PYTHON_HEAD, *(_python(name, schema) for name, schema in _schemas())]) + "\n"
    ruff = str(Path(sys.executable).with_name("ruff"))
    return subprocess.run(
        [ruff, "format", "--stdin-filename", "bodies.py", "-"], input=text, capture_output=True, text=True, check=True
    ).stdout


def typescript() -> str:
    """`bodies.ts` of the TypeScript client."""
    return "\n\n".join([_TYPESCRIPT_HEAD, *(_typescript(name, schema) for name, schema in _schemas())]) + "\n"


def _schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """What others refer to comes first, so that no name is used before it is there."""
    schemas, given = document.build()["components"]["schemas"], set[str]()

    def give(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if name not in given:
            given.add(name)
            for reference in _references(schemas[name]):
                yield from give(reference)
            yield name, schemas[name]

    for name in sorted(schemas):
        yield from give(name)


@cache
def _enumerations() -> dict[tuple[object, ...], str]:
    """The names of those that have one, by their values."""
    return {
        tuple(said["enum"]): name for name, said in document.build()["components"]["schemas"].items() if "enum" in said
    }


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _references(each)


_PYTHON_HEAD = '''"""The bodies of the API, as its OpenAPI document has them. Made by `make generate`: change the service, not this."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict'''


def _python(name: str, schema: dict[str, Any]) -> str:
    words = _docstring(schema.get("description", f"{name}."))
    if "enum" in schema:
        return f"{name} = {PYTHON.literals(schema['enum'])}\n{words}"
    required = schema.get("required", ())
    lines = [f"class {name}(TypedDict):", f"    {words}", ""]
    for field, said in schema["properties"].items():
        kind = spelt(said, PYTHON)
        lines.append(f"    {field}: {kind if field in required else f'NotRequired[{kind}]'}")
    return "\n".join(lines)


_TYPESCRIPT_HEAD = (
    "/** The bodies of the API, as its OpenAPI document has them. Made by `make generate`: change the service. */"
)


def _typescript(name: str, schema: dict[str, Any]) -> str:
    comment = _comment(schema.get("description", f"{name}."))
    if "enum" in schema:
        return f"{comment}\nexport type {name} = {TYPESCRIPT.literals(schema['enum'])}"
    required = schema.get("required", ())
    lines = [comment, f"export interface {name} {{"]
    for field, said in schema["properties"].items():
        lines.append(f"  {field}{'' if field in required else '?'}: {spelt(said, TYPESCRIPT)}")
    return "\n".join([*lines, "}"])


def _docstring(text: str) -> str:
    """On a line if it fits, else its first sentence on one and the rest below."""
    words = " ".join(text.split())
    if len(words) <= _WIDTH - 10:
        return f'"""{words}"""'
    first, _, rest = words.partition(". ")
    below = textwrap.fill(rest, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f'"""{first}.\n\n{below}\n    """'


def _comment(text: str) -> str:
    words = " ".join(text.split())
    if len(words) <= _WIDTH - 10:
        return f"/** {words} */"
    return f"/**\n{textwrap.fill(words, _WIDTH, initial_indent=' * ', subsequent_indent=' * ')}\n */"
