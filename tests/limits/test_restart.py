"""A Valkey that is killed and comes back: noticed, and the caps hold."""

import os
import signal
from pathlib import Path

import pytest

from gateway.errors.limits import RedisAway
from gateway.limits.gate import Gate
from gateway.limits.valkey import EmbeddedValkey
from gateway.model.limit import Cap, Granted, Refused, UsageRow

DAY = Cap("day", 10, "day", "Etc/GMT+8")


@pytest.mark.parametrize("forgets", [False, True], ids=["with its file", "with its file lost"])
async def test_a_killed_server_grants_nothing_until_rebuilt_and_no_cap_is_passed(tmp_path: Path, forgets: bool) -> None:
    server = EmbeddedValkey(tmp_path)
    gate = Gate.connect(await server.start())
    await gate.rebuild([], 1, last_slot_us=0)
    answer = await gate.take([DAY], [4])
    assert isinstance(answer, Granted)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.stop()
    with pytest.raises(RedisAway):
        await gate.take([DAY], [1])

    if forgets:
        for file in (tmp_path / "appendonlydir").iterdir():
            file.unlink()
    await server.start()
    assert await gate.take([DAY], [1]) == Refused("rebuild")
    rows = [UsageRow("day", debit.window_start_us, debit.units, answer.seq) for debit in answer.slots[0].debits]
    await gate.rebuild(rows, 2)
    assert isinstance(await gate.take([DAY], [6]), Granted)
    full = await gate.take([DAY], [1])
    assert isinstance(full, Refused)
    assert full.reason == "cap_day"
    await gate.aclose()
    await server.stop()
