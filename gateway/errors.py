"""Errors raised on purpose, one class a cause. `docs/errors.md` draws this tree and a test compares the two.

`slug` is public and stable, `status` is what the API answers with. No telephone number, message text or key
ever stands in an error's words.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal


class GatewayError(Exception):
    """Base of all errors raised on purpose."""

    slug: ClassVar[str] = "internal"
    status: ClassVar[int] = 500


# --- house


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One thing wrong with the settings: where it was set, which key, and what to do about it. Never the value."""

    source: str
    key: str
    what: str

    def __str__(self) -> str:
        """Write one line, source first, as compilers do."""
        return f"{self.source}: {self.key}: {self.what}" if self.key else f"{self.source}: {self.what}"


class BadSettings(GatewayError):
    """The settings cannot be used. `problems` lists everything that is wrong, so one look mends it all."""

    slug, status = "bad_settings", 500

    def __init__(self, problems: tuple[SettingProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


# --- phone


class InvalidNumber(GatewayError):
    """The text is not a telephone number in E.164 form, or no such number can exist."""

    slug, status = "invalid_number", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


# --- sms


class BadText(GatewayError):
    """The text cannot be sent: empty, too long or not valid Unicode. `why` says which."""

    slug, status = "bad_text", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class BadTemplate(GatewayError):
    """The template cannot be read. `position` is the offset of the fault, in characters from 0."""

    slug, status = "bad_template", 422

    def __init__(self, why: str, position: int) -> None:
        super().__init__(f"{why}, at character {position + 1}")
        self.why = why
        self.position = position


class MissingVariable(GatewayError):
    """A template asks for a variable that this person does not have, or has only as white space."""

    slug, status = "missing_variable", 422

    def __init__(self, name: str) -> None:
        super().__init__(f"the variable {name!r} is missing or blank")
        self.name = name


class BadVariable(GatewayError):
    """A variable of a template has a value or a name that cannot be used. `field` is its path in the request."""

    slug, status = "bad_variable", 422

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.field = f"variables.{name}" if name else "variables"
        self.why = why


class BadKeywords(GatewayError):
    """The file of keywords cannot be used. `key` is where, as a dotted path."""

    slug, status = "bad_keywords", 500

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"keywords: {key}: {why}" if key else f"keywords: {why}")
        self.key = key
        self.why = why


# --- campaign


class BadRecipients(GatewayError):
    """A list of recipients cannot be read at all; faults of single rows are told row by row instead.

    `line` counts from 1 and is None where the whole file is meant.
    """

    slug, status = "bad_recipients", 422

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {why}" if line is not None else why)
        self.why = why
        self.line = line


# --- speech


class BadPrompt(GatewayError):
    """A recording cannot be used as a prompt: unreadable, too long, silent, or badly named. `why` says which."""

    slug, status = "bad_prompt", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnknownPrompt(GatewayError):
    """No prompt of that name is recorded in that language."""

    slug, status = "unknown_prompt", 404

    def __init__(self, name: str, language: str) -> None:
        super().__init__(f"no prompt named {name!r} in {language}")
        self.name = name
        self.language = language


class UnknownAudio(GatewayError):
    """No rendered audio of that id is kept: it was never made, or the cache has let it go."""

    slug, status = "unknown_audio", 404

    def __init__(self) -> None:
        super().__init__("no audio of that id is kept; ask for it by its text or name again")


class UnknownVoice(GatewayError):
    """No engine here has that voice, or none speaks that language."""

    slug, status = "unknown_voice", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnspeakableText(GatewayError):
    """The text holds nothing that can be spoken, or is longer than one prompt may be."""

    slug, status = "unspeakable_text", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SpeechUnavailable(GatewayError):
    """The speech engines that could say this are missing or keep failing. Recorded prompts still work."""

    slug, status = "speech_unavailable", 503

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


# --- voice


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One thing wrong with a dialplan or its tests: the file, the line (from 1), the node if there is one, and what.

    A warning does not keep the plan from being used.
    """

    file: str
    line: int
    node: str | None
    text: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """As compilers write it, so that editors find the place."""
        place = f"{self.file}:{self.line}: {self.severity}: "
        return place + (f"node {self.node}: {self.text}" if self.node else self.text)


class BadDialplan(GatewayError):
    """A dialplan, or the file of its tests, cannot be used. `problems` lists everything that is wrong with it."""

    slug, status = "bad_dialplan", 422

    def __init__(self, problems: tuple[PlanProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class UnknownDialplan(GatewayError):
    """No dialplan of that name is loaded. Names are case-sensitive."""

    slug, status = "unknown_dialplan", 404

    def __init__(self, name: str) -> None:
        super().__init__(f"no dialplan named {name!r}")
        self.name = name


class BadVariables(GatewayError):
    """The variables given for a call do not fit its dialplan. `problems` tells each by name; no value is ever told."""

    slug, status = "bad_variables", 422

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name!r} {why}" for name, why in problems.items()))
        self.problems = dict(problems)


# --- media


class BadRtp(GatewayError):
    """The datagram is not an RTP packet (RFC 3550, section 5.1). It is counted and dropped, never answered."""

    slug, status = "bad_rtp", 400


class BadWav(GatewayError):
    """The bytes are not a WAV file of 8 kHz, one channel, 16 bits."""

    slug, status = "bad_wav", 422


class InvalidDigit(GatewayError):
    """A digit is outside 0-9, *, #, A-D."""

    slug, status = "invalid_digit", 422

    def __init__(self) -> None:
        super().__init__("a digit is one of 0-9 * # A-D")


class MediaLimit(GatewayError):
    """A bound of the media engine is reached: streams, ports, queued audio, digits or audio held in memory."""

    slug, status = "media_limit", 503


class MediaDown(GatewayError):
    """The media process is not running, or died while it was asked. Streams that it carried are gone."""

    slug, status = "media_down", 503


# --- store


class StoreUnavailable(GatewayError):
    """The database cannot be read or written: a full disk, a lost connection. Nothing of the work was kept."""

    slug, status = "store_unavailable", 503

    def __init__(self, why: str) -> None:
        super().__init__(f"the database cannot be used: {why}")
        self.why = why


class StoreNotMigrated(GatewayError):
    """The schema is older than this program. Run `gateway migrate`."""

    slug, status = "store_not_migrated", 503

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__(f"the database is at schema {found}, this program needs {wanted}: run `gateway migrate`")


# --- practice


class InvalidPracticeOption(GatewayError):
    """A setting of the far end to practise on is unusable, or would let it be reached from elsewhere."""

    slug, status = "invalid_practice_option", 422


class PracticePortTaken(GatewayError):
    """The far end cannot listen where it was told to: something else does."""

    slug, status = "practice_port_taken", 500

    def __init__(self, kind: str, host: str, port: int) -> None:
        super().__init__(f"{kind} {host}:{port} is already taken")


class BadTwiml(GatewayError):
    """What a TwiML URL answered is not TwiML that Twilio would run."""

    slug, status = "bad_twiml", 422


# --- sip


class BadSipMessage(GatewayError):
    """A SIP message that breaks RFC 3261's grammar. `answer` is the SIP status a request of this kind is owed."""

    slug, status = "bad_sip_message", 400

    def __init__(self, why: str, answer: int = 400) -> None:
        super().__init__(why)
        self.answer = answer


class BadSdp(GatewayError):
    """A session description that cannot be read, or that has no audio stream."""

    slug, status = "bad_sdp", 422


class NoCommonCodec(GatewayError):
    """Offer and answer share no codec that we speak, or the audio stream was refused (port 0)."""

    slug, status = "no_common_codec", 422


class UnsafeSipValue(GatewayError):
    """A value handed in for a SIP header holds control characters, or names a header that is ours to write."""

    slug, status = "unsafe_sip_value", 422


class SipAddressTaken(GatewayError):
    """The UDP address for SIP could not be bound: another process holds it, or it is not this machine's."""

    slug, status = "sip_address_taken", 503

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen for SIP on {host}:{port}: {why}")
        self.host = host
        self.port = port


class SipTrunkUnresolved(GatewayError):
    """The trunk's host name has no address."""

    slug, status = "sip_trunk_unresolved", 503

    def __init__(self, host: str) -> None:
        super().__init__(f"no address found for the SIP trunk {host!r}")
        self.host = host


class TooManyCalls(GatewayError):
    """The user agent already holds as many calls as it may."""

    slug, status = "too_many_calls", 503


# --- carriers


class BadReport(GatewayError):
    """A carrier's webhook was signed but does not say what it must."""

    slug, status = "bad_report", 400


class CarrierListUnread(GatewayError):
    """The carrier's own list of texts could not be read whole, so nothing is known to be missing in it."""

    slug, status = "carrier_list_unread", 502

    def __init__(self, carrier: str, why: str) -> None:
        super().__init__(f"the list of {carrier} could not be read: {why}")


class BadSignature(GatewayError):
    """A carrier's webhook is not signed by that carrier. The log says which URL would have verified."""

    slug, status = "bad_signature", 403


# --- limits


class BadRate(GatewayError):
    """A rate is not a positive number per s, min or h: `3/s`, `1.25/s`, `75/min`."""

    slug, status = "bad_rate", 422

    def __init__(self) -> None:
        super().__init__("a rate is a positive number per s, min or h, such as 3/s, 1.25/s or 75/min")


class BadRolling(GatewayError):
    """A rolling limit is not a number and a length of a minute to 31 days: `3/24h`, `10/90min`, `500/7d`."""

    slug, status = "bad_rolling", 422

    def __init__(self) -> None:
        super().__init__("a rolling limit is a number and a length of 1 min to 31 d, such as 3/24h, 10/90min or 500/7d")


class BadLimits(GatewayError):
    """The limits file, or a sender's own limits, cannot be used. The text names the row and the key."""

    slug, status = "bad_limits", 422


class UnknownProfile(GatewayError):
    """No limit profile is in force for this kind and status of sender on this date."""

    slug, status = "unknown_profile", 422

    def __init__(self, kind: str, status: str) -> None:
        super().__init__(f"no limit profile for kind {kind!r} with status {status!r}")


class ScopeInUse(GatewayError):
    """A campaign that senders name, or a brand that campaigns name, cannot be taken away."""

    slug, status = "scope_in_use", 409

    def __init__(self, kind: str) -> None:
        users = "senders send through this campaign" if kind == "campaign" else "campaigns belong to this brand"
        super().__init__(f"{users}; change them first")


class RedisAway(GatewayError):
    """Redis did not answer in time, or not as the gate needs. Nothing may be sent until it does."""

    slug, status = "redis_away", 503


class ValkeyInUse(GatewayError):
    """Another embedded Valkey already serves this directory; two would double every cap."""

    slug, status = "valkey_in_use", 503

    def __init__(self, directory: str) -> None:
        super().__init__(f"another Valkey serves {directory}: stop that gateway, or give this one its own data_dir")


class ValkeyDown(GatewayError):
    """The embedded Valkey could not be started. The text says why and names its log."""

    slug, status = "valkey_down", 503


# --- app


class DataDirInUse(GatewayError):
    """Another gateway serves this data directory. Two would send from one queue."""

    slug, status = "data_dir_in_use", 500

    def __init__(self, path: str) -> None:
        super().__init__(f"another gateway is running on {path}: stop it, or set data_dir to another folder")


class PortTaken(GatewayError):
    """The address of `[http]` cannot be listened on."""

    slug, status = "port_taken", 500

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {why} (set http.port, or 0 for any free one)")


# --- api


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with a request. `field` is its dotted path, "" where the whole body is meant."""

    field: str
    slug: str
    detail: str


class InvalidRequest(GatewayError):
    """The request can be read and cannot be done. `problems` has an entry for each field that is wrong."""

    slug, status = "invalid_request", 422

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__("; ".join(f"{each.field}: {each.detail}" if each.field else each.detail for each in problems))
        self.problems = problems


class InvalidRecipients(GatewayError):
    """Some people of a job cannot be written to or called, and nothing was kept. `entries` tells the first of them."""

    slug, status = "invalid_recipients", 422

    def __init__(self, count: int, entries: Sequence[Mapping[str, object]]) -> None:
        who = "1 recipient is" if count == 1 else f"{count} recipients are"
        super().__init__(f"{who} invalid; correct the list, or send on_invalid=skip to leave out what is wrong")
        self.count = count
        self.entries = entries


class BadJson(GatewayError):
    """The body is not JSON. The text says where it stops being so."""

    slug, status = "bad_json", 400


class BadMediaType(GatewayError):
    """The body is of a kind that this address does not take. The text names those it does."""

    slug, status = "bad_media_type", 415

    def __init__(self, taken: Iterable[str]) -> None:
        super().__init__("the Content-Type must be one of: " + ", ".join(taken))


class Unauthorized(GatewayError):
    """No key was given, or one that does not exist, was revoked, or has expired."""

    slug, status = "unauthorized", 401


class MissingScope(GatewayError):
    """The key is good, and may not do this."""

    slug, status = "missing_scope", 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"this key lacks the scope {scope}")
        self.scope = scope


class NotFound(GatewayError):
    """There is no such thing, or it belongs to somebody else."""

    slug, status = "not_found", 404

    def __init__(self, what: str) -> None:
        super().__init__(f"no such {what}")


class SenderTaken(GatewayError):
    """The number belongs to another tenant."""

    slug, status = "sender_taken", 409

    def __init__(self) -> None:
        super().__init__("this number belongs to another tenant")


class JobNotOpen(GatewayError):
    """The job's state does not allow this: it was cancelled, say."""

    slug, status = "job_not_open", 409

    def __init__(self, status: str) -> None:
        super().__init__(f"the job is {status}")


class NotUnknown(GatewayError):
    """Only a text that the carrier never answered for can be settled by a person; this one is elsewhere by now."""

    slug, status = "not_unknown", 409

    def __init__(self, status: str) -> None:
        super().__init__(f"the text is {status}, so there is nothing to settle")


class BadIdempotencyKey(GatewayError):
    """The Idempotency-Key is not 1 to 255 visible ASCII characters."""

    slug, status = "bad_idempotency_key", 400

    def __init__(self) -> None:
        super().__init__("an Idempotency-Key is 1 to 255 letters, digits and punctuation marks")


class IdempotencyMismatch(GatewayError):
    """The Idempotency-Key was used before, with another request. Nothing was done."""

    slug, status = "idempotency_mismatch", 409

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used with another request; give each request a key of its own")


# --- cli


class GatewayUnreachable(GatewayError):
    """No gateway answers at this address."""

    slug, status = "gateway_unreachable", 503

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no gateway answers at {url}: {why} (`gateway serve` starts one, --url names another)")


class RequestRefused(GatewayError):
    """The gateway refused what the command line or the demo asked. The text is its answer, field by field."""

    slug, status = "request_refused", 502

    def __init__(self, answer: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.answer = answer
        self.kind = kind


class UnknownScope(GatewayError):
    """An API key was to be given a scope that does not exist. The text lists those that do."""

    slug, status = "unknown_scope", 422

    def __init__(self, scope: str, known: Iterable[str]) -> None:
        super().__init__(f"no scope {scope!r}; there are: {', '.join(known)}")


class UnknownKey(GatewayError):
    """No API key has this id, or it was revoked before."""

    slug, status = "unknown_key", 404

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no key {key_id} to revoke: `gateway key list` shows them")


class FileUnreadable(GatewayError):
    """A file that a command was given cannot be read."""

    slug, status = "file_unreadable", 422

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")


class BadLedger(GatewayError):
    """A line of a ledger that was to be audited cannot be read."""

    slug, status = "bad_ledger", 422

    def __init__(self, name: str, line: int, why: str) -> None:
        super().__init__(f"{name}:{line}: {why}")


class DemoFailed(GatewayError):
    """A process of the demo ended or did not come up. The text names its log."""

    slug, status = "demo_failed", 500
