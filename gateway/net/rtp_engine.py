"""RTP for all calls, as the rest of the gateway sees it. The frames themselves are sent by processes of their own.

engine = RtpEngine("192.0.2.1", (20000, 29998), processes=2)
await engine.start()
stream = await engine.open()                     # stream.port goes into our SDP
stream.connect(ip, port, payload_type=0, event_payload_type=101)   # from the far end's
play_id = stream.play(engine.load(pcm))
async for event in stream.events(): ...          # Digit, Played, FirstPacket, Lost
stats = await stream.close()
"""

import asyncio
import itertools
import socket
from collections.abc import Callable
from typing import Final

from gateway.errors.media import MediaDown, MediaLimit
from gateway.net.rtp_keeper import Keeper
from gateway.net.rtp_library import AudioId, Library
from gateway.net.rtp_ports import EXPEDITED, Config
from gateway.net.rtp_stream import RtpStream

START_TIMEOUT_S: Final = 10.0


class RtpEngine:
    """The media processes and the streams in them. A process that dies, or hangs, takes its own streams only."""

    def __init__(
        self,
        bind_ip: str,
        port_range: tuple[int, int] | None,
        *,
        processes: int = 1,
        most_streams: int = 2000,
        drain_s: float = 5.0,
        lost_after_s: float = 30.0,
        dscp: int = EXPEDITED,
        on_end: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Nothing runs before `start`.

        bind_ip:      an IPv4 address of this machine, for all RTP sockets.
        port_range:   the first and the last port, of which the even ones are used; None lets the system choose.
        processes:    how many share the calls.
        most_streams: in each of them; more are refused with MediaLimit.
        drain_s:      how long a port rests between two calls.
        lost_after_s: a far end silent for so long is reported as Lost, `no_rtp`.
        dscp:         the mark on each packet, 0 to 63.
        on_end:       told of each process that ended by itself (`died`) or had to be killed (`hung`).
        """
        self._bind_ip = bind_ip
        self._library = Library()
        self._keepers = [
            Keeper(Config(bind_ip, first, last, drain_s, lost_after_s, most_streams, dscp), self._library, on_end)
            for first, last in _shares(port_range, processes)
        ]

    @property
    def restarts(self) -> int:
        """How often a process had to be started again."""
        return sum(keeper.restarts for keeper in self._keepers)

    @property
    def pids(self) -> list[int]:
        """Of the media processes that run."""
        return [keeper.pid for keeper in self._keepers if keeper.pid is not None]

    @property
    def streams(self) -> list[RtpStream]:
        """Those that are open."""
        return [stream for keeper in self._keepers for stream in keeper.streams.values()]

    async def start(self) -> None:
        """Start the processes. Raises: MediaDown, when the address cannot be bound or one does not come up."""
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((self._bind_ip, 0))
        except OSError as error:
            raise MediaDown(f"RTP cannot be bound to {self._bind_ip}: {error.strerror}") from error
        for keeper in self._keepers:
            keeper.start()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await asyncio.gather(*(keeper.ready.wait() for keeper in self._keepers))
        except TimeoutError as error:
            await self.stop()
            raise MediaDown("a media process did not start") from error
        except BaseException:
            await self.stop()
            raise

    async def ready(self) -> None:
        """Wait until streams can be opened: at once, save while the last process is replaced. Raises: MediaDown."""
        if all(keeper.is_down for keeper in self._keepers):
            raise MediaDown("no media process is running")
        waiting = [asyncio.create_task(keeper.ready.wait()) for keeper in self._keepers]
        done, left = await asyncio.wait(waiting, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        if not done:
            raise MediaDown("no media process did start")

    async def stop(self) -> None:
        """End the processes and all streams."""
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers))

    async def open(self, beside: RtpStream | None = None) -> RtpStream:
        """A stream with a port of its own, in the process that has the fewest.

        beside: a stream that this one is going to be joined with: in the same process.
        Raises: MediaLimit when no port is free; MediaDown.
        """
        if beside is not None:
            return await self._keeper_of(beside).open()
        if not any(keeper.ready.is_set() for keeper in self._keepers):
            await self.ready()
        for keeper in sorted(self._keepers, key=lambda each: len(each.streams)):
            if keeper.ready.is_set():
                try:
                    return await keeper.open()
                except MediaLimit:
                    continue
        raise MediaLimit("no RTP port is free")

    def _keeper_of(self, stream: RtpStream) -> Keeper:
        for keeper in self._keepers:
            if keeper.streams.get(stream.number) is stream:
                return keeper
        raise MediaDown("the media process of that stream is gone")

    def load(self, pcm: bytes) -> AudioId:
        """Hold a prompt (8 kHz PCM16) for all streams. The same audio has the same id, and is held until it was
        released as often as it was loaded. Raises: MediaLimit when 256 MB are held.
        """
        return self._library.load(pcm)

    def release(self, audio_id: AudioId) -> None:
        """Undo one `load`. What plays goes on playing."""
        self._library.release(audio_id)


def _shares(port_range: tuple[int, int] | None, processes: int) -> list[tuple[int, int]]:
    """Give each process a range of ports of its own, as (first, last); (0, 0) lets the system choose.

    Raises: ValueError where there are fewer even ports than processes.
    """
    if port_range is None:
        return [(0, 0)] * processes
    first, last = port_range
    even = [port for port in range(first + first % 2, last + 1, 2) if 0 < port <= 0xFFFF]
    if len(even) < processes or first <= 0 or last > 0xFFFF:
        raise ValueError(f"{port_range=} holds no even port for each of {processes}")
    bounds = [len(even) * index // processes for index in range(processes + 1)]
    return [(even[one], even[other - 1]) for one, other in itertools.pairwise(bounds)]
