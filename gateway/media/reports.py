"""The reports of one stream: when ours are due, what is in them, and what the far end's say of us."""

from typing import Final

from gateway.media import g711, rtcp
from gateway.media.arrivals import Arrivals
from gateway.media.rtcp import Block, Compound, Sending

LONGEST_TRIP_MS: Final = 60_000.0  # beyond it the far end's figures are wrong


class Reports:
    """RTCP of one stream, both ways (RFC 3550, sections 6.3 and 6.4).

    far_lost, far_jitter_ms, round_trip_ms: what the far end says of what we send; None until it has.
    """

    def __init__(self, ssrc: int, cname: str) -> None:
        self.due: float | None = None
        self.far_lost: int | None = None
        self.far_jitter_ms: float | None = None
        self.round_trip_ms: float | None = None
        self.has_left = False  # the far end said goodbye
        self._ssrc, self._cname = ssrc, cname
        self._heard: tuple[int, int] | None = None  # the newest SR: its NTP time, middle bits, and when it came

    def schedule(self, now: float, die: float) -> None:
        """Let the next report be due. `die` is 0 up to 1; intervals are 2.5 to 7.5 s."""
        self.due = now + rtcp.INTERVAL_S * (0.5 + die)

    def build(self, ntp: int, sent: tuple[int, int, int], arrivals: Arrivals, *, is_last: bool = False) -> bytes:
        """Our report. `ntp` is now; `sent` our RTP timestamp of now, and the packets and payload octets sent so far."""
        block = None
        if arrivals.ssrc is not None:
            share, lost = arrivals.report()
            last, came = self._heard or (0, 0)
            delay = (rtcp.middle(ntp) - came) & 0xFFFF_FFFF if self._heard else 0
            block = Block(arrivals.ssrc, share, lost, arrivals.highest, int(arrivals.jitter), last, delay)
        sending = Sending(ntp, *sent) if sent[1] else None
        return rtcp.build(self._ssrc, self._cname, sending, block, is_last=is_last)

    def take(self, compound: Compound, ntp: int) -> None:
        """What the far end reports. `ntp` is now."""
        now = rtcp.middle(ntp)
        if compound.sending is not None:
            self._heard = rtcp.middle(compound.sending.ntp), now
        self.has_left = self.has_left or bool(compound.left)
        for block in compound.blocks:
            if block.ssrc != self._ssrc:
                continue
            self.far_lost = block.lost
            self.far_jitter_ms = block.jitter * 1000 / g711.RATE_HZ
            trip_ms = (now - block.last_report - block.delay & 0xFFFF_FFFF) * 1000 / 65_536
            if block.last_report and trip_ms < LONGEST_TRIP_MS:
                self.round_trip_ms = round(trip_ms, 3)
