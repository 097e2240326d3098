"""A loop that one process at a time may run: who has the turn, and who has it next."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from gateway.store.database import Database


async def within(seconds: float, check: Callable[[], Any]) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)


async def test_a_loop_runs_in_one_process_at_a_time_and_the_next_takes_over(shared: tuple[Database, Database]) -> None:
    running: list[str] = []

    async def loop(name: str) -> None:
        running.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            running.remove(name)

    async def runs(*names: str) -> bool:
        return running == list(names)

    first = asyncio.create_task(shared[0].alone("sweep", lambda: loop("first")))
    await within(5, lambda: runs("first"))
    second = asyncio.create_task(shared[1].alone("sweep", lambda: loop("second")))
    other = asyncio.create_task(shared[1].alone("count", lambda: loop("other")))
    await within(5, lambda: runs("first", "other"))
    first.cancel()
    await within(5, lambda: runs("other", "second"))

    for task in (second, other):
        task.cancel()
    await asyncio.gather(first, second, other, return_exceptions=True)


async def test_a_loop_whose_connection_breaks_is_ended_and_begun_by_who_has_the_turn(
    postgres_url: str, shared: tuple[Database, Database]
) -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def loop(name: str) -> None:
        begun.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def begun_again() -> bool:
        return len(begun) == 2

    tasks = [asyncio.create_task(shared[0].alone("sweep", lambda: loop("first")))]
    async with asyncio.timeout(5):
        while not begun:
            await asyncio.sleep(0.02)
    tasks.append(asyncio.create_task(shared[1].alone("sweep", lambda: loop("second"))))
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    await connection.close()
    await within(10, begun_again)

    async def ended_once() -> bool:
        return ended == ["first"]

    await within(2, ended_once)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
