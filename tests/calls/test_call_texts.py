"""A plan that sends a text: it is a message like any other, there once, over every road."""

from typing import Any

from gateway.carriers.voice_base import TrunkRoad
from gateway.model.sender import Sender
from gateway.store import call_texts, lives, tenants
from gateway.store.database import Tx

BY_TWILIO = "+18335550199"
PLAN = """
name: link
language: en-US
start: link
variables: {name: {required: true}}
nodes:
  link: {send_sms: "{{ name }}: https://water.example/pay", next: bye}
  bye:  {say: "Goodbye.", then: hangup}
"""


async def test_a_text_of_a_plan_is_queued_once_on_both_roads(calling: Any) -> None:
    await calling.publish(PLAN, "link")
    calling.roads["live", "main"] = TrunkRoad(calling.trunk, 50.0, 10, 5)
    await calling.database.write(
        lambda tx: tenants.put_sender(tx, Sender(BY_TWILIO, "acme", "toll_free", voice="twilio"))
    )
    more = {"dialplan": "link", "dialplan_version": 1}
    (sip,) = await calling.queue("0101", **more)
    (twilio,) = await calling.queue("0101", area="+1646555", sender=BY_TWILIO, **more)
    await calling.start()

    for call_id in (sip, twilio):
        call = await calling.until_status(call_id, "completed")
        rows = await calling.database.read(texts)
        [text] = [row for row in rows if row["reference"] == call_id]
        assert (text["sender"], text["recipient"], text["body"]) == (
            call.sender,
            call.recipient,
            "Ana: https://water.example/pay",
        )
        assert (text["status"], text["segments"], text["reference"]) == ("queued", 1, call_id)


async def texts(tx: Tx) -> list[Any]:
    return await lives.page(tx, "messages", {"tenant_id": "acme", "mode": "live"}, before="", limit=10)


async def test_a_text_that_cannot_be_one_is_left_out(calling: Any) -> None:
    (call_id,) = await calling.queue("0101")
    call = await calling.call(call_id)

    assert call_texts.text_of(call, " ", 1) is None
    assert call_texts.text_of(call, "x" * 1601, 1) is None
