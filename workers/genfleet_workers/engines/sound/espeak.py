"""The speaker: a program of its own that reads text from its input and writes a take to its output.

espeak-ng is under the GPL and is not ours, so it runs at arm's length: `voice.py` starts this file as a child process, which
loads the library, and can kill it in the middle of a word. No worker loads it, and this file imports nothing of ours.

    python espeak.py '{"voice": "en-gb", "variant": "m3", "rate": 150, "seconds": 60}' < text > speech.au

Exit status 0, or 3 with a sentence: there is no espeak-ng on this machine; or 4: it has no such voice.
"""

from __future__ import annotations

import array
import ctypes
import ctypes.util
import json
import struct
import sys
from pathlib import Path
from typing import Any

MISSING, NO_VOICE = 3, 4
_SYNCHRONOUS, _UTF8 = 2, 1
_DO_NOT_EXIT = 0x8000
_PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4, "gap": 7}
"""Numbers of `espeak_PARAMETER`: words a minute, 0-200, 0-99, 0-99, pauses between words in 10 ms."""
_SIXTEEN_BIT = 3


class _Voice(ctypes.Structure):
    """`espeak_VOICE` of speak_lib.h."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_Heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def library() -> tuple[str, str | None]:
    """The shared library and its data: of the wheel, which sounds the same everywhere; without it, of the system."""
    try:
        import espeakng_loader  # has no wheel for some systems
    except ImportError:
        return ctypes.util.find_library("espeak-ng") or "", None
    return espeakng_loader.get_library_path(), str(Path(espeakng_loader.get_library_path()).parent)


def main(says: dict[str, Any]) -> int:
    """Speak."""
    path, data = library()
    try:
        espeak = ctypes.CDLL(path) if path else None
    except OSError:
        espeak = None
    rate = espeak.espeak_Initialize(_SYNCHRONOUS, 0, data and data.encode(), _DO_NOT_EXIT) if espeak else 0
    if espeak is None or rate <= 0:
        sys.stderr.write("espeak-ng is not installed here; install the package espeak-ng of the system\n")
        return MISSING
    espeak.espeak_GetCurrentVoice.restype = ctypes.POINTER(_Voice)
    if not _choose(espeak, says["voice"], says.get("variant", "")):
        return NO_VOICE
    for name, number in _PARAMETERS.items():
        if name in says:
            espeak.espeak_SetParameter(number, int(says[name]), 0)
    _speak(espeak, rate, sys.stdin.buffer.read(), says["seconds"])
    return 0


def _choose(espeak: ctypes.CDLL, language: str, variant: str) -> bool:
    """Set the voice of a language, then the same in another variant."""
    wanted = _Voice(languages=language.encode())
    if espeak.espeak_SetVoiceByProperties(ctypes.byref(wanted)):
        return False
    found = espeak.espeak_GetCurrentVoice().contents
    spoken = (found.languages or b"")[1:].split(b"\0")[0].decode()
    if spoken.split("-")[0] != language.lower().split("-")[0]:  # the nearest there is may be quite another language
        return False
    named = (found.identifier or b"") + (b"+" + variant.encode() if variant else b"")
    return bool(espeak.espeak_SetVoiceByName(named) == 0)


def _speak(espeak: ctypes.CDLL, rate: int, text: bytes, seconds: float) -> None:
    out, left = sys.stdout.buffer, int(seconds * rate)
    out.write(struct.pack(">4s5I", b".snd", 24, 0xFFFFFFFF, _SIXTEEN_BIT, rate, 1))

    def hear(wave: Any, length: int, _events: Any) -> int:
        nonlocal left
        if length > 0:
            samples = array.array("h", ctypes.string_at(wave, min(length, left) * 2))
            if sys.byteorder == "little":
                samples.byteswap()
            out.write(samples)
            left -= min(length, left)
        return int(left <= 0)  # 1: no more, please

    heard = _Heard(hear)
    espeak.espeak_SetSynthCallback(heard)
    said = ctypes.create_string_buffer(text)
    espeak.espeak_Synth(said, ctypes.c_size_t(len(text) + 1), 0, 1, 0, _UTF8, None, None)
    espeak.espeak_Synchronize()


if __name__ == "__main__":
    raise SystemExit(main(json.loads(sys.argv[1])))
