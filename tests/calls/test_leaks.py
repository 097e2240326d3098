"""Calls in a row leave nothing behind: no dialog, transaction, port, task or file, and no memory worth the name.

300 calls here; GATEWAY_CALLS_IN_A_ROW=10000 for the nightly form.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

CALLS = int(os.environ.get("GATEWAY_CALLS_IN_A_ROW", "300"))
MOST_GROWN_KB = 1024 + CALLS // 2  # 0.5 kB a call was seen


async def test_calls_in_a_row_leave_nothing_behind() -> None:
    """Busy, cancelled, declined, hung up by either side, with a lost BYE or useless media: each ends as it should."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.calls.in_a_row", str(CALLS)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    out, _ = await process.communicate()
    seen = json.loads(out)

    assert process.returncode == 0
    assert seen["after"] == seen["before"]
    assert seen["grown_kb"] < MOST_GROWN_KB
