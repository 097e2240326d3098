"""The reports of one stream as datagrams: whom they are taken from, when ours are due, and where they go."""

import math

from gateway.errors.media import BadRtp
from gateway.media import rtcp
from gateway.media.peer import Address, Peer
from gateway.media.receiver import Receiver
from gateway.media.reports import Reports
from gateway.media.sender import Sender


class ReportLine:
    """RTCP beside the audio of one stream.

    is_mux:      reports go over the port of the audio (RFC 5761), not over the one after it.
    reported_at: when the far end's last one came.
    """

    def __init__(self, reports: Reports, peer: Peer, sender: Sender, receiver: Receiver, unix_ahead_s: float) -> None:
        """unix_ahead_s: what the time since 1970 is ahead of `now`."""
        self.figures = reports
        self.is_mux = False
        self.foreign = self.bad = 0
        self.reported_at = -math.inf
        self._peer = peer
        self._sender = sender
        self._receiver = receiver
        self._unix_ahead_s = unix_ahead_s
        self._source: Address | None = None  # where the far end's came from

    def connect(self, *, rtcp_mux: bool) -> None:
        """The far end's SDP came. Where it has moved, its reports will come from somewhere else, too."""
        if self._peer.locked is None:
            self._source = None
        self.is_mux = rtcp_mux

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram. It must come from the host that audio is sent to, and stay with its first port."""
        remote, known = self._peer.remote, self._source
        if remote is None or source[0] != remote[0] or (known is not None and source != known):
            self.foreign += 1
            return
        try:
            compound = rtcp.parse(data)
        except BadRtp:
            self.bad += 1
            return
        self._source, self.reported_at = source, now
        self.figures.take(compound, self._ntp(now))

    def report(self, now: float, die: float) -> bytes | None:
        """Our report where it is due; send it to `remote`. `die` is 0 up to 1, for when the next one is."""
        due = self.figures.due
        if self._peer.remote is None or (due is not None and now < due):
            return None
        self.figures.schedule(now, die)
        return None if due is None else self._report(now)

    def goodbye(self, now: float) -> bytes | None:
        """Our last report, which says that we leave; None where nothing was ever sent."""
        return self._report(now, is_last=True) if self._sender.sent else None

    @property
    def remote(self) -> Address | None:
        """Where reports go: to where the far end's come from, else to the port after the audio's (or to it)."""
        audio = self._peer.remote
        if self._source is not None or audio is None:
            return self._source
        return audio if self.is_mux else (audio[0], audio[1] + 1)

    def _report(self, now: float, *, is_last: bool = False) -> bytes:
        sent = self._sender.so_far(now)
        return self.figures.build(self._ntp(now), sent, self._receiver.arrivals, is_last=is_last)

    def _ntp(self, now: float) -> int:
        return rtcp.ntp_time(now + self._unix_ahead_s)
