"""What the commands tell."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.errors import GatewayError


class GatewayUnreachable(GatewayError):
    """No gateway answers at this address."""

    slug, status = "gateway_unreachable", 503

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no gateway answers at {url}: {why} (`gateway serve` starts one, --url names another)")


class RequestRefused(GatewayError):
    """The gateway refused what the command line or the demo asked. The text is its answer, field by field."""

    slug, status = "request_refused", 502

    def __init__(self, answer: int, kind: str, text: str, entries: Iterable[Mapping[str, Any]] = ()) -> None:
        super().__init__(text)
        self.answer = answer
        self.kind = kind
        self.entries = tuple(entries)


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


class FileUnwritable(GatewayError):
    """A file that a command was to write cannot be written."""

    slug, status = "file_unwritable", 422

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
