"""Reads what is given at the command line as JSON: data, request bodies, files of many. For `cli.py`.

Whatever is wrong with it is a ValueError with a sentence for people, which names the option and the place.
"""

from __future__ import annotations

import json
import sys
from collections import UserDict
from pathlib import Path
from typing import Any, cast


class Many(UserDict[str, dict[str, Any]]):
    """Several request bodies in their order, each under the place that people know it by, such as `line 3`."""


def bodies(file: Path) -> dict[str, Any] | Many:
    """One request body; or several, as a JSON array or one on each line. `-` is stdin."""
    option = "--file"
    text = _text(str(file), option)
    lines = {f"line {number}": line for number, line in enumerate(text.splitlines(), start=1) if line.strip()}
    if len(lines) > 1 and _is_whole(next(iter(lines.values()))):
        return Many({place: _object(line, f"{option}: {place}") for place, line in lines.items()})
    content = _parsed(text, option)
    if isinstance(content, list):
        return Many(
            {
                f"task {number}": _checked(item, f"{option}: task {number}")
                for number, item in enumerate(content, start=1)
            }
        )
    return _checked(content, option)


def document(text: str, option: str) -> dict[str, Any]:
    """A JSON object: as it is, or from a file (`@FILE`) or stdin (`@-`)."""
    return _object(_text(text[1:], option) if text.startswith("@") else text, option)


def _text(name: str, option: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text()
    except OSError as error:
        raise ValueError(f"{option}: cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{option}: {name} is not text in UTF-8") from None


def _is_whole(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _object(text: str, where: str) -> dict[str, Any]:
    return _checked(_parsed(text, where), where)


def _parsed(text: str, where: str) -> Any:
    try:
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # Python reads more than JSON can say
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not valid JSON: {error}") from None
    return content


def _checked(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004  wrong input of a person, as all else here
            f'{where}: must be a JSON object, such as \'{{"prompt": "a red fox"}}\''
        )
    return cast(dict[str, Any], content)
