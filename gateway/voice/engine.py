"""The engine: one call's state and one event give the next state and what to do on the line. Pure.

Every carrier drives the same two functions. `start` when the call is dialled; then `step` with each event, doing the
commands in order, until a Hangup is among them or HungUp was told. Events after the end change nothing.

A key interrupts what is spoken when a question is next, and counts as its answer; before anything else (a notice, a
goodbye) a key is noted and changes nothing, so that nobody cuts a message short by holding the telephone badly.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway.errors.voice import BadVariables
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
    Part,
    Plan,
    Play,
    Say,
    SetNode,
    SpeakNode,
    listening,
    parts_of,
)
from gateway.voice.state import (
    Answered,
    Command,
    Elapsed,
    EndedBy,
    Event,
    Hangup,
    HungUp,
    KeyPress,
    OptOut,
    Pressed,
    PromptEnded,
    Speak,
    State,
    StopSpeaking,
    Visit,
    WaitUntil,
)

MAX_VISITS: Final = 300  # nodes entered in one call; a plan that passes this goes in circles, and the call ends
LATE_KEY: Final = 2.0  # seconds; many press "#" after the last digit, whether or not it is asked for
MAX_VALUE: Final = 1000  # characters of one variable: over a minute of speech

Moved = tuple[State, tuple[Command, ...]]


def start(plan: Plan, variables: Mapping[str, str]) -> State:
    """A call that is being dialled; tell `step` Answered when somebody picks up.

    variables: values by name. Names the plan does not declare are left aside, defaults fill what is not given.
    Raises:    BadVariables naming each that is missing, too long, or not of its type.
    """
    values, wrong = {}, {}
    for name, variable in plan.variables.items():
        value = variables.get(name, variable.default)
        if value is None or (variable.default is None and not value.strip()):
            wrong[name] = "is missing"
        elif len(value) > MAX_VALUE:
            wrong[name] = f"is longer than {MAX_VALUE} characters"
        elif variable.type == "digits" and value and not (value.isascii() and value.isdigit()):
            wrong[name] = "must be digits"
        else:
            values[name] = value
    if wrong:
        raise BadVariables(wrong)
    return State(plan, values)


def foreseen(state: State) -> tuple[Say | Play, ...]:
    """Everything that a call may have to play, as far as it is known before the call: what to render ahead of it.

    Texts with a variable that is only set or collected during the call are not among them.
    """
    late = state.plan.late_variables()
    parts = (part for node in state.plan.nodes.values() for part in parts_of(node))
    known = (part for part in parts if not (isinstance(part, Say) and late.intersection(template.names(part.text))))
    filled = (_filled(state, part) for part in known)
    return tuple(dict.fromkeys(part for part in filled if isinstance(part, Say | Play)))


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
    return state, ()


def _answered(state: State, event: Answered, now: float) -> Moved:
    if state.answered_by and (state.keys or state.is_leaving):
        return state, ()  # who pressed a key is no machine
    is_first = state.answered_by is None
    state = replace(state, answered_by=event.by, answered_at=now if is_first else state.answered_at)
    machine = state.plan.machine
    if event.by == "machine" and machine.action != "human":
        state, stopped = _silence(state)
        target = machine.node if machine.action == "leave" and machine.node else HANGUP
        return _after(stopped, _go(replace(state, is_leaving=True), target, now))
    return _go(state, state.plan.start, now) if is_first else (state, ())


def _pressed(state: State, here: str, digit: str, now: float) -> Moved:
    is_late = digit == state.late_key and state.is_speaking and now - state.keys[-1].at <= LATE_KEY
    state = replace(state, keys=(*state.keys, KeyPress(digit, now, here)), late_key=None)
    meant = None if state.is_leaving else listening(state.plan, here)
    if meant is None or is_late:
        return state, ()
    state, stopped = _silence(state)
    for name in meant.way:  # entered, but no longer heard
        state = replace(_visit(state, name, now), attempt=1, digits="")
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
            return _go(state, HANGUP if state.is_leaving else following, now)
        case MenuNode() | CollectNode():
            return _wait(state, node, now)
    return state, ()


def _wait(state: State, question: AskNode, now: float) -> Moved:
    deadline = now + digits.patience(question, state.digits)
    return replace(state, deadline=deadline), (WaitUntil(deadline),)


def _answer(state: State, asked: str, question: AskNode, now: float) -> Moved:
    """Leave the question with what was pressed, or ask it again."""
    typed = state.digits
    target = digits.answer(question, typed)
    if target is None and state.attempt < question.attempts and len(state.path) < MAX_VISITS:
        return _ask(replace(_visit(state, asked, now), attempt=state.attempt + 1), question)
    if target is not None and isinstance(question, CollectNode):
        state = replace(state, collected={**state.collected, question.into: typed})
    return _go(replace(state, digits="", deadline=None), target or question.otherwise or HANGUP, now)


def _go(state: State, target: str, now: float) -> Moved:
    """Enter `target` and every node after it that takes no time, up to one that does, or to the end."""
    while target != HANGUP and len(state.path) < MAX_VISITS:
        state = _visit(state, target, now)
        match state.plan.nodes[target]:
            case SpeakNode() as node:
                return _speak(state, node.parts)
            case MenuNode() | CollectNode() as node:
                return _ask(replace(state, attempt=1), node)
            case BranchNode() as node:
                target = node.cases.get(_values(state).get(node.on, ""), node.otherwise)
            case SetNode() as node:
                values = _values(state)
                given = {name: template.fill(text, values)[:MAX_VALUE] for name, text in node.values.items()}
                state, target = replace(state, collected={**state.collected, **given}), node.next
            case OutcomeNode() as node:
                state, target = replace(state, outcome=node.word), node.next
            case OptOutNode() as node:
                state = replace(state, opted_out=node.scope, outcome=state.outcome or "opted_out")
                return _after((OptOut(node.scope),), _end(state))
            case HangupNode():
                target = HANGUP
    return _end(state)


def _visit(state: State, name: str, now: float) -> State:
    return replace(state, node=name, path=(*state.path, Visit(name, now)))


def _end(state: State) -> Moved:
    return _over(state, "dialplan"), (Hangup(),)


def _over(state: State, by: EndedBy) -> State:
    return replace(state, node=None, ended_by=by, is_speaking=False, digits="", deadline=None)


def _ask(state: State, question: AskNode) -> Moved:
    return _speak(replace(state, digits="", deadline=None), question.prompt)


def _speak(state: State, parts: tuple[Part, ...]) -> Moved:
    token = state.token + 1
    return replace(state, token=token, is_speaking=True), (Speak(token, tuple(_filled(state, part) for part in parts)),)


def _silence(state: State) -> Moved:
    stopped = (StopSpeaking(),) if state.is_speaking else ()
    return replace(state, is_speaking=False, deadline=None), stopped


def _filled(state: State, part: Part) -> Part:
    if not isinstance(part, Say):
        return part
    values, spelled = _values(state), state.plan.digit_variables()
    spoken = {name: " ".join(value) if name in spelled and value.isdigit() else value for name, value in values.items()}
    return replace(part, text=template.fill(part.text, spoken))


def _values(state: State) -> dict[str, str]:
    """What each variable holds now; one that is only set or collected later on is empty."""
    empty = dict.fromkeys(state.plan.late_variables(), "")
    return {**empty, **state.variables, **state.collected}


def _after(commands: tuple[Command, ...], moved: Moved) -> Moved:
    return moved[0], (*commands, *moved[1])
