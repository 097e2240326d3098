"""What the far end's sequence numbers and timestamps say of the network: losses, jitter (RFC 3550, appendices A)."""

from typing import Final

from gateway.media import g711
from gateway.media.rtp import SEQUENCES

DROPOUT: Final = 3000  # a jump in sequence numbers beyond this is a restart (appendix A.1)
_SMOOTHING: Final = 16  # appendix A.8


class Arrivals:
    """The packets of one source, as they come. A new SSRC, or a restart of its numbers, begins a new count.

    lost:   missing and not come late, of all sources so far.
    jitter: in ticks, as reports carry it.
    """

    def __init__(self) -> None:
        self.ssrc: int | None = None
        self.lost = 0
        self.jitter = 0.0
        self._first = self._highest = 0  # sequence numbers; the highest with its cycles
        self._received = 0
        self._reported = (0, 0)  # expected and received, as of the last report
        self._transit = 0.0  # of the last packet, in ticks from nowhere in particular

    def add(self, ssrc: int, sequence: int, timestamp: int, now: float) -> bool:
        """Count one packet; whether it is the one that follows the highest before.

        Telephone events carry the time of their press: see `add_event`.
        """
        transit = now * g711.RATE_HZ - timestamp
        difference = abs(transit - self._transit)
        self._transit = transit
        if difference < g711.RATE_HZ:  # else a circle was gone round, or this is another source's first
            self.jitter += (difference - self.jitter) / _SMOOTHING
        return self.add_event(ssrc, sequence)

    def add_event(self, ssrc: int, sequence: int) -> bool:
        """Count one packet by its number alone; returns as `add`."""
        ahead = (sequence - self._highest) % SEQUENCES
        if ahead == 1 and ssrc == self.ssrc:
            self._highest += 1
            self._received += 1
            return True
        if ssrc != self.ssrc:
            self._begin(ssrc, sequence)
        elif ahead < DROPOUT:
            self.lost += max(0, ahead - 1)
            self._highest += ahead
        elif SEQUENCES - ahead < DROPOUT:  # late: it was counted as lost when it was overtaken
            self.lost -= self.lost > 0
        else:
            self._begin(ssrc, sequence)
        self._received += 1
        return False

    def _begin(self, ssrc: int, sequence: int) -> None:
        if ssrc != self.ssrc:
            self.jitter = 0.0
        self.ssrc, self._first, self._highest = ssrc, sequence, sequence
        self._received, self._reported = 0, (0, 0)

    @property
    def highest(self) -> int:
        """The highest sequence number with its cycles: 32 bits of a report."""
        return self._highest % (1 << 32)

    def report(self) -> tuple[int, int]:
        """The share lost since the last report, in 256ths, and the packets lost in all (24 bits, may be negative)."""
        expected = self._highest - self._first + 1
        lately = (expected - self._reported[0], self._received - self._reported[1])
        self._reported = (expected, self._received)
        lost = lately[0] - lately[1]
        share = min(255, (lost << 8) // lately[0]) if lost > 0 and lately[0] > 0 else 0
        return share, max(-0x800000, min(0x7FFFFF, expected - self._received))
