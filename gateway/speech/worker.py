"""The process in which one speech engine runs: `python -m gateway.speech.worker hibari`.

Requests come as JSON lines on stdin: {"text", "language", "voice", "speed"}. Each is answered on stdout by one JSON
line, {"bytes": n}, and n bytes of 8 kHz mono PCM16 without silence around it; or by {"refused": why} if the voice is
not there; or by {"failed": why}. The first line, before any request, is {"bytes": 0} once the engine is loaded.
It ends when stdin does, and with its parent.
"""

import json
import os
import sys
from typing import Any, BinaryIO

from gateway.errors.speech import UnknownVoice
from gateway.lifeline import end_with_parent
from gateway.speech.engines import ENGINES, Renderer
from gateway.speech.shaping import resampled, trimmed


def main(engine: str) -> None:
    """Load the engine, say so, and serve until stdin ends."""
    _prepare()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # pyttsx3 prints a line a file, which would mix with the answers
    try:
        renderer = ENGINES[engine]()
    except Exception as error:  # noqa: BLE001 - whatever an engine's import raises, the gateway is told
        _answer(out, {"failed": f"cannot load: {type(error).__name__}: {error}"})
        return
    _answer(out, {"bytes": 0})
    for line in sys.stdin.buffer:
        header, pcm = _served(renderer, json.loads(line))
        _answer(out, header, pcm)


def _served(renderer: Renderer, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    try:
        samples, rate_hz = renderer.render(**request)
        pcm = trimmed(resampled(samples, rate_hz))
    except UnknownVoice as error:
        return {"refused": error.why}, b""
    except Exception as error:  # noqa: BLE001 - one bad sentence must not end the worker
        return {"failed": type(error).__name__}, b""  # its words may hold the text
    return {"bytes": len(pcm)}, pcm


def _answer(out: BinaryIO, header: dict[str, Any], pcm: bytes = b"") -> None:
    out.write(json.dumps(header).encode() + b"\n" + pcm)
    out.flush()


def _prepare() -> None:
    """Die with the parent, and give way to it: calls that are up matter more than prompts to come."""
    end_with_parent()
    os.nice(5)


if __name__ == "__main__":
    main(sys.argv[1])
