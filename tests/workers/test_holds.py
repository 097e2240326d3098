"""What a sender's loop writes of texts that may not leave concerns those that are still queued."""

from typing import Any

import pytest

from gateway.sms.pipeline import Hold, Reject
from gateway.workers.holds import Holds


@pytest.mark.parametrize("decision", [Reject("expired", "expired"), Hold("quiet_hours", None)])
async def test_who_was_stopped_since_it_read_a_text_does_not_end_one_that_another_has_sent(
    sending: Any, decision: Hold | Reject
) -> None:
    (sent,) = await sending.queue("1001", status="sent")
    holds = Holds("messages", "+18005550199", "live", sending.database, sending.signals, sending.counters)
    await holds.act({decision: [sent]})

    assert (await sending.message(sent)).status == "sent"
