"""The engine: one call's state and one event give the next state and what to do on the line. Pure.

Every carrier drives the same two functions. `start` when the call is dialled; then `step` with each event, doing the
commands in order, until a Hangup is among them or HungUp was told. Events after the end change nothing.

A key interrupts what is spoken when a question is next, and counts as its answer; before anything else (a notice, a
goodbye) a key is noted and changes nothing, so that nobody cuts a message short by holding the telephone badly.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway.voice import digits, template
from gateway.voice.dialplan import (
    HANGUP,
    AskNode,
    BranchNode,
    CollectNode,
    HangupNode,
    MenuNode,
    Node,
    OptOutNode,
    OutcomeNode,
    Plan,
    PlanPart,
    RecordNode,
    SetNode,
    SmsNode,
    SpeakNode,
    TransferNode,
    WaitNode,
)
from gateway.voice.filling import filled, text_message, values
from gateway.voice.state import (
    Answered,
    Command,
    Elapsed,
    EndedBy,
    Event,
    Exit,
    Hangup,
    HungUp,
    KeyPress,
    OptOut,
    Pressed,
    PromptEnded,
    Record,
    Recorded,
    SendSms,
    Speak,
    State,
    StopSpeaking,
    Transfer,
    TransferFailed,
    Transferred,
    Visit,
    WaitUntil,
)
from gateway.voice.values import MAX_VALUE, accepted
from gateway.voice.ways import listening

MAX_VISITS: Final = 300  # nodes entered in one call; a plan that passes this goes in circles, and the call ends
LATE_KEY: Final = 2.0  # seconds; many press "#" after the last digit, whether or not it is asked for
MASKED: Final = "x"  # what is kept of a key that may be of a PIN
MAX_HEADER: Final = 200  # characters of one header of a transfer

Moved = tuple[State, tuple[Command, ...]]


def start(plan: Plan, variables: Mapping[str, str]) -> State:
    """A call that is being dialled; tell `step` Answered when somebody picks up.

    variables: values by name. Names the plan does not declare are left aside, defaults fill what is not given.
    Raises:    BadVariables naming each that is missing, too long, or not of its type.
    """
    return State(plan, accepted(plan, variables))


def step(state: State, event: Event, now: float) -> Moved:
    """Advance a call by one event.

    now:     seconds on the call's clock, never less than at the step before.
    Returns: the new state and the commands to do, in order.
    """
    if state.ended_by:
        return state, ()
    match event:
        case HungUp(by=by):
            return _over(state, by), ()
        case Answered():
            return _answered(state, event, now)
        case Pressed(digit=digit) if state.node:
            return _pressed(state, state.node, digit, now)
        case PromptEnded(token=token) if state.is_speaking and token == state.token and state.node:
            return _prompt_ended(replace(state, is_speaking=False), state.plan.nodes[state.node], now)
        case Elapsed() if state.deadline is not None and now < state.deadline:
            return state, (WaitUntil(state.deadline),)  # a timer may fire a little early
        case Elapsed() if state.deadline is not None and state.node and state.asking:
            return _answer(state, state.node, state.asking, now)
        case Transferred() | TransferFailed() | Recorded() if state.waiting:
            return _waited(state, state.waiting, event, now)
    return state, ()


def _answered(state: State, event: Answered, now: float) -> Moved:
    if state.answered_by and (state.keys or state.is_leaving or state.waiting or state.is_transferred):
        return state, ()  # who pressed a key is no machine; and a transfer is not taken back
    is_first = state.answered_by is None
    state = replace(state, answered_by=event.by, answered_at=now if is_first else state.answered_at)
    machine = state.plan.machine
    if event.by == "machine" and machine.action != "human":
        state, stopped = _silence(state)
        target = machine.node if machine.action == "leave" and machine.node else HANGUP
        state = replace(_leave(state, "machine", machine.action), is_leaving=True)
        return _after(stopped, _go(state, target, now))
    return _go(state, state.plan.start, now) if is_first else (state, ())


def _pressed(state: State, here: str, digit: str, now: float) -> Moved:
    if state.is_transferred or (state.waiting and not digits.ends(state.waiting, digit)):
        return state, ()  # meant for somebody else, or noise on a recording; not every carrier tells of it
    is_late = digit == state.late_key and state.is_speaking and now - state.keys[-1].at <= LATE_KEY
    meant = None if state.is_leaving else listening(state.plan, here)
    shown = MASKED if digits.may_be_secret(state.plan, meant.question if meant else None, digit) else digit
    state = replace(state, keys=(*state.keys, KeyPress(shown, now, here)), late_key=None)
    if meant is None or is_late:
        return state, ()
    state, stopped = _silence(state)
    for left, name in zip((here, *meant.way), meant.way, strict=False):  # entered, but no longer heard
        state = replace(_visit(_leave(state, left, "next"), name, now), attempt=1, digits="")
    typed, is_full = digits.press(meant.question, state.digits, digit)
    state = replace(state, digits=typed)
    if is_full:
        asked = meant.way[-1] if meant.way else here
        state = replace(state, late_key=digits.late_key(meant.question, digit))
        return _after(stopped, _answer(state, asked, meant.question, now))
    return _after(stopped, _wait(state, meant.question, now))


def _prompt_ended(state: State, node: Node, now: float) -> Moved:
    match node:
        case SpeakNode(next=following):
            return _go(_leave(state, state.node, "next"), HANGUP if state.is_leaving else following, now)
        case MenuNode() | CollectNode():
            return _wait(state, node, now)
        case RecordNode():
            return _record(state, node)
    return state, ()


def _wait(state: State, question: AskNode, now: float) -> Moved:
    deadline = now + digits.patience(question, state.digits)
    return replace(state, deadline=deadline), (WaitUntil(deadline),)


def _answer(state: State, asked: str, question: AskNode, now: float) -> Moved:
    """Leave the question with what was pressed, or ask it again."""
    typed = state.digits
    target = digits.answer(question, typed, _wanted(state, question))
    if target is None:
        state = _leave(state, asked, "wrong" if typed else "silence")
    if target is None and state.attempt < question.attempts and len(state.path) < MAX_VISITS:
        return _ask(replace(_visit(state, asked, now), attempt=state.attempt + 1), question)
    if target is not None and isinstance(question, CollectNode) and question.into:
        state = replace(state, collected={**state.collected, question.into: typed})
    state = _leave(state, asked, "otherwise" if target is None else digits.way_out(question, typed))
    return _go(replace(state, digits="", deadline=None), target or question.otherwise or HANGUP, now)


def _wanted(state: State, question: AskNode) -> str | None:
    """What the digits must equal: the variable of a PIN."""
    return values(state)[question.equals] if digits.is_pin(question) else None


def _go(state: State, target: str, now: float) -> Moved:
    """Enter `target` and every node after it that takes no time, up to one that does, or to the end."""
    done: tuple[Command, ...] = ()
    while target != HANGUP and len(state.path) < MAX_VISITS:
        state = _visit(state, target, now)
        node = state.plan.nodes[target]
        if isinstance(node, BranchNode | SetNode | OutcomeNode | SmsNode):
            state, commands, target = _pass(state, node)
            done = (*done, *commands)
        elif isinstance(node, HangupNode):
            target = HANGUP
        else:
            return _after(done, _begin(state, node))
    return _after(done, _end(state))


def _pass(state: State, node: BranchNode | SetNode | OutcomeNode | SmsNode) -> tuple[State, tuple[Command, ...], str]:
    """Do what takes no time; returns also where it leads."""
    held = values(state)
    match node:
        case BranchNode():
            value = held.get(node.on, "")
            way = f"case {value}" if value in node.cases else "otherwise"
            return _leave(state, state.node, way), (), node.cases.get(value, node.otherwise)
        case SetNode():
            given = {name: template.fill(text, held)[:MAX_VALUE] for name, text in node.values.items()}
            return replace(state, collected={**state.collected, **given}), (), node.next
        case OutcomeNode():
            return replace(state, outcome=node.word), (), node.next
        case SmsNode():
            return state, (SendSms(text_message(state, node.bodies)),), node.next


def _begin(state: State, node: SpeakNode | AskNode | WaitNode | OptOutNode) -> Moved:
    """Begin what takes time, or ends the call."""
    match node:
        case SpeakNode():
            return _speak(state, node.parts)
        case MenuNode() | CollectNode():
            return _ask(replace(state, attempt=1), node)
        case TransferNode():
            return state, (handing_over(state, node),)
        case RecordNode():
            return _speak(state, node.prompt) if node.prompt else _record(state, node)
        case OptOutNode():
            state = replace(state, opted_out=node.scope, outcome=state.outcome or "opted_out")
            return _after((OptOut(node.scope),), _end(state))


def handing_over(state: State, node: TransferNode) -> Transfer:
    """What a transfer asks for in this call, its headers filled in."""
    held = values(state)
    headers = {name: _header(template.fill(text, held)) for name, text in node.headers.items()}
    return Transfer(node.to, headers, node.ring)


def _header(text: str) -> str:
    """One line, bounded: what a variable holds must not become a header of its own."""
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_HEADER]


def _record(state: State, node: RecordNode) -> Moved:
    return state, (Record(node.max_seconds, node.finish_key, node.silence),)


def _waited(state: State, node: WaitNode, event: Transferred | TransferFailed | Recorded, now: float) -> Moved:
    """Go on after a transfer or a recording."""
    match node, event:
        case TransferNode(), Transferred():
            state = _leave(state, state.node, "transferred")
            return replace(state, is_transferred=True, outcome=state.outcome or "transferred"), ()
        case TransferNode(), TransferFailed():
            return _go(_leave(state, state.node, "on_failure"), node.on_failure, now)
        case RecordNode(), Recorded(audio_id=audio_id) if audio_id:
            state = replace(state, collected={**state.collected, node.into: audio_id})
            return _go(_leave(state, state.node, "recorded"), node.next, now)
        case RecordNode(), Recorded():
            return _go(_leave(state, state.node, "otherwise"), node.otherwise, now)
    return state, ()


def _leave(state: State, name: str | None, by: str) -> State:
    return replace(state, exits=(*state.exits, Exit(name or "", by)))


def _visit(state: State, name: str, now: float) -> State:
    return replace(state, node=name, path=(*state.path, Visit(name, now)))


def _end(state: State) -> Moved:
    return _over(state, "dialplan"), (Hangup(),)


def _over(state: State, by: EndedBy) -> State:
    return replace(state, node=None, ended_by=by, is_speaking=False, digits="", deadline=None)


def _ask(state: State, question: AskNode) -> Moved:
    return _speak(replace(state, digits="", deadline=None), question.prompt)


def _speak(state: State, parts: tuple[PlanPart, ...]) -> Moved:
    token = state.token + 1
    return replace(state, token=token, is_speaking=True), (Speak(token, tuple(filled(state, part) for part in parts)),)


def _silence(state: State) -> Moved:
    stopped = (StopSpeaking(),) if state.is_speaking else ()
    return replace(state, is_speaking=False, deadline=None), stopped


def _after(commands: tuple[Command, ...], moved: Moved) -> Moved:
    return moved[0], (*commands, *moved[1])
