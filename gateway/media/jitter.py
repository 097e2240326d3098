"""A small buffer that puts what is heard in order: late and doubled packets left out, losses filled with silence."""

from typing import Final

from gateway.media.rtp import TIMESTAMPS, timestamp_distance

PATIENCE_TICKS: Final = 480  # 60 ms: how far others may be ahead of a packet that is waited for
MOST_SILENCE_TICKS: Final = 480  # a longer gap (silence suppression, a restart) is told by as much
RESTART_TICKS: Final = 4000  # a packet further back than half a second is no late one: its clock was set anew


class JitterBuffer:
    """Orders one far end's audio by its RTP timestamps.

    In a stream without faults nothing is held back: what comes in goes out. A gap is waited out for 60 ms of later
    audio, and not at all where the sequence numbers say that nothing is missing: then the far end was silent, and did
    not send. Silence of the far end's own making is not filled beyond 60 ms; who listens by the clock does that.
    """

    def __init__(self) -> None:
        self.unused = 0  # packets that came too late, or twice
        self._ssrc: int | None = None
        self._next = 0  # the timestamp that is awaited
        self._held: dict[int, bytes] = {}

    def add(self, ssrc: int, timestamp: int, pcm: bytes, *, follows: bool) -> bytes:
        """Take one packet's audio; returns what is in order by now, PCM16 as it was given, maybe nothing.

        follows: whether its sequence number is the one after the highest before.
        """
        if ssrc != self._ssrc:
            self._ssrc, self._next, before = ssrc, timestamp, self._release(wait=False)
            return before + self.add(ssrc, timestamp, pcm, follows=True)
        ahead = timestamp_distance(timestamp, self._next)
        if ahead == 0 and not self._held:
            self._next = (timestamp + len(pcm) // 2) % TIMESTAMPS
            return pcm
        if ahead < -RESTART_TICKS:
            before, self._next = self._release(wait=False), timestamp
            return before + self.add(ssrc, timestamp, pcm, follows=True)
        if ahead < 0 or timestamp in self._held:
            self.unused += 1
            return b""
        self._held[timestamp] = pcm
        return self._release(wait=not follows or len(self._held) > 1)

    def _release(self, *, wait: bool) -> bytes:
        """What is held and may go: all of it, or (`wait`) what nothing is missing before."""
        out = []
        for timestamp in sorted(self._held, key=lambda held: timestamp_distance(held, self._next)):
            gap = timestamp_distance(timestamp, self._next)
            if gap > 0 and wait and self._newest() <= PATIENCE_TICKS:
                break
            pcm = self._held.pop(timestamp)
            out += [bytes(2 * min(max(gap, 0), MOST_SILENCE_TICKS)), pcm[2 * max(-gap, 0) :]]
            self._next = (timestamp + len(pcm) // 2) % TIMESTAMPS
        return b"".join(out)

    def _newest(self) -> int:
        """How far the newest that is held reaches beyond what is awaited, in ticks."""
        return max(timestamp_distance(at, self._next) + len(pcm) // 2 for at, pcm in self._held.items())
