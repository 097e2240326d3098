"""The TwiML that a question, a transfer, a recording and what is played are written as. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from twilio.twiml.voice_response import Gather, VoiceResponse

from gateway.voice.dialplan import AskNode, MenuNode, Pause, Play, RecordNode, Say
from gateway.voice.state import Transfer

_HEADERS: Final = 1024  # characters


@dataclass(frozen=True, slots=True)
class Clip:
    """Rendered audio that Twilio can fetch: a signed URL, and how long it lasts in seconds."""

    url: str
    seconds: float


def gather(question: AskNode, action: str) -> Gather:
    """A <Gather> that ends as the question does, and comes back on silence too.

    Twilio has one patience, for the first key and between keys, in whole seconds; and without `finishOnKey` it
    would swallow every "#".
    """
    fixed = {"input": "dtmf", "action": action, "method": "POST", "action_on_empty_result": True}
    if isinstance(question, MenuNode):
        return Gather(num_digits=1, timeout=math.ceil(question.timeout), finish_on_key="", **fixed)
    patience = math.ceil(max(question.timeout, question.gap))
    finish_key = question.finish_key or ""
    return Gather(num_digits=question.max_digits, timeout=patience, finish_on_key=finish_key, **fixed)


def dial(response: VoiceResponse, wanted: Transfer, action: str) -> None:
    """A <Dial> whose result comes to `action`. A plain number takes no headers with it; a SIP address does.

    Source: Twilio, TwiML <Sip>, "Custom headers": as the URI's own, in all at most 1,024 characters.
    """
    placed = response.dial(action=action, method="POST", timeout=math.ceil(wanted.ring_s))
    if not wanted.is_address:
        placed.number(wanted.to)
        return
    pairs, room = [], _HEADERS
    for name, value in wanted.headers.items():
        pair = f"{name}={quote(value, safe='')}"
        if len(pair) < room:  # and one for what joins them
            pairs.append(pair)
            room -= len(pair) + 1
    placed.sip("?".join([wanted.to, "&".join(pairs)]) if pairs else wanted.to)


def record(response: VoiceResponse, node: RecordNode, action: str) -> None:
    """A <Record> that ends as the node does, after a tone. Without `finishOnKey` any key would end it."""
    response.record(
        action=action,
        method="POST",
        max_length=math.ceil(node.max_seconds),
        timeout=math.ceil(node.silence),
        finish_on_key=node.finish_key or "",
        play_beep=True,
        trim="do-not-trim",
    )


def append(verb: VoiceResponse | Gather, part: Say | Play | Pause, clip: Callable[[Say | Play], Clip]) -> float:
    """Add one part; returns its seconds. Twilio pauses for whole seconds only, so a pause is rounded up."""
    if isinstance(part, Pause):
        verb.pause(length=math.ceil(part.seconds))
        return float(math.ceil(part.seconds))
    rendered = clip(part)
    verb.play(rendered.url)
    return rendered.seconds
