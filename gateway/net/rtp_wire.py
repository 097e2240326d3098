"""What the gateway and its media process say to each other, over a pair of stream sockets.

A message is two lengths (4 bytes each, big-endian), a JSON object and a blob (audio, mostly none). To the process:

    load audio + blob | unload audio                      G.711, shared by all streams that play it
    open stream | close stream                            answered by opened or refused; by closed
    connect stream ip port law events rtcp_mux srtp
    play stream play_id audio silence_s loops | stop stream
    digits stream digits
    listen stream seconds | recording stream              the latter answered by recording + blob
    join stream other                                     two far ends hear each other
    detect stream times                                   who answered: Detected, GreetingEnded
    ask                                                   answered by alive, at once

From it: ready; the answers; `events` stream and a list of [name, field, ...].
"""

import struct
from dataclasses import astuple
from typing import Any, Final

import orjson

from gateway.media.events import Detected, Digit, Event, FirstPacket, GreetingEnded, Lost, Played

Message = dict[str, Any]
_LENGTHS: Final = struct.Struct("!II")
_KINDS: Final = (Digit, Played, FirstPacket, Lost, Detected, GreetingEnded)
_EVENTS: Final[dict[str, type[Event]]] = {kind.__name__: kind for kind in _KINDS}


def pack(message: Message, blob: bytes = b"") -> bytes:
    """One message as it goes over the socket."""
    words = orjson.dumps(message)
    return b"".join((_LENGTHS.pack(len(words), len(blob)), words, blob))


class Unpacker:
    """Cuts what arrives, in pieces of any size, into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[tuple[Message, bytes]]:
        """Add what was read; returns the messages that are complete, in order."""
        self._held += data
        messages = []
        while len(self._held) >= _LENGTHS.size:
            words, blob = _LENGTHS.unpack_from(self._held)
            start, end = _LENGTHS.size + words, _LENGTHS.size + words + blob
            if len(self._held) < end:
                break
            messages.append((orjson.loads(self._held[_LENGTHS.size : start]), bytes(self._held[start:end])))
            del self._held[:end]
        return messages


def pack_events(stream: int, events: list[Event]) -> bytes:
    """The events of one stream, in order."""
    listed = [[type(event).__name__, *astuple(event)] for event in events]
    return pack({"re": "events", "stream": stream, "events": listed})


def read_event(fields: list[Any]) -> Event:
    """One event of `pack_events`."""
    return _EVENTS[fields[0]](*fields[1:])
