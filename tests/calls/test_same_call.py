"""One plan, the same keys: over SIP and RTP, and over Twilio's webhooks, it is the same call."""

from dataclasses import replace
from typing import Any

from gateway.carriers.voice_base import TrunkRoad
from gateway.model.sender import Sender
from gateway.store import tenants

BY_TWILIO = "+18335550199"


async def test_the_same_keys_give_the_same_path_words_and_outcome_on_both_roads(calling: Any) -> None:
    """Confirms at once, on the second try, asks for the date, presses what means nothing, and opts out."""
    endings = ["0101", "0111", "0102", "0251", "0109"]
    calling.roads["live", "main"] = TrunkRoad(calling.trunk, 50.0, 10, 5)
    calling.roads["live", "twilio"] = replace(calling.roads["live", "twilio"], calls_per_second=50.0)
    other = Sender(BY_TWILIO, "acme", "toll_free", voice="twilio")
    await calling.database.write(lambda tx: tenants.put_sender(tx, other))
    over_sip = await calling.queue(*endings)
    over_twilio = await calling.queue(*endings, area="+1646555", sender=BY_TWILIO)
    await calling.start()

    for one, another in zip(over_sip, over_twilio, strict=True):
        sip = await calling.until_status(one, "completed", timeout_s=18)
        twilio = await calling.until_status(another, "completed", timeout_s=18)
        assert _what(sip) == _what(twilio)
        heard = zip(sip.prompts, twilio.prompts, strict=True)
        assert all(abs(here["seconds"] - there["seconds"]) < 0.5 for here, there in heard)


def _what(call: Any) -> tuple[Any, ...]:
    path = [visit["node"] for visit in call.path]
    return path, [prompt["text"] for prompt in call.prompts], call.outcome, call.keys, call.collected
