"""The same engine, driven by Twilio's voice webhooks: form fields in, TwiML out.

Twilio asks what to do next and goes away; the call lives in a `TwilioCall` between two webhooks. One webhook is two
steps, so that audio can be rendered in between without this room waiting for anything:

    turn = receive(call, step, form, now=…)       # the engine has moved; turn.commands may hold an OptOut
    …render every part of turn.parts…
    call, xml = reply(turn, clip=…, action=…, now=…)   # keep `call`, answer `xml`

Each answer carries the number of the next step in its URL. A webhook of an older step is a repeat: it gets the same
answer and moves nothing. Times are epoch seconds, since a call may move between processes.

Spoken nodes that follow each other are handed over in one answer, and a question's prompt with them, nested in its
<Gather>, so that a key interrupts any of it as it does on our own trunks. What was heard of them is worked out from
the clips' lengths when the next webhook, or the end of the call, comes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from twilio.twiml.voice_response import VoiceResponse

from gateway.voice import engine
from gateway.voice.dialplan import (
    HANGUP,
    KEYS,
    AskNode,
    CollectNode,
    MenuNode,
    Pause,
    Play,
    RecordNode,
    Say,
    SpeakNode,
    TransferNode,
    WaitNode,
)
from gateway.voice.state import (
    Answered,
    AnsweredBy,
    Command,
    Elapsed,
    Event,
    HungUp,
    OptOut,
    Pressed,
    PromptEnded,
    Recorded,
    SendSms,
    Speak,
    State,
    TransferFailed,
    Transferred,
)
from gateway.voice.twilio_call import Closing, Handed, TwilioCall
from gateway.voice.twiml_verbs import Clip, append, dial, gather, record
from gateway.voice.ways import listening

_DIAL_FAILED: Final = {"busy": "busy", "no-answer": "no_answer"}
_ANSWERED_BY: Final[Mapping[str, AnsweredBy]] = {
    "human": "human",
    "machine_start": "machine",
    "machine_end_beep": "machine",
    "machine_end_silence": "machine",
    "machine_end_other": "machine",
    "fax": "machine",
}
"""Twilio's AnsweredBy. Anything else, and none at all, is unknown."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one webhook led to, before it is answered."""

    call: TwilioCall
    commands: tuple[Command, ...] = ()  # the OptOuts among them are the caller's to record
    prompts: tuple[Speak, ...] = ()  # to be handed over, in order
    closing: Closing = "hangup"
    question: AskNode | None = None  # the one a gather is for
    wait: WaitNode | None = None  # the transfer or recording that follows the prompts
    is_repeat: bool = False

    @property
    def parts(self) -> tuple[Say | Play, ...]:
        """Everything that must be rendered before `reply`."""
        every = (part for prompt in self.prompts for part in prompt.parts)
        return tuple(dict.fromkeys(part for part in every if not isinstance(part, Pause)))

    @property
    def texts(self) -> tuple[SendSms, ...]:
        """Texts to hand over before the answer is given."""
        return tuple(command for command in self.commands if isinstance(command, SendSms))

    @property
    def opt_outs(self) -> tuple[OptOut, ...]:
        """Opt-outs to record before the answer is given."""
        return tuple(command for command in self.commands if isinstance(command, OptOut))


def receive(call: TwilioCall, step: int, form: Mapping[str, str], *, now: float) -> Turn:
    """Move a call by one webhook.

    step:    the number in the URL Twilio called.
    form:    its fields; the signature is checked, the call is the right one.
    Returns: what to record and render; then call `reply`.
    """
    if step != call.step:
        return Turn(call, is_repeat=True)
    if call.state.answered_by is None:
        by = _ANSWERED_BY.get(form.get("AnsweredBy", ""), "unknown")
        state, commands = engine.step(call.state, Answered(by), now)
    else:
        state, commands = _catch_up(call, form, now)
    return _look_ahead(replace(call, state=state), commands, now)


def keys_of(form: Mapping[str, str]) -> str:
    """What was pressed. `Digits` is "hangup" where somebody hung up on a recording."""
    digits, finished_on = form.get("Digits", ""), form.get("FinishedOnKey", "")
    return "".join(key for key in digits if key in KEYS) + (finished_on if finished_on in KEYS else "")


def hung_up(call: TwilioCall, *, by: Literal["person", "carrier", "gateway"], now: float) -> Turn:
    """Close a call whose end the carrier reported at `now`: what was heard by then counts, what was not does not.

    Returns: a turn whose `call` has ended and whose `commands` may hold an OptOut. It needs no `reply`.
    """
    state, commands = _hear(call, now)
    state, more = engine.step(state, HungUp(by), now)
    return Turn(replace(call, state=state, handed=()), (*commands, *more))


def _hear(call: TwilioCall, until: float) -> engine.Moved:
    """Tell the engine of every handed prompt that was over by then."""
    state, commands = call.state, tuple[Command, ...]()
    for handed in call.handed:
        if handed.ends_at <= until:
            state, commands = _and_then(state, commands, PromptEnded(handed.token), handed.ends_at)
    return state, commands


def _and_then(state: State, before: tuple[Command, ...], event: Event, now: float) -> engine.Moved:
    state, commands = engine.step(state, event, now)
    return state, (*before, *commands)


def _catch_up(call: TwilioCall, form: Mapping[str, str], now: float) -> engine.Moved:
    """Tell the engine what happened since the last answer: what was heard, then keys or their absence."""
    keys = keys_of(form)
    if not keys or call.closing == "record":  # Twilio came back by itself, so everything was heard
        heard = tuple(replace(handed, ends_at=min(handed.ends_at, now)) for handed in call.handed)
        state, commands = _hear(replace(call, handed=heard), now)
        if call.closing == "gather":
            return _time_out(state, commands, now)
        return _waited(call.closing, state, commands, form, now)
    state, commands = _hear(call, now)
    meant = listening(state.plan, state.node) if state.node else None
    visits = len(state.path) + (len(meant.way) if meant else 0)  # when the question is reached, not yet left
    for key in keys:
        state, commands = _and_then(state, commands, Pressed(key), now)
        if len(state.path) > visits or state.ended_by:
            return state, commands  # what was pressed beyond an answer is lost
    return _time_out(state, commands, now)


def dialled(status: str) -> str:
    """What a DialCallStatus says of a transfer: transferred, busy, no_answer or failed."""
    return "transferred" if status in {"completed", "answered"} else _DIAL_FAILED.get(status, "failed")


def _waited(
    closing: Closing, state: State, commands: tuple[Command, ...], form: Mapping[str, str], now: float
) -> engine.Moved:
    """Tell how a transfer or a recording went, as the fields of <Dial>'s and <Record>'s `action` say."""
    if closing == "transfer":
        result = dialled(form.get("DialCallStatus", ""))
        event = Transferred() if result == "transferred" else TransferFailed(result)
        return _and_then(state, commands, event, now)
    if closing == "record":
        seconds = form.get("RecordingDuration", "")
        length = float(seconds) if seconds.isascii() and seconds.isdigit() else 0.0
        for key in keys_of(form):
            state, commands = _and_then(state, commands, Pressed(key), now)
        return _and_then(state, commands, Recorded(form.get("RecordingSid", ""), length), now)
    return state, commands


def _time_out(state: State, commands: tuple[Command, ...], now: float) -> engine.Moved:
    """A gather came back without a whole answer: Twilio has waited for as long as the plan says."""
    return _and_then(state, commands, Elapsed(), max(now, state.deadline or now))


def _look_ahead(call: TwilioCall, commands: tuple[Command, ...], now: float) -> Turn:
    """Gather what can be handed over in one answer: prompts with nothing but each other in between."""
    state, prompts, seen = call.state, _spoken(call.state, commands), set[str]()
    while state.node and state.node not in seen:
        seen.add(state.node)
        node = state.plan.nodes[state.node]
        match node:
            case MenuNode() | CollectNode():
                return Turn(call, commands, prompts, "gather", node)
            case TransferNode() if not state.is_transferred:
                return Turn(call, commands, prompts, "transfer", wait=node)
            case RecordNode():
                return Turn(call, commands, prompts, "record", wait=node)
        following = HANGUP if state.is_leaving or not isinstance(node, SpeakNode) else node.next
        if following == HANGUP:
            return Turn(call, commands, prompts, "hangup")
        if not isinstance(state.plan.nodes[following], SpeakNode | AskNode | RecordNode) or following in seen:
            return Turn(call, commands, prompts, "redirect")  # it has an effect, due only once this was heard
        state, ahead = engine.step(state, PromptEnded(state.token), now)
        prompts = (*prompts, *_spoken(state, ahead))
    return Turn(call, commands, prompts, "hangup")


def _spoken(state: State, commands: tuple[Command, ...]) -> tuple[Speak, ...]:
    """What is being spoken now: the rest of `commands` was heard, or interrupted, before."""
    current = state.token if state.is_speaking else None
    return tuple(command for command in commands if isinstance(command, Speak) and command.token == current)


def reply(
    turn: Turn, *, clip: Callable[[Say | Play], Clip], action: Callable[[int], str], now: float
) -> tuple[TwilioCall, str]:
    """Answer the webhook of a turn.

    clip:    the rendered audio of each of `turn.parts`.
    action:  the URL for the webhook of a step.
    Returns: the call to keep, and TwiML (XML).
    """
    if turn.is_repeat:
        return turn.call, turn.call.answer or str(VoiceResponse())
    response = VoiceResponse()
    following = action(turn.call.step + 1)
    inside = gather(turn.question, following) if turn.question else response
    handed, heard_at = [], now
    for prompt in turn.prompts:
        heard_at += sum(append(inside, part, clip) for part in prompt.parts)
        handed.append(Handed(prompt.token, heard_at))
    if turn.question:
        response.append(inside)
    elif isinstance(turn.wait, TransferNode):
        dial(response, engine.handing_over(turn.call.state, turn.wait), following)
    elif turn.closing != "hangup":
        if isinstance(turn.wait, RecordNode):
            record(response, turn.wait, following)
        response.redirect(following, method="POST")  # <Record> goes on to here when nobody said anything
    else:
        response.hangup()
    xml = str(response)
    step = turn.call.step + 1
    return replace(turn.call, step=step, handed=tuple(handed), closing=turn.closing, answer=xml), xml
