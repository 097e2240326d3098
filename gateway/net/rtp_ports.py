"""UDP ports for RTP: bound in turn, and left alone for a while after each call."""

import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

EXPEDITED: Final = 46  # DSCP EF for voice (RFC 4594, section 4.1)
_LAST_PORT: Final = 0xFFFF
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Config:
    """How the process is started. Ports are the first and the last; 0, 0 lets the system choose. `dscp` is the mark."""

    bind_ip: str
    first_port: int
    last_port: int
    drain_s: float
    lost_after_s: float
    most_streams: int
    dscp: int = EXPEDITED


@dataclass(frozen=True, slots=True)
class Pair:
    """The sockets of one call: audio, and reports on the port after it (RFC 3550, section 11)."""

    audio: socket.socket
    reports: socket.socket

    def close(self) -> None:
        """Give both ports back."""
        self.audio.close()
        self.reports.close()


class Ports:
    """Even ports in turn; one that was used rests for a while, so that no late packet of its last call is heard."""

    def __init__(self, config: Config, start: float = 0.0) -> None:
        """`start` (0 up to 1, a die) is where in the range to begin: not with the ports used just before a restart."""
        self._config = config
        first = config.first_port + config.first_port % 2
        self._free = deque((port, 0.0) for port in range(first, config.last_port + 1, 2)) if first else None
        if self._free is not None:
            self._free.rotate(-int(start * len(self._free)))

    def bind(self, now: float) -> "Pair | None":
        """Two bound sockets, or None when no port is free."""
        if self._free is None:
            return self._any_pair()
        for _ in range(len(self._free)):
            port, free_at = self._free[0]
            if free_at > now:
                return None
            self._free.popleft()
            pair = self._pair(port)
            if pair is not None:
                return pair
            self.rest(port, now)  # somebody else holds it
        return None

    def _any_pair(self) -> "Pair | None":
        """Ports that the system chooses."""
        for _ in range(_TRIES):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((self._config.bind_ip, 0))
                port = probe.getsockname()[1]
            pair = self._pair(port)
            if pair is not None:
                return pair
        return None

    def _pair(self, port: int) -> "Pair | None":
        audio = self._bound(port)
        if audio is None:
            return None
        reports = self._bound(port + 1) if port < _LAST_PORT else None
        if reports is None:
            audio.close()
            return None
        return Pair(audio, reports)

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
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self._config.dscp << 2)
        return udp
