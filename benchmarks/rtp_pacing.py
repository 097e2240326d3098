"""How evenly the media engine alone sends to 100, 250, 500 and 1,000 calls, with all of them talking and pressing keys.

    python benchmarks/rtp_pacing.py [--streams 100 250 500 1000] [--seconds 10] [--processes 1] [--pyvoip 10 50 100]

The far end is a process in C (`parts/far_end.c`; skipped where the machine has no compiler). It talks on each call
every 20 ms, presses four keys, and notes the kernel's own time of arrival of each packet: a frame is late when it came
more than 30 ms after the one before it in its call. Each call plays one shared prompt. `cpu_share` is of one core, all
media processes together; `kb_a_call` is what their memory grew by, from before the first call.
`far_end.own_late_share` tells whether the judge itself was held up: then the machine was busy, and the figures say
little. Beside it, pyVoIP's media (its RTP client, two threads a call) facing the same far end. One JSON line.
"""

import argparse
import asyncio
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from parts.far_end import FarEnd, compiler, more_files

from gateway.media import g711
from gateway.media.events import Digit
from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_stream import RtpStream

HERE = "127.0.0.1"
MARK = 0.01  # of the frames late
KEYS = "159#"
PYVOIP = Path(__file__).parent / "parts" / "pyvoip_media.py"


class Meter:
    """What some processes took since it was made."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.processes = [psutil.Process(pid) for pid in pids]
        self.start, self.before_s = time.monotonic(), self.cpu_s()

    def cpu_s(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def memory_kb(self) -> float:
        return sum(process.memory_info().rss for process in self.processes) / 1024

    def cpu_share(self) -> float:
        return round((self.cpu_s() - self.before_s) / (time.monotonic() - self.start), 3)


async def engine(streams: int, seconds: float, processes: int) -> dict[str, Any]:
    """The engine facing the far end."""
    far = await FarEnd.started(streams)
    media = RtpEngine(HERE, None, processes=processes)
    await media.start()
    empty_kb = Meter(media.pids).memory_kb()
    noise = np.random.default_rng(1).normal(0, 3000, round(2 * seconds) * g711.RATE_HZ)
    prompt = media.load(noise.astype(np.int16).tobytes())
    calls = [await media.open() for _ in far.ports]
    for number, (call, port) in enumerate(zip(calls, far.ports, strict=True)):
        call.connect(HERE, port, payload_type=0, event_payload_type=101)
        call.play(prompt)
        far.start(number, call.port, KEYS)
    meter = Meter(media.pids)
    await asyncio.sleep(seconds)
    row = {"cpu_share": meter.cpu_share(), "kb_a_call": round((meter.memory_kb() - empty_kb) / streams, 1)}
    seen = await far.seen()
    stats = [await call.close() for call in calls]
    right = [await keys_of(call) == KEYS for call in calls]
    await media.stop()
    row |= {"keys_right_share": round(sum(right) / streams, 5), "lost_by_engine": sum(each.lost for each in stats)}
    return {"streams": streams, **seen, **row}


async def keys_of(call: RtpStream) -> str:
    """What a closed stream heard."""
    return "".join([event.digit async for event in call.events() if isinstance(event, Digit)])


async def pyvoip(streams: int, seconds: float) -> dict[str, Any]:
    """The same of pyVoIP's media."""
    far = await FarEnd.started(streams)
    pipe = asyncio.subprocess.PIPE
    words = (sys.executable, str(PYVOIP), *map(str, far.ports))
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    for number, port in enumerate(json.loads(await process.stdout.readline())):
        far.start(number, port, KEYS)
    meter = Meter([process.pid])
    await asyncio.sleep(seconds)
    row = {"cpu_share": meter.cpu_share(), "kb_a_call": round(meter.memory_kb() / streams, 1)}
    seen = await far.seen()
    out, _ = await process.communicate(b"")
    right = sum(keys == KEYS for keys in json.loads(out))
    return {"streams": streams, **seen, **row, "keys_right_share": round(right / streams, 5)}


async def measured(given: argparse.Namespace) -> dict[str, Any]:
    """One size after the other."""
    rows = [await engine(streams, given.seconds, given.processes) for streams in given.streams]
    line = {"benchmark": "rtp_pacing", "seconds": given.seconds, "processes": given.processes, "mark_late_share": MARK}
    is_ok = all(row["late_share"] <= MARK and row["keys_right_share"] == 1 for row in rows)
    peers: Any = "not installed"
    if importlib.util.find_spec("pyVoIP"):
        peers = [await pyvoip(streams, given.seconds) for streams in given.pyvoip]
    return {**line, "ok": is_ok, "rows": rows, "pyvoip": peers}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--streams", type=int, nargs="*", default=[100, 250, 500, 1000])
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--processes", type=int, default=1)
    arguments.add_argument("--pyvoip", type=int, nargs="*", default=[10, 50, 100])
    given = arguments.parse_args()
    if compiler() is None:
        print(json.dumps({"benchmark": "rtp_pacing", "skipped": "no C compiler on this machine"}))
        return
    more_files()
    print(json.dumps(asyncio.run(measured(given))))


if __name__ == "__main__":
    main()
