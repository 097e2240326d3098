"""One call in the media process: its two sockets and its session."""

from dataclasses import dataclass, replace
from typing import Final

from gateway.media.events import Stats
from gateway.media.session import Session
from gateway.net.rtp_ports import Pair
from gateway.net.rtp_srtp import Cipher

MOST_DATAGRAM: Final = 2048


@dataclass(slots=True, eq=False)
class Line:
    """One call's sockets and session, and the phase in which it sends."""

    number: int
    pair: Pair
    session: Session
    phase: int
    unsent: int = 0
    forged: int = 0  # packets that were not signed with the far end's key
    cipher: Cipher | None = None

    def encrypt(self, told: dict[str, str] | None) -> None:
        """Encrypt from now on, or not; the same keys again go on where they are."""
        if told is None:
            self.cipher = None
        elif self.cipher is None or self.cipher.told != told:
            self.cipher = Cipher(told)

    def send(self, now: float) -> None:
        """Send what is due."""
        remote = self.session.remote
        if remote is None:
            return
        for packet in self.session.to_send(now):
            try:
                self.pair.audio.sendto(packet if self.cipher is None else self.cipher.protect(packet), remote)
            except OSError:
                self.unsent += 1

    def receive(self, now: float) -> None:
        """Take one datagram of audio, if one is there."""
        try:
            data, source = self.pair.audio.recvfrom(MOST_DATAGRAM)
        except OSError:
            return
        if clear := self._clear(data):
            self.session.receive(clear, source, now)

    def receive_report(self, now: float) -> None:
        """Take one datagram of the far end's reports, if one is there."""
        try:
            data, source = self.pair.reports.recvfrom(MOST_DATAGRAM)
        except OSError:
            return
        if clear := self._clear(data):
            self.session.reports.receive(clear, source, now)

    def report(self, now: float, die: float) -> None:
        """Send our report where it is due."""
        self._send_report(self.session.reports.report(now, die))

    def close(self, now: float) -> Stats:
        """Say goodbye, give the ports back; returns the session's counters, less what the system would not send."""
        self._send_report(self.session.reports.goodbye(now))
        self.pair.close()
        seen = self.session.stats()
        return replace(seen, sent=seen.sent - self.unsent, unsent=self.unsent, bad=seen.bad + self.forged)

    def _clear(self, data: bytes) -> bytes:
        """Decrypt what came where that was agreed; nothing where it is forged."""
        if self.cipher is None:
            return data
        clear = self.cipher.unprotect(data)
        self.forged += not clear
        return clear

    def _send_report(self, data: bytes | None) -> None:
        remote = self.session.reports.remote
        if data is None or remote is None or remote[1] > 0xFFFF:
            return
        if self.cipher is not None:
            data = self.cipher.protect(data)
        try:
            (self.pair.audio if self.session.reports.is_mux else self.pair.reports).sendto(data, remote)
        except OSError:
            return  # the next one says the same, and more
