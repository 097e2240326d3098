"""What a road for calls can do. It only translates: it never retries, paces or stores.

There are two kinds. A trunk hands over a `Leg`, and the call lives in this process until the leg has ended. A carrier
with webhooks takes the call, and asks over HTTP what to do next.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.carriers.base import Ready
from gateway.errors.speech import UnknownPrompt
from gateway.media.events import Detected, GreetingEnded
from gateway.model.call import Call
from gateway.model.outcome import NotSent, Outcome
from gateway.speech.audio import Audio
from gateway.speech.prompts import TenantPrompts
from gateway.voice.dialplan import MachineAction, Play, Say
from gateway.voice.state import Transfer

ReferResult = Literal["transferred", "busy", "no_answer", "failed", "unknown", "refused"]

# --- what happens on a leg


@dataclass(frozen=True, slots=True)
class Ringing:
    """The far end rings."""


@dataclass(frozen=True, slots=True)
class PickedUp:
    """The call is up, and what is played is heard."""


@dataclass(frozen=True, slots=True)
class Digit:
    """The person pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class Played:
    """A piece of audio came to its end, or was stopped (`finished` is false), after so many seconds."""

    play_id: int
    seconds: float
    finished: bool


@dataclass(frozen=True, slots=True)
class Spoken:
    """A recording is over: what was said, 8 kHz PCM16 without the silence around it; empty when nothing was."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The call never came up. Last event of the leg.

    outcome: a final state of a call, or `queued` where the carrier turned it away unprocessed.
    reason:  our slug. code: the carrier's.
    """

    outcome: Literal["queued", "busy", "no_answer", "failed", "cancelled", "unknown"]
    reason: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The call was up and is over. Last event of the leg.

    by:     the person (or whoever is between us), this gateway, or the carrier where the line broke.
    reason: our slug where something went wrong.
    quality: what the line was like: see `Call.quality`.
    """

    by: Literal["person", "carrier", "gateway"]
    reason: str = ""
    quality: Mapping[str, object] = field(default_factory=dict, compare=False)


LegEvent = Ringing | PickedUp | Digit | Played | Detected | GreetingEnded | Spoken | Unanswered | Ended


class Leg(Protocol):
    """One call over a trunk, outbound or inbound."""

    def listen(self, hear: Callable[[LegEvent], None]) -> None:
        """Have `hear` called with each event, first with those that came before."""
        ...

    def play(self, pieces: Sequence[Audio | float]) -> tuple[int, ...]:
        """Play audio and silences (seconds) after what plays already; each ends in a Played with its id."""
        ...

    def stop(self) -> None:
        """Fall silent at once; what played tells how much of it was heard."""
        ...

    def detect(self) -> bool:
        """Find out who answered, from PickedUp on: a Detected follows, and for a machine a GreetingEnded.

        Returns: whether this road can, and is set to.
        """
        ...

    def record(self, *, max_s: float, finish_on: str | None, silence_s: float) -> None:
        """Sound a tone and keep what is said then, until the silence, the key or the time; a Spoken follows.

        Where the person hangs up meanwhile, it comes before Ended.
        """
        ...

    async def refer(self, to: str, headers: Mapping[str, str], ring_s: float) -> ReferResult:
        """Ask the far end to put the person through to a number, and wait for how that goes.

        headers: X- headers for who takes the call.
        Returns: `transferred`: hang up now, if the far end has not; `refused`: it puts nobody through, and we may;
                 `unknown`: it took that on, and the call ended before it told how it went.
        """
        ...

    def ring_back(self, *, on: bool) -> None:
        """Let the person hear that somebody else's telephone rings, or no more."""
        ...

    def join(self, other: "Leg") -> None:
        """Let the person and the one of `other`, which was placed beside this leg, hear each other."""
        ...

    async def over(self) -> None:
        """Return when the last event was told and all is given back."""
        ...

    def hangup(self) -> None:
        """End the call whatever its state; the last event follows."""
        ...


class TrunkCarrier(Protocol):
    """A road whose calls are held in this process."""

    name: str

    @property
    def trouble(self) -> str:
        """Why no call should be placed now, as `why` names it; "" where one may be."""
        ...

    async def dial(self, call: Call, ready: Ready) -> Leg | NotSent:
        """Place a call, once. `ready` is awaited just before the first byte leaves; False takes the call back."""
        ...

    async def bridge(self, call: Call, wanted: Transfer, beside: Leg, ready: Ready) -> Leg | NotSent:
        """Place a second call for one that is up, to the number that its person is to be put through to; as `dial`."""
        ...


class WebhookCarrier(Protocol):
    """A road whose calls ask by webhook what to do."""

    name: str

    async def place(
        self, call: Call, ready: Ready, *, machine: MachineAction, timeout_s: float, ring_timeout_s: int
    ) -> Outcome:
        """Offer a call, once. What the carrier did is returned, never raised; see `SmsCarrier.send`.

        machine: what its plan does with one: whether, and how long, the carrier is to listen for who answers.
        """
        ...


@dataclass(frozen=True, slots=True)
class TrunkRoad:
    """A trunk and what may be asked of it: calls per second, calls at once, seconds of ringing."""

    carrier: TrunkCarrier
    calls_per_second: float
    channels: int
    ring_timeout_s: int


@dataclass(frozen=True, slots=True)
class WebhookRoad:
    """A carrier with webhooks, and what may be asked of it."""

    carrier: WebhookCarrier
    calls_per_second: float
    channels: int
    ring_timeout_s: int
    timeout_s: float


Road = TrunkRoad | WebhookRoad


async def rendered(prompts: TenantPrompts, part: Say | Play) -> Audio:
    """The audio of one part, from the cache where it was made before.

    Raises: UnspeakableText, UnknownVoice, SpeechUnavailable, UnknownPrompt, BadPrompt.
    """
    if isinstance(part, Say):
        return await prompts.say(part.text, part.language, pieces=part.pieces)
    try:
        return await prompts.recorded(part.name, part.language)
    except UnknownPrompt:
        if not part.text:
            raise
        return await prompts.say(part.text, part.language)
