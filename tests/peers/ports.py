"""Ports for processes that must keep theirs over a restart, or be known before they run."""

import secrets
import socket
from typing import Final

# Below what systems give to whoever asks for any port, so that nobody gets it meanwhile.
_FIRST: Final = 10_000
_LAST: Final = 19_999


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A loopback port that nobody has. Unlike one that the system chose, it is not given away before it is taken."""
    while True:
        port = _FIRST + secrets.randbelow(_LAST - _FIRST + 1)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
