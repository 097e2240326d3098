"""UDP ports for RTP: bound in turn, and left alone for a while after each call."""

import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

EXPEDITED: Final = 46 << 2  # DSCP EF for voice (RFC 4594, section 4.1)


@dataclass(frozen=True, slots=True)
class Config:
    """How the process is started. Ports are the first and the last; 0, 0 lets the system choose."""

    bind_ip: str
    first_port: int
    last_port: int
    drain_s: float
    lost_after_s: float
    most_streams: int


class Ports:
    """Even ports in turn; one that was used rests for a while, so that no late packet of its last call is heard."""

    def __init__(self, config: Config, start: float = 0.0) -> None:
        """`start` (0 up to 1, a die) is where in the range to begin: not with the ports used just before a restart."""
        self._config = config
        first = config.first_port + config.first_port % 2
        self._free = deque((port, 0.0) for port in range(first, config.last_port + 1, 2)) if first else None
        if self._free is not None:
            self._free.rotate(-int(start * len(self._free)))

    def bind(self, now: float) -> socket.socket | None:
        """A bound socket, or None when no port is free."""
        if self._free is None:
            return self._bound(0)
        for _ in range(len(self._free)):
            port, free_at = self._free[0]
            if free_at > now:
                return None
            self._free.popleft()
            bound = self._bound(port)
            if bound is not None:
                return bound
            self.rest(port, now)  # somebody else holds it
        return None

    def rest(self, port: int, now: float) -> None:
        """Take a port back."""
        if self._free is not None:
            self._free.append((port, now + self._config.drain_s))

    def _bound(self, port: int) -> socket.socket | None:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind((self._config.bind_ip, port))
        except OSError:
            udp.close()
            return None
        udp.setblocking(False)
        with suppress(OSError):  # a mark is a wish
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EXPEDITED)
        return udp
