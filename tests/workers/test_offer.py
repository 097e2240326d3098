"""One text on its way out."""

import time
from typing import Any

from gateway.clock import now_ms
from gateway.metrics import Metrics
from gateway.model.limit import Slot, Throughput
from gateway.model.message import Message
from gateway.workers.offer import Offer
from gateway.workers.plan import Plan
from gateway.workers.slots import now_us

RATE = Throughput("sender:+18005550199:rate", 10, 1_000_000)
LOST_MS = 200


async def test_a_core_that_is_lost_after_the_write_makes_the_stamp_of_the_text_no_later() -> None:
    """Texts after it keep away from the write, not from when its core came back: a later stamp would call that too near."""
    plan = Plan[Message]()
    (planned,) = plan.enter([Message("m1", "acme", "live", "+18005550199", "+12125551234", "Hi", "gsm7", 1)])
    plan.redis_clock.observe(time.time_ns() // 1000, now_us(), now_us())

    def is_kept_from_its_core(*_: Any) -> None:
        time.sleep(LOST_MS / 1000)

    slot = Slot(time.time_ns() // 1000, 1, (), (RATE,))
    offer = Offer(planned, slot, plan, [plan.clock(RATE)], Metrics(), lambda: "", is_kept_from_its_core)
    assert await offer.ready()
    offer.on_written()

    assert offer.written_ms is not None
    assert now_ms() - offer.written_ms >= LOST_MS
