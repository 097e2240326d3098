"""A call over Twilio between two webhooks: what is kept of it, and how that is written. `twiml` moves it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gateway.voice import engine
from gateway.voice.dialplan import Plan
from gateway.voice.state import State, from_dict, to_dict

Closing = Literal["gather", "redirect", "transfer", "record", "hangup"]


@dataclass(frozen=True, slots=True)
class Handed:
    """A prompt Twilio was given, and when it will have been heard to its end (epoch seconds)."""

    token: int
    ends_at: float


@dataclass(frozen=True, slots=True)
class TwilioCall:
    """One call between two webhooks.

    step:    the number the next webhook must carry.
    handed:  prompts of the last answer.
    closing: how the last answer ended.
    answer:  the last answer itself, for a webhook that is repeated.
    """

    state: State
    step: int = 0
    handed: tuple[Handed, ...] = ()
    closing: Closing = "redirect"
    answer: str = ""


def begin(plan: Plan, variables: Mapping[str, str]) -> TwilioCall:
    """A call that is about to be made, or that came in. Its first webhook carries step 0. Raises BadVariables."""
    return TwilioCall(engine.start(plan, variables))


def to_json(call: TwilioCall) -> str:
    """`call` without its plan, as JSON."""
    plain = {name: getattr(call, name) for name in ("step", "closing", "answer")}
    handed = [asdict(one) for one in call.handed]
    return json.dumps({**plain, "handed": handed, "state": to_dict(call.state)})


def from_json(plan: Plan, text: str) -> TwilioCall:
    """The call that `to_json` wrote, with the plan it was made with.

    Raises: ValueError, TypeError or KeyError if the text is not from `to_json`.
    """
    plain: dict[str, Any] = json.loads(text)
    state = from_dict(plan, plain.pop("state"))
    handed = tuple(Handed(**one) for one in plain.pop("handed"))
    return TwilioCall(state, handed=handed, **plain)
