"""A call without a telephone: the engine is told what a person would do, and the call is written down.

The same transcript serves the command line, the API, and the tests that stand beside a plan (`cases`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.voice import engine
from gateway.voice.dialplan import Part, Pause, Plan, Play, RecordNode, Say, Scope, TransferNode
from gateway.voice.state import (
    Answered,
    AnsweredBy,
    Command,
    Elapsed,
    EndedBy,
    Event,
    Exit,
    HungUp,
    Pressed,
    PromptEnded,
    Record,
    Recorded,
    SendSms,
    Speak,
    State,
    Transfer,
    TransferFailed,
    Transferred,
)

SILENCE: Final = "silence"
HANGS_UP: Final = "hangup"
MACHINE: Final = "machine"
SPEAKS: Final = "speaks"
NO_TRANSFER: Final = "no_transfer"
ENTRIES: Final = "digits, silence, hangup, speaks, no_transfer or (first) machine"
KEYS: Final = re.compile(r"silence|hangup|machine|speaks|no_transfer|[0-9*#]{1,40}")

_WORDS_PER_SECOND: Final = 2.5  # ordinary speech, for the times in a transcript
_PLAY_SECONDS: Final = 3.0  # a recording's real length is not known here
_ANSWER_SECONDS: Final = 5.0  # what a person who speaks says into a recording
_RING_SECONDS: Final = 10.0  # until a transfer is taken, or has failed


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transcript: what the plan said, or the person or the gateway did, in which node, when (seconds)."""

    who: Literal["plan", "person", "gateway"]
    node: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Sound:
    """Something heard on the line, when (seconds): a part of the plan, a key, or "" for the tone before a recording."""

    at: float
    what: Part | str


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take in a call that is made in thought: each part, and each key of an entry, in seconds."""

    seconds_of: Callable[[Part], float]
    key_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Transcript:
    """What happened in a simulated call."""

    lines: tuple[Line, ...]
    path: tuple[str, ...]
    outcome: str  # "" when the plan set none
    keys: str  # every key pressed
    collected: Mapping[str, str]
    opted_out: Scope | None
    answered_by: AnsweredBy | None
    ended_by: EndedBy | None
    seconds: float
    unused: tuple[str, ...]  # entries the call ended before
    sms: tuple[str, ...]  # texts sent to the person
    exits: tuple[Exit, ...]  # how each node was left
    sounds: tuple[Sound, ...]

    @property
    def said(self) -> tuple[str, ...]:
        """What the plan let the person hear, in order."""
        return tuple(line.text for line in self.lines if line.who == "plan")

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it; without its sounds."""
        names = [name for name in self.__dataclass_fields__ if name != "sounds"]
        plain: dict[str, Any] = {name: getattr(self, name) for name in names}
        plain["lines"] = [{name: getattr(line, name) for name in Line.__dataclass_fields__} for line in self.lines]
        plain["exits"] = [{"node": each.node, "by": each.by} for each in self.exits]
        lists = {name: list(plain[name]) for name in ("path", "unused", "sms")}
        return {**plain, **lists, "collected": dict(self.collected)}


def simulate(plan: Plan, variables: Mapping[str, str], keys: Sequence[str], timing: Timing | None = None) -> Transcript:
    """Make one call in thought.

    variables: values by name.
    keys:      what the person does each time the plan waits for them: digits such as "1" or "1234#", "silence" or
               "hangup"; where it records, "speaks" too. A transfer goes well unless "no_transfer" (or "hangup") comes
               next in the list. "machine" as the first entry: a machine answers. When the list is used up, silence.
               Digits beyond what a question takes are lost, as they are while a carrier fetches what comes next.
    timing:    how long things take; by default as ordinary speech, estimated from the words.
    Raises:    BadVariables; ValueError for an entry that is none of these.
    """
    if wrong := [entry for at, entry in enumerate(keys) if not is_entry(entry, first=at == 0)]:
        raise ValueError(f"not {ENTRIES}: {wrong[0]!r}")
    call = _Call(engine.start(plan, variables), timing or Timing(_seconds))
    rest = list(keys)
    by: AnsweredBy = "machine" if rest[:1] == [MACHINE] else "human"
    call.tell(Answered(by))
    del rest[: by == "machine"]
    while not call.state.ended_by:
        _continue(call, rest)
    return call.transcript(rest)


def is_entry(entry: str, *, first: bool) -> bool:
    """Whether `simulate` takes `entry`; `first` tells whether it stands at the head of the list."""
    return bool(KEYS.fullmatch(entry)) and (first or entry != MACHINE)


def _continue(call: "_Call", rest: list[str]) -> None:
    """Hear what is being spoken to its end; then, if the plan waits for the person, do the next entry."""
    if call.state.is_speaking:
        call.now += call.speaking_seconds
        call.tell(PromptEnded(call.state.token))
    if isinstance(call.state.waiting, TransferNode):
        call.transfer(rest.pop(0) if rest and rest[0] in {NO_TRANSFER, HANGS_UP} else "")
    elif call.state.deadline is not None or call.state.waiting:
        call.do(rest.pop(0) if rest else SILENCE)


class _Call:
    """A state, a clock and the lines so far."""

    def __init__(self, state: State, timing: Timing) -> None:
        self.state = state
        self.timing = timing
        self.sounds: list[Sound] = []
        self.now = 0.0
        self.lines: list[Line] = []
        self.speaking_seconds = 0.0
        self.recordings = 0
        self.sms: list[str] = []

    def tell(self, event: Event) -> None:
        self.state, commands = engine.step(self.state, event, self.now)
        self._write_down(commands)

    def _write_down(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Speak(parts=parts):
                    self.speak(parts)
                case SendSms(body=body):
                    self.sms.append(body)
                    self.gateway(f"sends a text: {body}")
                case Transfer(to=to):
                    self.gateway(f"rings {to}")
                case Record(max_s=max_s):
                    self.gateway(f"records up to {max_s:g} s")
                    self.sounds.append(Sound(self.now, ""))

    def speak(self, parts: Sequence[Part]) -> None:
        self.speaking_seconds = 0.0
        for part in parts:
            self.lines.append(Line("plan", self.state.node or "", words(part), self.now))
            self.sounds.append(Sound(self.now + self.speaking_seconds, part))
            self.speaking_seconds += self.timing.seconds_of(part)

    def key(self, digit: str) -> None:
        self.sounds.append(Sound(self.now, digit))
        self.now += self.timing.key_s
        self.tell(Pressed(digit))

    def do(self, entry: str) -> None:
        """Answer a question, or speak into a recording, as `entry` says."""
        if entry == HANGS_UP:
            self.hang_up()
        elif isinstance(self.state.waiting, RecordNode):
            self.record(self.state.waiting, entry)
        elif entry in {SILENCE, SPEAKS, NO_TRANSFER}:
            self.person("says nothing" if entry == SILENCE else "speaks" if entry == SPEAKS else "waits")
            self.wait()
        else:
            self.press(entry)

    def hang_up(self) -> None:
        self.person("hangs up")
        self.tell(HungUp("person"))

    def transfer(self, entry: str) -> None:
        """Ring the other number; who is put through stays there."""
        if entry == HANGS_UP:
            self.hang_up()
            return
        self.now += _RING_SECONDS
        if entry == NO_TRANSFER:
            self.tell(TransferFailed("no_answer"))
        else:
            self.person("is put through")
            self.tell(Transferred())
            self.tell(HungUp("person"))

    def record(self, node: RecordNode, entry: str) -> None:
        """Say something or nothing into a recording; a key that ends it was pressed after a word."""
        ends = node.finish_key is not None and node.finish_key in entry
        is_heard = ends or entry == SPEAKS
        self.person("says nothing" if not is_heard else f"speaks, presses {node.finish_key}" if ends else "speaks")
        seconds = min(_ANSWER_SECONDS, node.max_seconds) if is_heard else 0.0
        self.now += seconds if ends else min(seconds + node.silence, node.max_seconds)
        if ends and node.finish_key:
            self.key(node.finish_key)
        self.recordings += is_heard
        self.tell(Recorded(f"recording-{self.recordings}" if is_heard else "", seconds))

    def person(self, did: str) -> None:
        self.lines.append(Line("person", self.state.node or "", did, self.now))

    def gateway(self, did: str) -> None:
        self.lines.append(Line("gateway", self.state.node or "", did, self.now))

    def wait(self) -> None:
        self.now = max(self.now, self.state.deadline or 0.0)
        self.tell(Elapsed())

    def press(self, entry: str) -> None:
        """Press the keys of one entry until the question is left; a question left half answered times out."""
        visits = len(self.state.path)
        self.person(f"presses {entry}")
        for digit in entry:
            if len(self.state.path) > visits or self.state.ended_by:
                return
            self.key(digit)
        if len(self.state.path) == visits and not self.state.ended_by:
            self.wait()

    def transcript(self, unused: Sequence[str]) -> Transcript:
        state = self.state
        return Transcript(
            lines=tuple(self.lines),
            path=tuple(visit.node for visit in state.path),
            outcome=state.outcome,
            keys=state.pressed,
            collected=state.collected,
            opted_out=state.opted_out,
            answered_by=state.answered_by,
            ended_by=state.ended_by,
            seconds=self.now,
            unused=tuple(unused),
            sms=tuple(self.sms),
            exits=state.exits,
            sounds=tuple(self.sounds),
        )


def words(part: Part) -> str:
    """A part as a transcript shows it."""
    match part:
        case Say(text=text):
            return text
        case Play(name=name):
            return f"(plays {name})"
        case Pause(seconds=seconds):
            return f"(pause of {seconds:g} s)"


def _seconds(part: Part) -> float:
    match part:
        case Say(text=text):
            return len(text.split()) / _WORDS_PER_SECOND
        case Pause(seconds=seconds):
            return seconds
        case _:
            return _PLAY_SECONDS
