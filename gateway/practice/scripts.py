"""What the far end does, by the last four digits of the number that is texted or called.

Texts use 0001 to 0099, calls 0100 to 0799; every other number delivers its texts, and answers, listens and stays
silent when called. The table of `docs/practice.md` is printed by `table()`, and a test compares the two.
"""

from dataclasses import dataclass
from enum import Enum


class Answer(Enum):
    """How the REST request that creates a text is answered."""

    ACCEPT = "accept"
    REFUSE = "refuse"  # status and code, nothing recorded as accepted
    RESET = "reset"  # the connection is reset, nothing accepted
    ACCEPT_THEN_REFUSE = "accept_then_refuse"  # taken, and still an error is answered
    ACCEPT_THEN_RESET = "accept_then_reset"
    ACCEPT_THEN_HANG = "accept_then_hang"  # taken, and no answer ever comes


@dataclass(frozen=True, slots=True)
class TextScript:
    """The life of a text to one kind of number.

    says:       the line in the table.
    answer:     what the POST sees; status and code go with a refusal, and `times` is how often it is given
                per number before the text is accepted (0: always).
    reports:    the states that follow `queued`, in order; each is also posted to StatusCallback.
    error_code: goes with undelivered and failed.
    delay_s:    seconds that the answer waits; late_s: that the reports do; repeat: how often each is posted.
    reply:      what the person texts back, or None.
    """

    says: str
    answer: Answer = Answer.ACCEPT
    status: int = 201
    code: int = 0
    times: int = 0
    reports: tuple[str, ...] = ("sent", "delivered")
    error_code: int | None = None
    reply: str | None = None
    delay_s: float = 0.0
    late_s: float = 0.0
    repeat: int = 1
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Press:
    """Keys pressed in one go. `at_s` is seconds after the answer; None: when a prompt has ended. "" stays silent."""

    keys: str
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class CallScript:
    """How one kind of number takes a call.

    status:     final SIP status; 0 rings until the caller gives up.
    ring_s:     seconds from INVITE to the final answer; `rings` says whether 180 is sent meanwhile.
    presses:    one entry a prompt (or at a fixed time).
    hangs_up_s: seconds after the answer when the person hangs up, or None.
    greeting_s: seconds a voicemail speaks before its beep, or None for a person, who says hello.
    beep_hz:    the pitch of that beep, 0 for none. beep_after_s: the silence before it.
    pause_s:    silence in the middle of the greeting, after so many seconds (pause_after_s) of it.
    hello_s:    seconds that a person says hello.
    """

    says: str
    status: int = 200
    ring_s: float = 0.3
    rings: bool = True
    presses: tuple[Press, ...] = ()
    hangs_up_s: float | None = None
    greeting_s: float | None = None
    beep_hz: float = 1000.0
    beep_after_s: float = 0.3
    pause_s: float = 0.0
    pause_after_s: float = 1.0
    hello_s: float = 0.6


_DELIVERED = TextScript("delivered")
_HUMAN = CallScript("rings briefly, answers, says hello, listens, presses nothing, waits for the other side to hang up")


def _undelivered(code: int, why: str) -> TextScript:
    return TextScript(f"undelivered, {code} ({why})", reports=("sent", "undelivered"), error_code=code)


def _refused(code: int, why: str) -> TextScript:
    return TextScript(f"refused at once: 400, {code} ({why})", Answer.REFUSE, status=400, code=code)


def _replies(words: str) -> TextScript:
    return TextScript(f'delivered; a while later the person replies "{words}"', reply=words)


TEXTS: dict[str, TextScript] = {
    "0001": _undelivered(30003, "handset unreachable"),
    "0002": _undelivered(30005, "unknown number"),
    "0003": _undelivered(30006, "landline"),
    "0004": _undelivered(30007, "filtered"),
    "0005": _undelivered(30008, "unknown reason"),
    "0006": TextScript("failed after acceptance, 30001 (queue overflow)", reports=("failed",), error_code=30001),
    "0010": TextScript("accepted, then no report at all", reports=()),
    "0011": TextScript("sent, then no further report", reports=("sent",)),
    "0012": TextScript("delivered; every report comes twice", repeat=2),
    "0013": TextScript("delivered; the reports come in reverse order", reverse=True),
    "0014": TextScript("delivered; the reports come before the answer to the POST", delay_s=1.0),
    "0015": TextScript("delivered; the reports come 3 s late", late_s=3.0),
    "0020": _replies("STOP"),
    "0021": _replies("HELP"),
    "0022": _replies("START"),
    "0023": _replies("Thanks, I will pay on Friday"),
    "0024": _replies("Stop. Thank you"),
    "0025": _replies("YES"),
    "0030": _refused(21211, "invalid number"),
    "0031": _refused(21610, "opted out"),
    "0032": _refused(21614, "not a mobile number"),
    "0033": _refused(21408, "region not enabled"),
    "0034": _refused(21611, "the sender's queue is full"),
    "0040": TextScript("429, 20429 for the first 3 requests, then delivered", Answer.REFUSE, 429, 20429, times=3),
    "0041": TextScript("429, 20429 always", Answer.REFUSE, 429, 20429),
    "0050": TextScript("500, not accepted", Answer.REFUSE, 500, 20500),
    "0051": TextScript("500 although it was accepted; delivered", Answer.ACCEPT_THEN_REFUSE, 500, 20500),
    "0052": TextScript("503, not accepted", Answer.REFUSE, 503, 20503),
    "0053": TextScript("500 although it was accepted; no report", Answer.ACCEPT_THEN_REFUSE, 500, 20500, reports=()),
    "0060": TextScript("accepted, the answer never comes; delivered", Answer.ACCEPT_THEN_HANG),
    "0061": TextScript("accepted, the answer never comes, nor any report", Answer.ACCEPT_THEN_HANG, reports=()),
    "0062": TextScript("connection reset, not accepted", Answer.RESET),
    "0063": TextScript("connection reset although it was accepted; delivered", Answer.ACCEPT_THEN_RESET),
    "0064": TextScript("connection reset although it was accepted; no report", Answer.ACCEPT_THEN_RESET, reports=()),
    "0070": TextScript("delivered; the answer takes 3 s", delay_s=3.0),
}

CALLS: dict[str, CallScript] = {
    "0301": CallScript("presses * after the first prompt", presses=(Press("*"),)),
    "0302": CallScript("presses # after the first prompt", presses=(Press("#"),)),
    "0303": CallScript("types 1234# in one go after the first prompt", presses=(Press("1234#"),)),
    "0304": CallScript("presses 1 into the prompt, 1 s after answering", presses=(Press("1", at_s=1.0),)),
    "0400": CallScript("busy (486)", status=486),
    "0401": CallScript("rings and is never answered", status=0),
    "0402": CallScript("declines (603)", status=603),
    "0403": CallScript("temporarily unavailable (480)", status=480),
    "0404": CallScript("no such number (404)", status=404, rings=False),
    "0405": CallScript("carrier trouble (503)", status=503, rings=False),
    "0406": CallScript("rings, then carrier trouble (503)", status=503),
    "0500": CallScript("voicemail: a greeting of 3 s, a beep, then it records", greeting_s=3.0),
    "0501": CallScript("voicemail with a greeting of 8 s", greeting_s=8.0),
    "0502": CallScript("voicemail of few words: a greeting of 1.5 s, a beep of 440 Hz", greeting_s=1.5, beep_hz=440.0),
    "0503": CallScript("voicemail that never beeps", greeting_s=4.0, beep_hz=0.0),
    "0504": CallScript("voicemail that is silent for 5 s before its beep", greeting_s=3.0, beep_after_s=5.0),
    "0505": CallScript("voicemail that pauses for 2 s after its first words", greeting_s=3.0, pause_s=2.0),
    "0510": CallScript("a person who says a whole sentence, of 2 s", hello_s=2.0),
    "0511": CallScript("a person who picks up and says nothing", hello_s=0.0),
    "0600": CallScript("answers and hangs up after 0.5 s", hangs_up_s=0.5),
    "0601": CallScript("answers and hangs up after 2 s, into the prompt", hangs_up_s=2.0),
    "0602": CallScript("answers at once, without ringing", ring_s=0.0, rings=False),
    "0603": CallScript("answers after ringing for 4 s", ring_s=4.0),
}


def text_script(number: str) -> TextScript:
    """Return what happens to a text to that number (E.164)."""
    return TEXTS.get(number[-4:], _DELIVERED)


def call_script(number: str) -> CallScript:
    """Return how that number (E.164) takes a call: `CALLS`, or the keys written in its last digits."""
    code = number[-4:]
    if code.startswith("010"):
        return CallScript(f"presses {code[3]} after the first prompt", presses=(Press(code[3]),))
    if code.startswith("011"):
        return CallScript(f"silent at first, presses {code[3]} after the second", presses=(Press(""), Press(code[3])))
    if code.startswith("02"):
        return CallScript(f"presses {code[2]}, then {code[3]}", presses=(Press(code[2]), Press(code[3])))
    return CALLS.get(code, _HUMAN)


def table() -> str:
    """Return both tables as Markdown, for `--help` and `docs/practice.md`."""
    texts = [f"| {code} | {script.says} |" for code, script in TEXTS.items()]
    keys = [
        "| 010k | presses k after the first prompt |",
        "| 011k | stays silent at the first prompt, presses k after the second |",
        "| 02ab | presses a after the first prompt, b after the second |",
    ]
    calls = [f"| {code} | {script.says} |" for code, script in CALLS.items()]
    head = ["| last four digits | a text |", "|---|---|", *texts, f"| any other | {_DELIVERED.says} |", ""]
    return "\n".join(
        [*head, "| last four digits | a call |", "|---|---|", *keys, *calls, f"| any other | {_HUMAN.says} |"]
    )
