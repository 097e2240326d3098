"""Requests that are refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import GatewayError


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


class EncodedBody(GatewayError):
    """The body is compressed. A small one can unpack to gigabytes, so none is taken."""

    slug, status = "encoded_body", 415

    def __init__(self) -> None:
        super().__init__("send the body as it is, without a Content-Encoding")


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


class TooManyStreams(GatewayError):
    """The tenant listens to as many streams of events as one may in a process. End one, or read pages."""

    slug, status = "too_many_streams", 429

    def __init__(self, most: int) -> None:
        super().__init__(f"this tenant listens to {most} streams already; end one, or read pages")


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
