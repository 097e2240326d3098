"""Ports for processes that must keep theirs over a restart, or be known before they run."""

import contextlib
import secrets
import socket
from typing import Final

# Below what systems give to whoever asks for any port, so that nobody gets it meanwhile.
_FIRST: Final = 10_000
_LAST: Final = 19_999


def free_port() -> int:
    """An even loopback port that nobody has, nor the one above it, neither UDP nor TCP.

    Unlike one that the system chose, it is not given away before it is taken. SIP takes both kinds, and TLS one above;
    RTCP is one above RTP.
    """
    while True:
        port = _FIRST + 2 * secrets.randbelow((_LAST - _FIRST + 1) // 2)
        with contextlib.ExitStack() as probes:
            try:
                for number in (port, port + 1):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        probes.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", number))
            except OSError:
                continue
            return port
