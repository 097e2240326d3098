"""Waking at a microsecond, by a timer of the kernel's."""

import asyncio
import errno
import sys
from pathlib import Path
from statistics import median

import pytest

from gateway.workers.alarm import Alarm
from gateway.workers.slots import now_us, sleep_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="timerfd_create(2) is Linux's")


async def test_who_waits_is_woken_in_the_order_of_the_times_and_never_before_them() -> None:
    alarm, begun, woken = Alarm(), now_us(), list[tuple[int, int]]()

    async def wait(after_us: int) -> None:
        await alarm.until(begun + after_us)
        woken.append((after_us, now_us() - begun))

    await asyncio.gather(*(wait(after) for after in (30_300, 10_100, 20_200, 10_100, 40_700)))

    assert [after for after, _ in woken] == [10_100, 10_100, 20_200, 30_300, 40_700]
    assert all(at >= after for after, at in woken)


async def test_who_finds_no_descriptor_left_is_told_and_keeps_nobody_else_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alarm = Alarm()

    def none_left() -> int:
        raise OSError(errno.EMFILE, "timerfd_create")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.workers.alarm._create", none_left)
        with pytest.raises(OSError, match="timerfd"):
            await alarm.until(now_us() + 1_000)

    async with asyncio.timeout(1):
        await alarm.until(now_us() + 2_000)


async def test_half_a_millisecond_is_half_a_millisecond() -> None:
    """By the median of 101: any one of them may have had to wait for a core."""
    took = list[int]()
    for _ in range(101):
        begun = now_us()
        await sleep_until(begun + 500)
        took.append(now_us() - begun)

    assert min(took) >= 500
    assert median(took) < 1_000


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_who_is_cancelled_holds_up_nobody_and_no_descriptor_stays_open() -> None:
    alarm = Alarm()
    before = descriptors()
    first, second = (asyncio.create_task(alarm.until(now_us() + after)) for after in (20_000, 40_000))
    await asyncio.sleep(0)
    assert descriptors() == before + 1
    first.cancel()
    await second
    assert first.cancelled()

    third = asyncio.create_task(alarm.until(now_us() + 10_000_000))
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.wait([third])
    assert descriptors() == before
